"""Writing SynthOcc to disk: in parallel, atomically; a second call completes a first."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fed_plugin.synthocc.casting import CAMERAS, QUERY, SIZES, SPLITS, Shot, cast, passers_by, plan
from fed_plugin.synthocc.identity import stream
from fed_plugin.synthocc.obstacles import visible_shares
from fed_plugin.synthocc.photograph import Photograph, photograph

# SynthOcc's side files: what a folder holds, and how much of every query is visible.

VERSION = 1  # raise whenever any drawn pixel changes
MANIFEST, STARTED, VISIBILITY = "synthocc.json", "synthocc.started.json", "visibility.csv"
UNFINISHED = ".part"


@dataclass(frozen=True)
class Row:
    """Hold one line of ``visibility.csv``.

    Args:
        name: file name of the query.
        pid: its identity.
        camera: its camera, from 1 as in the file name.
        kind: "object" or "person".
        occluder: what stands in front.
        side: where it comes from.
        shares: visible share of the person's pixels, overall and in the four quarters of the
            image from top to bottom; NaN where a quarter shows nothing of the person.
    """

    name: str
    pid: int
    camera: int
    kind: str
    occluder: str
    side: str
    shares: tuple[float, ...]


def claim(folder: Path, size: str, seed: int) -> None:
    """Make sure that ``folder`` is empty or holds this very drawing, whole or begun.

    Raises:
        ValueError: the folder holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"SynthOcc: expected a folder; got the file {folder}; try another name")
    wanted = {"size": size, "seed": seed, "version": VERSION}
    for name in (MANIFEST, STARTED):
        if (folder / name).is_file():
            found = _read(folder / name)
            held = {key: found.get(key) for key in wanted}
            if held != wanted:
                raise ValueError(
                    f"SynthOcc: expected {folder} to be empty or to hold {_say(wanted)}; it holds "
                    f"{_say(held)}; try another folder, or delete this one"
                )
            return
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(
            f"SynthOcc: expected {folder} to be empty or drawn by this program; it holds files of "
            f"another kind ({sorted(os.listdir(folder))[0]}, ...); try another folder"
        )
    reopen(folder, size, seed)


def reopen(folder: Path, size: str, seed: int) -> None:
    """Mark a folder as begun and not complete."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = {"size": size, "seed": seed, "version": VERSION}
    write_atomically(folder / STARTED, _json(begun))
    (folder / MANIFEST).unlink(missing_ok=True)


def close(folder: Path, size: str, seed: int, shots: Sequence[Shot]) -> None:
    """Write the manifest: the folder is complete."""
    paths = [f"{s.split}/{s.name}" for s in shots] + [VISIBILITY]
    hashes = sorted(
        f"{hashlib.sha256((folder / path).read_bytes()).hexdigest()}  {path}" for path in paths
    )
    images = Counter(s.split for s in shots)
    people = {split: len({s.pid for s in shots if s.split == split}) for split in SPLITS}
    manifest = {
        "size": size,
        "seed": seed,
        "version": VERSION,
        "images": {split: images[split] for split in SPLITS},
        "identities": people,
        "cameras": len({s.camid for s in shots}),
        "sha256": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
    }
    write_atomically(folder / MANIFEST, _json(manifest))
    (folder / STARTED).unlink(missing_ok=True)


def is_complete(folder: Path) -> bool:
    """Tell whether the manifest, which is written last, is there."""
    return (folder / MANIFEST).is_file()


def has_visibility(folder: Path) -> bool:
    """Tell whether the visible shares of all queries have been written."""
    return (folder / VISIBILITY).is_file()


def write_visibility(folder: Path, rows: Sequence[Row]) -> None:
    """Write ``visibility.csv``, sorted by name; an undefined share is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    stripes = [f"visible_{i}" for i in range(1, len(rows[0].shares))]
    writer.writerow(["name", "pid", "camera", "kind", "occluder", "side", "visible", *stripes])
    for row in sorted(rows, key=lambda r: r.name):
        shares = ["" if math.isnan(s) else f"{s:.4f}" for s in row.shares]
        writer.writerow([row.name, row.pid, row.camera, row.kind, row.occluder, row.side, *shares])
    write_atomically(folder / VISIBILITY, text.getvalue().encode())


def read_visibility(folder: str | Path) -> dict[str, Row]:
    """Read ``visibility.csv`` of a drawn folder.

    Args:
        folder: what ``build_synthocc`` returned.

    Returns:
        One row for each query's file name.

    Raises:
        FileNotFoundError: the folder has no such file.
        ValueError: the file is something else.
    """
    path = Path(folder) / VISIBILITY
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected the side file of a drawn SynthOcc; got nothing; try build_synthocc"
        )
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            table = list(csv.DictReader(lines))
        if not table:
            raise ValueError("no line of a query")
        shares = [key for key in table[0] if key and key.startswith("visible")]
        return {line["name"]: _row(line, shares) for line in table}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{path}: not the side file of a drawn SynthOcc ({error!r:.80}); try drawing the set "
            "again, into an empty folder"
        ) from error


def _row(line: dict[str, str], shares: Sequence[str]) -> Row:
    return Row(
        name=line["name"],
        pid=int(line["pid"]),
        camera=int(line["camera"]),
        kind=line["kind"],
        occluder=line["occluder"],
        side=line["side"],
        shares=tuple(float(line[key] or "nan") for key in shares),
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there as a whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    draft.write_bytes(data)
    os.replace(draft, path)


def _read(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text())
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(values: dict[str, object]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()


def _say(held: dict[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in held.items())


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
    claim(folder, size, seed)
    missing = _missing(folder, shots)
    if missing:
        reopen(folder, size, seed)
        for split in SPLITS:
            (folder / split).mkdir(exist_ok=True)
        rows = _draw_all(folder, size, seed, missing, len(shots), workers, progress)
        if rows:
            write_visibility(folder, rows)
    if missing or not is_complete(folder):
        close(folder, size, seed, shots)
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
    whole = has_visibility(folder) and all(
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
        if name.endswith(UNFINISHED):
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
) -> list[Row]:
    draw = partial(_draw_one, folder, size, seed)
    count = workers or min(os.cpu_count() or 1, 1 + len(missing) // _SHOTS_PER_WORKER)
    rows: list[Row] = []
    done = total - len(missing)
    for row in _spread(draw, missing, count):
        rows += [row] if row else []
        done += 1
        if progress is not None:
            progress(done, total)
    return rows


def _spread(
    draw: Callable[[Shot], Row | None], shots: list[Shot], workers: int
) -> Iterator[Row | None]:
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


def _draw_one(folder: Path, size: str, seed: int, shot: Shot) -> Row | None:
    photo = take(size, seed, shot)
    buffer = io.BytesIO()
    quality = CAMERAS[shot.camid].quality
    Image.fromarray(photo.pixels).save(buffer, "JPEG", quality=quality)
    write_atomically(folder / shot.split / shot.name, buffer.getvalue())
    if photo.occlusion is None:
        return None
    shares = visible_shares(photo.person, photo.occlusion.cover.mask)
    return Row(
        name=shot.name,
        pid=shot.pid,
        camera=shot.camid + 1,
        kind=photo.occlusion.kind,
        occluder=photo.occlusion.name,
        side=photo.occlusion.side,
        shares=tuple(float(np.round(s, 4)) for s in shares),
    )
