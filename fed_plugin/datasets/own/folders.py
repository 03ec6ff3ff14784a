"""Own data in folders: one per identity, or Market-1501's names, with a split on top or without."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.listing import IMAGE_SUFFIXES, FolderScan, scan_folder, visible_entries
from fed_plugin.datasets.names import MARKET_NAMES
from fed_plugin.datasets.own.records import Found, Record, canonical, spelled_differently
from fed_plugin.datasets.own.spellings import EXPECTED, part_of, uses
from fed_plugin.datasets.own.wording import counted, named, shown

# A camera number ends where its digits do, or at Market-1501's sequence; img_c3po tells none.
_CAMERA = re.compile(r"(?P<pid>.+?)_c(?P<camera>[0-9]+)(?=s[0-9]|[^0-9A-Za-z]|$)", re.IGNORECASE)
_EXAMPLE = MARKET_NAMES.example

_NESTED = "a folder per identity"
_FLAT = "images named <identity>_..."


@dataclass
class _Part:
    """The images below one folder, with the identity that each shows."""

    form: str = ""
    images: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def read_folder(root: str) -> Found:
    """Read the images of a folder: who they show, from which camera, in which split.

    Args:
        root: an existing folder.

    Raises:
        ValueError: It holds no image where one is looked for, two folders mean the same split, or
            an image is there in two formats.
        OSError: A folder cannot be listed.
    """
    splits = _splits_on_top(root)
    parts = {split: _read_part(folder) for split, folder in splits.items()}
    passed_over = []
    if parts:
        beside = scan_folder(root)
        passed_over += _outside(beside.images + beside.passed_over, splits.values())
    else:
        parts = {None: _read_part(root)}
    records = [
        Record(path, canonical(identity), split=split)
        for split, part in parts.items()
        for path, identity in part.images
    ]
    if not records:
        raise ValueError(_nothing_found(root))
    forms = " and ".join(dict.fromkeys(part.form for part in parts.values() if part.images))
    sentences = [f"{shown(root)}: {counted(len(records), 'image')}, {forms}."]
    sentences += spelled_differently(who for part in parts.values() for _, who in part.images)
    if splits:
        told = (f"{shown(os.path.relpath(path, root))}/ is {s}" for s, path in splits.items())
        sentences.append(f"Split: as the folders say, {', '.join(told)}.")
    records, cameras = _with_cameras(records)
    passed_over += [path for part in parts.values() for path in part.passed_over]
    return Found(records, [*sentences, cameras], sorted(passed_over))


def _splits_on_top(root: str) -> dict[str, str]:
    """Return the folder of each split, none where ``root`` is not divided."""
    top = _folders(root)
    found: dict[str, list[str]] = {}
    for folder in top:
        part = part_of(os.path.basename(folder))
        inner = {part_of(os.path.basename(path)): path for path in _folders(folder)}
        if part in ("test", "val") and inner.keys() >= {"query", "gallery"}:
            found.setdefault("query", []).append(inner["query"])
            found.setdefault("gallery", []).append(inner["gallery"])
        elif part:
            found.setdefault(part, []).append(folder)
    divided = found.keys() & {"train", "query"} and found.keys() & {"gallery", "test", "val"}
    if not divided and not all(part_of(os.path.basename(folder)) for folder in top):
        return {}  # somebody may be called Val
    for part, folders in found.items():
        if len(folders) > 1:
            raise ValueError(
                f"{shown(root)}: expected one folder for {part}, got {named(folders)}; try moving "
                "the others elsewhere"
            )
    try:
        return {split: found[part][0] for part, split in uses(found).items() if split}
    except ValueError as error:
        raise ValueError(f"{shown(root)}: {error}") from None


def _read_part(folder: str) -> _Part:
    """Read one folder: by its subfolders or by its names, whichever tells more images."""
    here = scan_folder(folder)
    below = {path: scan_folder(path) for path in _folders(folder)}
    flat = _by_names(here)
    if sum(len(scan.images) for scan in below.values()) < max(1, len(flat.images)):
        return flat
    part = _Part(_NESTED, passed_over=here.images + _outside(here.passed_over, below))
    for path, scan in below.items():
        part.images += [(image, os.path.basename(path)) for image in scan.images]
        part.passed_over += scan.passed_over
        if not scan.images and not scan.passed_over:
            part.passed_over.append(os.path.join(path, ""))
    return part


def _by_names(here: FolderScan) -> _Part:
    """Read identities from names: before the camera if all tell one, else before the first _."""
    cameras = [_CAMERA.match(_stem(image)) for image in here.images]
    tell_cameras = all(cameras)
    part = _Part(_FLAT, passed_over=list(here.passed_over))
    for image, camera in zip(here.images, cameras, strict=True):
        identity, mark, _ = _stem(image).partition("_")
        if camera and tell_cameras:
            identity = camera["pid"]
        if identity and mark:
            part.images.append((image, identity))
        else:
            part.passed_over.append(image)
    return part


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _folders(folder: str) -> list[str]:
    return [entry.path for entry in visible_entries(folder) if os.path.isdir(entry.path)]


def _outside(paths: list[str], folders: Iterable[str]) -> list[str]:
    """Return the paths that lie in none of the folders."""
    below = tuple(os.path.join(folder, "") for folder in folders)
    return [path for path in paths if not path.startswith(below)]


def _with_cameras(records: list[Record]) -> tuple[list[Record], str]:
    """Read cameras from the names if all of them tell one; say what was done."""
    stems = [_stem(record.path) for record in records]
    matches = [_CAMERA.match(stem) for stem in stems]
    cameras = [canonical(match["camera"]) for match in matches if match]
    if len(cameras) == len(records):
        told = [replace(record, camera=c) for record, c in zip(records, cameras, strict=True)]
        return told, f"Cameras: {len(set(cameras))}, read from the names (as in {_EXAMPLE})."
    silent = [stem for stem, match in zip(stems, matches, strict=True) if not match]
    why = "the names tell none"
    if cameras:
        tell = "tells" if len(silent) == 1 else "tell"
        why = (
            f"{counted(len(silent), 'name')} of {len(records):,} {tell} none ({named(silent)}; "
            f"expected names like {_EXAMPLE}), so the others' are not used"
        )
    return records, f"Cameras: none, {why}."


def _nothing_found(root: str) -> str:
    """Say that no image was found, and where some are."""
    scan = scan_folder(root)
    tables = [path for path in scan.passed_over if path.lower().endswith((".csv", ".tsv"))]
    deeper = [path for path in scan.passed_over if path.lower().endswith(IMAGE_SUFFIXES)]
    got, hint = "none", "the folder that holds them"
    if tables:
        hint = f"the table {shown(tables[0])}"
    elif deeper:
        above = os.path.dirname(os.path.dirname(deeper[0]))
        got, hint = (
            "deeper ones",
            shown(os.path.dirname(above) if part_of(os.path.basename(above)) else above),
        )
    elif scan.images:
        got = f"names that tell no identity, such as {shown(os.path.basename(scan.images[0]))}"
        hint = "a folder per identity, or a table of path,pid"
    return (
        f"{shown(root)} (DATASETS.FOLDER_REID.ROOT): expected images ({' '.join(IMAGE_SUFFIXES)}) "
        f"in a folder per identity, or named like {_EXAMPLE}, directly or below folders "
        f"{EXPECTED}; got {got}; try {hint}"
    )
