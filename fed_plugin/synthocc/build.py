"""Draw SynthOcc into a folder, in parallel; a second call completes an interrupted first call."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fed_plugin.files import is_empty, object_in, write_file, write_json
from fed_plugin.pool import spread
from fed_plugin.synthocc.casting import CAMERAS, QUERY, SIZES, SPLITS, Shot, cast, passers_by, plan
from fed_plugin.synthocc.identity import stream
from fed_plugin.synthocc.obstacles import visible_shares
from fed_plugin.synthocc.photograph import Photograph, photograph

VERSION = 1  # raise whenever a drawn pixel changes
MANIFEST, STARTED, VISIBILITY = "synthocc.json", "synthocc.started.json", "visibility.csv"
_SHOTS_PER_WORKER = 150  # the start of a process costs as much as drawing a few dozen images

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
    of the same size and seed does nothing. A call on an interrupted folder draws what is missing.

    The file ``synthocc.json`` in the folder is written last and marks a complete folder.

    Args:
        out: folder to write; a missing folder is made.
        size: key of ``SIZES``.
        seed: number of 0 or more; another seed gives other people and places.
        workers: number of processes; None takes the number of processors, fewer for few images.
        progress: called with (images done, images in all) after every image.

    Raises:
        ValueError: unknown size, negative seed, no worker, or a folder with other content.
    """
    if size not in SIZES:
        raise ValueError(f"SynthOcc size: expected one of {', '.join(SIZES)}; got {size!r}")
    if seed < 0:
        raise ValueError(f"SynthOcc seed: expected a number >= 0; got {seed}")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected 1 or more processes")
    folder, wanted = Path(out), {"size": size, "seed": seed, "version": VERSION}
    shots = plan(SIZES[size], seed)
    _claim(folder, wanted)
    missing = _missing(folder, shots)
    if missing:
        _reopen(folder, wanted)
        count = workers or min(os.cpu_count() or 1, 1 + len(missing) // _SHOTS_PER_WORKER)
        rows: list[Row] = []
        drawn = spread(partial(_draw_one, folder, size, seed), missing, count)
        for done, (_, row) in enumerate(drawn, start=len(shots) - len(missing) + 1):
            rows += [row] if row else []
            if progress is not None:
                progress(done, len(shots))
        if rows:
            write_visibility(folder, rows)
    if missing or not (folder / MANIFEST).is_file():
        _close(folder, wanted, shots)
    return folder


def _claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Refuse a folder that holds anything but this drawing, complete or interrupted."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"SynthOcc: expected a folder; got the file {folder}; try another name")
    for path in (folder / MANIFEST, folder / STARTED):
        if path.is_file():
            content = object_in(path)
            held = {key: content.get(key) for key in wanted}
            if held != wanted:
                raise ValueError(
                    f"SynthOcc: expected {folder} to be empty or to hold {_listed(wanted)}; it "
                    f"holds {_listed(held)}; try another folder, or delete this one"
                )
            return
    if not is_empty(folder):
        raise ValueError(
            f"SynthOcc: expected {folder} to be empty or drawn by this program; it holds files of "
            f"another kind ({sorted(os.listdir(folder))[0]}, ...); try another folder"
        )
    _reopen(folder, wanted)


def _listed(held: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in held.items())


def _reopen(folder: Path, wanted: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STARTED, wanted, indent=2)
    (folder / MANIFEST).unlink(missing_ok=True)
    for split in SPLITS:
        (folder / split).mkdir(exist_ok=True)


def _close(folder: Path, wanted: dict[str, Any], shots: Sequence[Shot]) -> None:
    hashes = []
    for path in [*(f"{s.split}/{s.name}" for s in shots), VISIBILITY]:
        hashes.append(f"{hashlib.sha256((folder / path).read_bytes()).hexdigest()}  {path}")
    images = Counter(s.split for s in shots)
    manifest = {
        **wanted,
        "images": {split: images[split] for split in SPLITS},
        "identities": {s: len({x.pid for x in shots if x.split == s}) for s in SPLITS},
        "cameras": len({s.camid for s in shots}),
        "sha256": hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest(),
    }
    write_json(folder / MANIFEST, manifest, indent=2)
    (folder / STARTED).unlink(missing_ok=True)


def _missing(folder: Path, shots: list[Shot]) -> list[Shot]:
    """Return the shots to draw: queries together or not at all, for their visible shares."""
    kept = {(split, name) for split in SPLITS for name in _names(folder / split)}
    queries = {(s.split, s.name) for s in shots if s.split == QUERY}
    if not has_visibility(folder) or queries - kept:
        kept -= queries
    return [s for s in shots if (s.split, s.name) not in kept]


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    for draft in folder.glob("[!.]*.part"):  # of the version before; `files` removes its own
        draft.unlink()
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.stat().st_size > 0]


def _draw_one(folder: Path, size: str, seed: int, shot: Shot) -> Row | None:
    """Draw and write a missing shot; return the row of a query."""
    photo = take(size, seed, shot)
    buffer = io.BytesIO()
    Image.fromarray(photo.pixels).save(buffer, "JPEG", quality=CAMERAS[shot.camid].quality)
    write_file(folder / shot.split / shot.name, buffer.getvalue())
    cover = photo.occlusion
    if cover is None:
        return None
    shares = visible_shares(photo.person, cover.cover.mask)
    rounded = tuple(float(np.round(s, 4)) for s in shares)
    return Row(shot.name, shot.pid, shot.camid + 1, cover.kind, cover.name, cover.side, rounded)


def take(size: str, seed: int, shot: Shot) -> Photograph:
    """Draw one planned image; the result depends on the arguments alone."""
    counts = SIZES[size]
    rng = stream(seed, shot.split, shot.pid, shot.camid, shot.index)
    others = passers_by(counts, seed)
    passer = others[int(rng.integers(len(others)))] if shot.cover == "person" else None
    who = cast(counts, seed)[shot.pid]
    return photograph(seed, who, shot.camid, rng, passer, occluded=bool(shot.cover))


# The side file ``visibility.csv``: the visible share of every query.


@dataclass(frozen=True)
class Row:
    """Line of ``visibility.csv``, for the query of a file name.

    Args:
        camera: number of the camera, from 1 as in the file name.
        kind: "object" or "person".
        occluder: name of the object in front, or the word for a person.
        side: side from which the occluder comes.
        shares: visible shares of the person's pixels: of the whole person, then of the quarters
            of the image from top to bottom; NaN for a quarter without a pixel of the person.
    """

    name: str
    pid: int
    camera: int
    kind: str
    occluder: str
    side: str
    shares: tuple[float, ...]


def has_visibility(folder: Path) -> bool:
    """Return whether the folder holds the visible shares of all queries."""
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
    write_file(folder / VISIBILITY, text.getvalue())


def read_visibility(folder: str | Path) -> dict[str, Row]:
    """Read ``visibility.csv`` of a drawn folder; return a row per file name of a query.

    Raises:
        FileNotFoundError: the folder has no such file.
        ValueError: the file has other content.
    """
    path = Path(folder) / VISIBILITY
    if not path.is_file():
        expected = "expected a drawn SynthOcc; try `fed-plugin data synth`"
        raise FileNotFoundError(f"{path}: no such file; {expected}")
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
    words = {key: line[key] for key in ("name", "kind", "occluder", "side")}
    seen = tuple(float(line[key] or "nan") for key in shares)
    return Row(pid=int(line["pid"]), camera=int(line["camera"]), shares=seen, **words)
