"""Occluded-Duke built from a copy of DukeMTMC-reID; a second call completes a first."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from fed_plugin.datasets.image_facts import inspect
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.listing import printable, visible_entries
from fed_plugin.datasets.splits import DUKE_NAMES, Layout
from fed_plugin.files import (
    is_empty,
    is_unfinished,
    object_in,
    open_regular,
    remove_unfinished,
    write_atomically,
    write_json,
)

# The three published lists of names.

WITHDRAWN = (
    "DukeMTMC was withdrawn by its university in April 2019. DukeMTMC-reID, Occluded-Duke and "
    "every model or figure made from them inherit that: whether you may keep and use them is for "
    "you to find out. Nothing is downloaded here, and no image should be passed on. Market1501 "
    "with Occluded_REID, and SynthOcc, need no Duke image."
)
"""Text for the user before a folder of these images is made."""

TEST = "bounding_box_test"
"""Folder of DukeMTMC-reID that holds the images which a list's own folder lacks."""

_REPOSITORY = "lightas/Occluded-DukeMTMC-Dataset"
_LAYOUT = LAYOUTS["Occluded_Duke"]


AnyPath = str | os.PathLike[str]


def read_lists(folder: AnyPath, layout: Layout = _LAYOUT) -> dict[str, tuple[str, ...]]:
    """Read ``train.list``, ``query.list`` and ``gallery.list`` of a folder and verify them.

    ``layout`` has the published hashes and counts of the lists. The result has the names of images
    by folder of the data set.

    Raises:
        FileNotFoundError: a list is missing.
        ValueError: a list is not the published one, or two lists contradict each other.
    """
    names = {split: _read_list(folder, split, layout) for split in layout.splits}
    both = _people(names["train"]) & _people(names["query"] + names["gallery"])
    if both:
        expected = "expected other people in train.list than in the other lists"
        where = printable(os.fspath(folder))
        raise ValueError(f"{where}: {expected}, got identity {min(both)} in both")
    cameras: dict[int, set[int | None]] = {}
    for pid, camid in map(DUKE_NAMES.parse, names["gallery"]):
        cameras.setdefault(pid, set()).add(camid)
    for name in names["query"]:
        pid, camid = DUKE_NAMES.parse(name)
        if not cameras.get(pid, set()) - {camid}:
            expected = f"{name}'s identity in gallery.list from another camera"
            raise ValueError(f"query.list: expected {expected}, got none")
    return {layout.splits[split][0]: listed for split, listed in names.items()}


def _read_list(folder: AnyPath, split: str, layout: Layout) -> tuple[str, ...]:
    path, sha256 = os.path.join(folder, f"{split}.list"), layout.lists[split]
    try:
        with open_regular(path) as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{printable(path)} is not there; expected train.list, query.list and "
            f"gallery.list of the repository {_REPOSITORY}"
        ) from None
    data = data.replace(b"\r\n", b"\n") if _sha256(data) != sha256 else data  # git on Windows
    if _sha256(data) != sha256:
        raise ValueError(
            f"{printable(path)}: expected the published list with sha256 {sha256}, "
            f"got {_sha256(data)}; try taking the file from {_REPOSITORY} again, as it is"
        )
    names = tuple(data.decode().split())
    _refuse_bad_names(path, names)
    counts = {"images": len(names), "identities": len(_people(names))}
    expected = asdict(layout.published[split])
    if counts != expected:
        raise ValueError(f"{printable(path)}: expected {expected}, got {counts}")
    return names


def _refuse_bad_names(path: str, names: Sequence[str]) -> None:
    """Refuse names that are no plain names of images, lead to other folders, or stand twice."""
    seen: set[str] = set()
    for name in names:
        if os.path.basename(name) != name or "\\" in name or not name.endswith(".jpg"):
            expected = f"expected names like {DUKE_NAMES.example}"
            raise ValueError(f"{printable(path)}: {expected}, got {printable(name)}")
        DUKE_NAMES.parse(name)
        if name in seen:
            raise ValueError(f"{printable(path)}: expected {name} once, got it twice")
        seen.add(name)


def _people(names: Sequence[str]) -> set[int]:
    return {DUKE_NAMES.parse(name)[0] for name in names}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# A copy of DukeMTMC-reID to take images from: a folder or an archive.

_FOLDERS = ("bounding_box_train", "query", TEST)
_MAX_BYTES = 16 << 20  # of one image; theirs have some 10 KiB

Place = tuple[str, str]
"""Folder and base name of an image."""


class Original(NamedTuple):
    """One image of DukeMTMC-reID: its bytes are counted, and read when they are needed."""

    size: int
    read: Callable[[], bytes]


