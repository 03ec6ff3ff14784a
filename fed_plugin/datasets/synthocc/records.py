"""SynthOcc's side files: what a folder holds, and how much of every query is visible."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fed_plugin.datasets.synthocc.plan import SPLITS, Shot

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
