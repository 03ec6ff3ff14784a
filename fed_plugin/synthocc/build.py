"""Writing SynthOcc to disk: in parallel, atomically; a second call completes a first."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fed_plugin.datasets.synthocc import records
from fed_plugin.datasets.synthocc.locations import CAMERAS
from fed_plugin.datasets.synthocc.photograph import Photograph, photograph
from fed_plugin.datasets.synthocc.placing import visible_shares
from fed_plugin.datasets.synthocc.plan import QUERY, SIZES, SPLITS, Shot, cast, passers_by, plan
from fed_plugin.datasets.synthocc.streams import stream

_log = logging.getLogger(__name__)
_SHOTS_PER_WORKER = 150  # starting a process costs about as much as drawing a few dozen images

Progress = Callable[[int, int], None]


def build_synthocc(
    out: str | Path,
    size: str = "small",
    seed: int = 0,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw SynthOcc into a folder, in Market-1501's layout.

    The result is the same, bit by bit, for every number of workers. A call on a complete folder
    of the same size and seed does nothing; on an interrupted one it draws what is missing.

    Args:
        out: folder to write; made if it does not exist.
        size: key of ``SIZES``.
        seed: any non-negative number; another seed gives other people and places.
        workers: processes that draw; by default as many as processors, fewer for few images.
        progress: called with (images done, images in all) after every image.

    Returns:
        ``out`` as a ``Path``. ``synthocc.json`` in it is written last: without it the folder is
        incomplete.

    Raises:
        ValueError: unknown size, negative seed, no worker, or a folder that holds something else.
    """
    if size not in SIZES:
        raise ValueError(f"SynthOcc size: expected one of {', '.join(SIZES)}; got {size!r}")
    if seed < 0:
        raise ValueError(f"SynthOcc seed: expected a number >= 0; got {seed}")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected 1 or more processes")
    folder = Path(out)
    shots = plan(SIZES[size], seed)
    records.claim(folder, size, seed)
    missing = _missing(folder, shots)
    if missing:
        records.reopen(folder, size, seed)
        for split in SPLITS:
            (folder / split).mkdir(exist_ok=True)
        rows = _draw_all(folder, size, seed, missing, len(shots), workers, progress)
        if rows:
            records.write_visibility(folder, rows)
    if missing or not records.is_complete(folder):
        records.close(folder, size, seed, shots)
    return folder


def take(size: str, seed: int, shot: Shot) -> Photograph:
    """Draw one planned image; a pure function of its arguments."""
    counts = SIZES[size]
    rng = stream(seed, shot.split, shot.pid, shot.camid, shot.index)
    others = passers_by(counts, seed)
    passer = others[int(rng.integers(len(others)))] if shot.cover == "person" else None
    who = cast(counts, seed)[shot.pid]
    return photograph(seed, who, shot.camid, rng, passer, occluded=bool(shot.cover))


def _missing(folder: Path, shots: list[Shot]) -> list[Shot]:
    kept = {(split, name) for split in SPLITS for name in _names(folder / split)}
    whole = records.has_visibility(folder) and all(
        (s.split, s.name) in kept for s in shots if s.split == QUERY
    )
    # The visible shares are known only while drawing: queries are drawn together or not at all.
    return [s for s in shots if (s.split, s.name) not in kept or (s.split == QUERY and not whole)]


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.stat().st_size) for entry in entries]
    for name, _ in found:
        if name.endswith(records.UNFINISHED):
            (folder / name).unlink()
    return [name for name, size in found if size > 0]


def _draw_all(
    folder: Path,
    size: str,
    seed: int,
    missing: list[Shot],
    total: int,
    workers: int | None,
    progress: Progress | None,
) -> list[records.Row]:
    draw = partial(_draw_one, folder, size, seed)
    count = workers or min(os.cpu_count() or 1, 1 + len(missing) // _SHOTS_PER_WORKER)
    rows: list[records.Row] = []
    done = total - len(missing)
    for row in _spread(draw, missing, count):
        rows += [row] if row else []
        done += 1
        if progress is not None:
            progress(done, total)
    return rows


def _spread(
    draw: Callable[[Shot], records.Row | None], shots: list[Shot], workers: int
) -> Iterator[records.Row | None]:
    if workers <= 1:
        yield from map(draw, shots)
        return
    done = 0
    try:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            try:
                for row in pool.map(draw, shots, chunksize=8):
                    yield row
                    done += 1
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        # A script without `if __name__ == "__main__"`, or a shell's stdin, cannot be spawned.
        _log.warning("SynthOcc: worker processes ended early; drawing the rest in this process")
        yield from map(draw, shots[done:])


def _draw_one(folder: Path, size: str, seed: int, shot: Shot) -> records.Row | None:
    photo = take(size, seed, shot)
    buffer = io.BytesIO()
    quality = CAMERAS[shot.camid].quality
    Image.fromarray(photo.pixels).save(buffer, "JPEG", quality=quality)
    records.write_atomically(folder / shot.split / shot.name, buffer.getvalue())
    if photo.occlusion is None:
        return None
    shares = visible_shares(photo.person, photo.occlusion.cover.mask)
    return records.Row(
        name=shot.name,
        pid=shot.pid,
        camera=shot.camid + 1,
        kind=photo.occlusion.kind,
        occluder=photo.occlusion.name,
        side=photo.occlusion.side,
        shares=tuple(float(np.round(s, 4)) for s in shares),
    )