@contextmanager
def open_source(path: AnyPath) -> Iterator[Mapping[Place, Original]]:
    """Open a copy of DukeMTMC-reID for reading: a folder or a ZIP archive.

    It holds ``bounding_box_train``, ``query`` and ``bounding_box_test``, perhaps in one folder.

    Raises:
        FileNotFoundError: the path does not exist, or has no such folders.
        ValueError: the path is another kind of file, or a damaged archive.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        yield _in_folder(path)
        return
    expected = "expected a folder or a ZIP archive"
    if not os.path.exists(path):
        raise FileNotFoundError(f"{printable(path)}: not there; {expected} of DukeMTMC-reID")
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises a dozen kinds on noise
        got = f"got another file, or a damaged one ({error})"
        raise ValueError(f"{printable(path)}: {expected}, {got}") from error
    with archive:
        yield _in_archive(path, archive)


def _in_folder(path: str) -> dict[Place, Original]:
    roots = [path, *(entry.path for entry in visible_entries(path) if entry.is_dir())]
    root = next((root for root in roots if os.path.isdir(os.path.join(root, TEST))), None)
    if root is None:
        raise FileNotFoundError(_no_folders(path))
    return {
        (folder, entry.name): Original(entry.stat().st_size, Path(entry.path).read_bytes)
        for folder in _FOLDERS
        if os.path.isdir(os.path.join(root, folder))
        for entry in visible_entries(os.path.join(root, folder))
        if entry.is_file()
    }


def _in_archive(path: str, archive: zipfile.ZipFile) -> dict[Place, Original]:
    """List the images of an archive; no entry is unpacked to the path that the archive gives."""
    copies: dict[str, dict[Place, zipfile.ZipInfo]] = {}
    for entry in archive.infolist():
        root, folder, name = ["", "", *entry.filename.rsplit("/", 2)][-3:]
        if folder not in _FOLDERS or not name or root.startswith("__MACOSX"):
            continue
        twin = copies.setdefault(root, {}).setdefault((folder, name), entry)
        if (twin.CRC, twin.file_size) != (entry.CRC, entry.file_size):
            expected = f"expected {printable(entry.filename)} once, got two of it that differ"
            raise ValueError(f"{printable(path)}: {expected}")
    complete = [copy for copy in copies.values() if any(place[0] == TEST for place in copy)]
    if not complete:
        raise FileNotFoundError(_no_folders(path))
    return {
        place: Original(entry.file_size, partial(_unpack, path, archive, entry))
        for place, entry in max(complete, key=len).items()
    }


def _unpack(path: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    where = f"{printable(path)}: {printable(entry.filename)}"
    if entry.file_size > _MAX_BYTES:
        raise ValueError(f"{where}: expected an image, got {entry.file_size:,} bytes")
    try:
        return archive.read(entry)
    except Exception as error:  # zlib, LZMA and bzip2 have kinds of their own
        advice = "try getting a sound archive, or unpacking it yourself"
        raise ValueError(f"{where}: cannot be read ({error!s:.200}); {advice}") from error


def _no_folders(path: str) -> str:
    expected = f"expected DukeMTMC-reID with {', '.join(_FOLDERS)} in it"
    return f"{printable(path)}: {expected}, found no {TEST}"


MANIFEST = "occluded_duke.json"
"""File that is written last: a folder without it is incomplete."""
STARTED = "occluded_duke.started.json"
"""File that is written first: it marks a folder that this module has begun."""

_UNFINISHED = ".part"  # of versions before this one
_BLOCK = 4096  # bytes: a small file takes a multiple of a block on the disk
_SPARE = 16 << 20  # bytes that stay free

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """Result of a build: the folder of the data set, and its number of images.

    This call copied ``copied`` images; the others existed and are the same. ``sha256`` is that of
    all names and contents together, the same for every build.
    """

    folder: Path
    images: int
    copied: int
    sha256: str


def build_occluded_duke(
    duke: AnyPath,
    lists: AnyPath,
    out: AnyPath,
    *,
    layout: Layout = _LAYOUT,
    progress: Progress | None = None,
) -> Built:
    """Build Occluded-Duke by the published rule.

    Each image comes from the same-named folder of DukeMTMC-reID, or from ``bounding_box_test`` if
    that folder lacks the image. Every copy is read back, compared and decoded. On a folder that an
    earlier call began, a call compares the existing images and copies the others.

    Args:
        duke: folder or ZIP archive of DukeMTMC-reID; only read.
        lists: folder with ``train.list``, ``query.list`` and ``gallery.list``.
        out: folder to build; new, empty, or begun by an earlier call.
        layout: row with the published hashes and counts of the lists.
        progress: called with (images done, images in all).

    Raises:
        FileNotFoundError: the copy, a list, or a listed image is missing.
        ValueError: a list is not the published one, an image is broken, or ``out`` holds something
            else.
        OSError: ``out`` cannot be written, or the disk is too full.
    """
    names = read_lists(lists, layout)
    with open_source(duke) as source:
        origins, folder = _origins(names, source, duke), Path(out)
        lists_used = {f"{split}.list": layout.lists[split] for split in layout.splits}
        work = {"dataset": "Occluded_Duke", "lists": lists_used}
        _claim(folder, work, origins)
        missing = [place for place in origins if not folder.joinpath(*place).exists()]
        _refuse_full_disk(folder, [source[origins[place]].size for place in missing])
        if missing or not (folder / MANIFEST).exists():
            for inside in names:
                (folder / inside).mkdir(parents=True, exist_ok=True)
            write_json(folder / STARTED, work)
            (folder / MANIFEST).unlink(missing_ok=True)
        digest = hashlib.sha256()
        for done, place in enumerate(sorted(origins), start=1):
            sha256 = _copy(source[origins[place]].read(), folder.joinpath(*place), duke)
            digest.update(f"{'/'.join(place)} {sha256}\n".encode())
            if progress is not None:
                progress(done, len(origins))
    sha256 = digest.hexdigest()
    images = {inside: len(listed) for inside, listed in names.items()}
    manifest = {**work, "images": images, "sha256": sha256, "note": WITHDRAWN}
    write_json(folder / MANIFEST, manifest)
    (folder / STARTED).unlink(missing_ok=True)
    return Built(folder, len(origins), len(missing), sha256)


def _origins(
    names: Mapping[str, Sequence[str]], source: Mapping[Place, Original], duke: AnyPath
) -> dict[Place, Place]:
    """Return the source of each image by its target; refuse lists with images that are missing."""
    targets = [(folder, name) for folder, listed in names.items() for name in listed]
    origins = {place: place if place in source else (TEST, place[1]) for place in targets}
    lost = ["/".join(target) for target, place in origins.items() if place not in source]
    if lost:
        raise FileNotFoundError(
            f"{printable(os.fspath(duke))}: expected every image of the lists, got none for "
            f"{len(lost):,} of {len(targets):,}, such as {', '.join(lost[:3])}; try a complete "
            "copy of DukeMTMC-reID"
        )
    return origins


def _claim(folder: Path, work: Mapping[str, object], places: Mapping[Place, Place]) -> None:
    """Refuse a folder that is not new, empty, or this very data set, complete or begun."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder, got a file; try another name")
    if is_empty(folder):
        return
    marks = [object_in(folder / name) for name in (MANIFEST, STARTED) if (folder / name).exists()]
    if not marks or any({key: mark.get(key) for key in work} != work for mark in marks):
        raise ValueError(
            f"{folder}: expected a new or empty folder, or Occluded_Duke begun here before; "
            f"it holds {'another build' if marks else 'something else'}; try another name"
        )
    ours = {"/".join(place) for place in places} | {MANIFEST, STARTED}
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if name.endswith(_UNFINISHED) and name.removesuffix(_UNFINISHED) in ours:
            path.unlink()
        elif is_unfinished(path.name):
            remove_unfinished(path.parent)
        elif name not in ours or path.is_symlink():
            raise ValueError(f"{folder}: {name} does not belong there; try moving it away")


def _refuse_full_disk(folder: Path, sizes: Sequence[int]) -> None:
    needed = sum(-(-size // _BLOCK) * _BLOCK for size in sizes) + _SPARE
    above = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(above).free
    if sizes and free < needed:
        expected = f"expected {needed >> 20:,} MiB of free disk, got {free >> 20:,}"
        raise OSError(f"{folder}: {expected}; try another disk")


def _copy(data: bytes, target: Path, duke: AnyPath) -> str:
    """Write an image if it is missing; read it back, compare, decode, and return its sha256.

    There is no fsync, which takes 15 ms per image: the next call compares every byte.
    """
    there = target.exists()
    with nullcontext() if there else write_atomically(target, flush=False) as file:
        if file is not None:
            file.write(data)
            file.flush()
        facts = inspect(str(target if file is None else file.name))
        if facts.sha256 != hashlib.sha256(data).hexdigest():
            raise ValueError(
                f"{target}: expected the same bytes as in {printable(os.fspath(duke))}, got others "
                f"{facts.problem}; try deleting this file and calling again"
            )
        if facts.problem:
            raise ValueError(
                f"{printable(os.fspath(duke))}: {target.parent.name}/{target.name} is no "
                f"sound image ({facts.problem}); try another copy of DukeMTMC-reID"
            )
    return facts.sha256
