"""Occluded-Duke copied image by image; a second call completes a first."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fed_plugin.datasets.image_facts import inspect
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.listing import printable, visible_entries
from fed_plugin.datasets.splits import DUKE_NAMES

# The three published lists of names, and what has to be true of them.

WITHDRAWN = (
    "DukeMTMC was withdrawn by its university in April 2019. DukeMTMC-reID, Occluded-Duke and "
    "every model or figure made from them inherit that: whether you may keep and use them is for "
    "you to find out. Nothing is downloaded here, and no image should be passed on. Market1501 "
    "with Occluded_REID, and SynthOcc, need no Duke image."
)
"""What to tell somebody before a folder of these images is made."""

TEST = "bounding_box_test"
"""Folder of DukeMTMC-reID that has what a list's own folder lacks."""

_REPOSITORY = "lightas/Occluded-DukeMTMC-Dataset"


@dataclass(frozen=True)
class ListRule:
    """Describe one list.

    Attributes:
        file: its name.
        folder: where its images are looked for, and where they go.
        sha256: of its bytes.
        images: how many names it has.
        identities: of how many people.
    """

    file: str
    folder: str
    sha256: str
    images: int
    identities: int


_LAYOUT = LAYOUTS["Occluded_Duke"]
LISTS = tuple(
    ListRule(
        file=f"{split}.list",
        folder=folders[0],
        sha256=_LAYOUT.lists[split],
        images=_LAYOUT.published[split].images,
        identities=_LAYOUT.published[split].identities or 0,
    )
    for split, folders in _LAYOUT.splits.items()
)


def read_lists(
    folder: str | os.PathLike[str], rules: Sequence[ListRule] = LISTS
) -> dict[str, tuple[str, ...]]:
    """Read the lists and verify them.

    Args:
        folder: that holds them.
        rules: of the lists for train, query and gallery, in this order.

    Returns:
        Per folder of the data set, the names of its images.

    Raises:
        FileNotFoundError: A list is not there.
        ValueError: One is not the published one, or what it says cannot be.
    """
    names = {rule.folder: _read_list(os.path.join(folder, rule.file), rule) for rule in rules}
    train, query, gallery = (names[rule.folder] for rule in rules)
    both = _people(train) & (_people(query) | _people(gallery))
    if both:
        raise ValueError(
            f"{printable(os.fspath(folder))}: expected other people in {rules[0].file} than in the "
            f"other lists, got identity {min(both)} in both"
        )
    cameras: dict[int, set[int | None]] = {}
    for pid, camid in map(DUKE_NAMES.parse, gallery):
        cameras.setdefault(pid, set()).add(camid)
    for name in query:
        pid, camid = DUKE_NAMES.parse(name)
        if not cameras.get(pid, set()) - {camid}:
            raise ValueError(
                f"{rules[1].file}: expected {name}'s identity in {rules[2].file} from another "
                "camera, got none"
            )
    return names


def _read_list(path: str, rule: ListRule) -> tuple[str, ...]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"--lists: {printable(path)} is not there; expected train.list, query.list and "
            f"gallery.list of the repository {_REPOSITORY}"
        ) from None
    data = data.replace(b"\r\n", b"\n") if _sha256(data) != rule.sha256 else data  # git on Windows
    if _sha256(data) != rule.sha256:
        raise ValueError(
            f"--lists: {printable(path)}: expected the published list with sha256 {rule.sha256}, "
            f"got {_sha256(data)}; try taking the file from {_REPOSITORY} again, as it is"
        )
    names = tuple(data.decode().split())
    _refuse_bad_names(path, names)
    counts = {"images": len(names), "identities": len(_people(names))}
    expected = {"images": rule.images, "identities": rule.identities}
    if counts != expected:
        raise ValueError(f"--lists: {printable(path)}: expected {expected}, got {counts}")
    return names


def _refuse_bad_names(path: str, names: Sequence[str]) -> None:
    """Let plain names of images pass, each once: nothing that leads to another folder."""
    seen: set[str] = set()
    for name in names:
        if os.path.basename(name) != name or "\\" in name or not name.endswith(".jpg"):
            raise ValueError(
                f"--lists: {printable(path)}: expected names like {DUKE_NAMES.example}, got "
                f"{printable(name)}"
            )
        DUKE_NAMES.parse(name)
        if name in seen:
            raise ValueError(f"--lists: {printable(path)}: expected {name} once, got it twice")
        seen.add(name)


def _people(names: Sequence[str]) -> set[int]:
    return {DUKE_NAMES.parse(name)[0] for name in names}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def counts(names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Return how many images each folder gets."""
    return {folder: len(listed) for folder, listed in names.items()}


# A copy of DukeMTMC-reID to take images from: an unpacked folder, or the archive as it is.

_FOLDERS = ("bounding_box_train", "query", TEST)
_MAX_BYTES = 16 << 20  # of one image; theirs have some 10 KiB

Place = tuple[str, str]
"""Folder and base name of an image."""


class Source(Protocol):
    """Images by folder and name.

    Attributes:
        sizes: bytes of every image that is there.
    """

    sizes: dict[Place, int]

    def read(self, place: Place) -> bytes:
        """Return the bytes of an image that is there."""
        ...


@contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a copy of DukeMTMC-reID for reading.

    Args:
        path: the folder that holds ``bounding_box_train``, ``query`` and ``bounding_box_test``, or
            one above it; or a ZIP archive with such a folder.

    Raises:
        FileNotFoundError: It is not there, or has no such folders.
        ValueError: It is another kind of file, or a damaged archive.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        yield _Folder(path)
        return
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"--duke {printable(path)}: not there; expected a folder or a ZIP archive of "
            "DukeMTMC-reID"
        )
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(
            f"--duke {printable(path)}: expected a folder or a ZIP archive, got another file, or a "
            f"damaged one ({error})"
        ) from error
    with archive:
        yield _Archive(path, archive)


class _Folder:
    """An unpacked copy."""

    def __init__(self, path: str) -> None:
        roots = [path, *(entry.path for entry in visible_entries(path) if entry.is_dir())]
        root = next((root for root in roots if os.path.isdir(os.path.join(root, TEST))), None)
        if root is None:
            raise FileNotFoundError(_no_folders(path))
        self._root = root
        self.sizes: dict[Place, int] = {}
        for folder in _FOLDERS:
            if os.path.isdir(os.path.join(root, folder)):
                for entry in visible_entries(os.path.join(root, folder)):
                    if entry.is_file():
                        self.sizes[folder, entry.name] = entry.stat().st_size

    def read(self, place: Place) -> bytes:
        with open(os.path.join(self._root, *place), "rb") as file:
            return file.read()


class _Archive:
    """A copy in an archive: entries are looked up by name, never unpacked to where they say."""

    def __init__(self, path: str, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._entries: dict[Place, zipfile.ZipInfo] = {}
        found: dict[str, dict[Place, zipfile.ZipInfo]] = {}
        for entry in archive.infolist():
            root, folder, name = ["", *entry.filename.rsplit("/", 2)][-3:]
            if folder in _FOLDERS and name and not root.startswith("__MACOSX"):
                _refuse_second(path, found.setdefault(root, {}), (folder, name), entry)
        holds_test = [root for root in found if any(place[0] == TEST for place in found[root])]
        if not holds_test:
            raise FileNotFoundError(_no_folders(path))
        self._entries = found[max(holds_test, key=lambda root: len(found[root]))]
        self.sizes = {place: entry.file_size for place, entry in self._entries.items()}

    def read(self, place: Place) -> bytes:
        entry = self._entries[place]
        if entry.file_size > _MAX_BYTES:
            raise ValueError(
                f"--duke {printable(self._path)}: {printable(entry.filename)}: expected an image, "
                f"got {entry.file_size:,} bytes"
            )
        try:
            return self._archive.read(entry)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise ValueError(
                f"--duke {printable(self._path)}: cannot read {printable(entry.filename)} "
                f"({error}); try getting a sound archive, or unpacking it yourself"
            ) from error


def _refuse_second(
    path: str,
    entries: dict[Place, zipfile.ZipInfo],
    place: Place,
    entry: zipfile.ZipInfo,
) -> None:
    """Add an entry; a name that is there twice with other content tells nobody what is meant."""
    known = entries.setdefault(place, entry)
    if (known.CRC, known.file_size) != (entry.CRC, entry.file_size):
        raise ValueError(
            f"--duke {printable(path)}: expected {printable(entry.filename)} once, got two of it "
            "that differ"
        )


def _no_folders(path: str) -> str:
    return (
        f"--duke {printable(path)}: expected DukeMTMC-reID with {', '.join(_FOLDERS)} in it, found "
        f"no {TEST}"
    )


MANIFEST = "occluded_duke.json"
"""Written last: a folder without it is not complete."""
STARTED = "occluded_duke.started.json"
"""Written first: what is in a folder with it came from here."""

_UNFINISHED = ".part"
_BLOCK = 4096  # bytes; what a small file takes on disk is a multiple of it
_SPARE = 16 << 20  # bytes that stay free

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Built:
    """Say what a call did.

    Attributes:
        folder: of the data set.
        images: how many it holds.
        copied: how many of them were copied now; the others were there and are the same.
        sha256: of all images' names and contents together, the same for every build.
    """

    folder: Path
    images: int
    copied: int
    sha256: str


def build_occluded_duke(
    duke: str | os.PathLike[str],
    lists: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    rules: Sequence[ListRule] = LISTS,
    progress: Progress | None = None,
) -> Built:
    """Build Occluded-Duke by the published rule.

    For each name, the image is copied from the same-named folder of DukeMTMC-reID if it is there,
    otherwise from its ``bounding_box_test``. Every copy is read back, compared and decoded; a call
    on a folder that an earlier one began compares what is there and copies the rest.

    Args:
        duke: folder or ZIP archive of DukeMTMC-reID; only read.
        lists: folder with ``train.list``, ``query.list`` and ``gallery.list``.
        out: folder to build; new, empty, or begun by an earlier call.
        rules: what the lists have to be.
        progress: called with (images done, images in all).

    Raises:
        FileNotFoundError: The copy, a list, or images that the lists name are not there.
        ValueError: A list is not the published one, an image is broken, or ``out`` holds something
            else.
        OSError: ``out`` cannot be written, or its disk is too full.
    """
    names = read_lists(lists, rules)
    with open_source(duke) as source:
        origins = dict(_origins(names, source, duke))
        folder = Path(out)
        work = {"dataset": "Occluded_Duke", "lists": {rule.file: rule.sha256 for rule in rules}}
        _claim(folder, work, origins)
        missing = [place for place in origins if not folder.joinpath(*place).exists()]
        _refuse_full_disk(folder, [source.sizes[origins[place]] for place in missing])
        if missing or not (folder / MANIFEST).exists():
            _start(folder, work, names)
        digest = hashlib.sha256()
        for done, place in enumerate(sorted(origins), start=1):
            sha256 = _copy(source.read(origins[place]), folder.joinpath(*place), duke)
            digest.update(f"{'/'.join(place)} {sha256}\n".encode())
            if progress is not None:
                progress(done, len(origins))
    built = Built(folder, len(origins), len(missing), digest.hexdigest())
    _finish(folder, {**work, "images": counts(names), "sha256": built.sha256, "note": WITHDRAWN})
    return built


def _origins(
    names: Mapping[str, Sequence[str]], source: Source, duke: str | os.PathLike[str]
) -> Iterator[tuple[Place, Place]]:
    """Yield where each image goes and where it comes from.

    Raises:
        FileNotFoundError: Some come from nowhere.
    """
    lost = []
    for folder, listed in names.items():
        for name in listed:
            places = [place for place in ((folder, name), (TEST, name)) if place in source.sizes]
            if places:
                yield (folder, name), places[0]
            else:
                lost.append(f"{folder}/{name}")
    if lost:
        raise FileNotFoundError(
            f"--duke {printable(os.fspath(duke))}: expected every image of the lists, got none for "
            f"{len(lost):,} of {sum(counts(names).values()):,}, such as {', '.join(lost[:3])}; try "
            "a complete copy of DukeMTMC-reID"
        )


def _claim(folder: Path, work: Mapping[str, object], places: Mapping[Place, Place]) -> None:
    """Make sure that the folder is new, empty, or this very data set, whole or begun.

    Raises:
        ValueError: It holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {folder}: expected a folder, got a file; try another name")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    found = [_read(folder / name) for name in (MANIFEST, STARTED) if (folder / name).exists()]
    if not found or any({key: held.get(key) for key in work} != work for held in found):
        raise ValueError(
            f"--out {folder}: expected a new or empty folder, or Occluded_Duke begun here before; "
            f"it holds {'another build' if found else 'something else'}; try another name"
        )
    ours = {"/".join(place) for place in places} | {MANIFEST, STARTED}
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if name.endswith(_UNFINISHED) and name.removesuffix(_UNFINISHED) in ours:
            path.unlink()
        elif name not in ours or path.is_symlink():
            raise ValueError(f"--out {folder}: {name} does not belong there; try moving it away")


def _refuse_full_disk(folder: Path, sizes: Sequence[int]) -> None:
    needed = sum(-(-size // _BLOCK) * _BLOCK for size in sizes) + _SPARE
    above = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(above).free
    if sizes and free < needed:
        raise OSError(
            f"--out {folder}: expected {needed >> 20:,} MiB of free disk, got {free >> 20:,}; try "
            "another disk"
        )


def _start(folder: Path, work: Mapping[str, object], names: Mapping[str, Sequence[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / STARTED, _json(work))
    (folder / MANIFEST).unlink(missing_ok=True)
    for inside in names:
        (folder / inside).mkdir(exist_ok=True)


def _copy(data: bytes, target: Path, duke: str | os.PathLike[str]) -> str:
    """Write an image unless it is there; read it back, compare and decode it.

    Returns:
        Its sha256.

    Raises:
        ValueError: It is no sound image, or the file that is there is another.
    """
    there = target.exists()
    path = target if there else target.with_name(target.name + _UNFINISHED)
    try:
        if not there:
            path.write_bytes(data)
        facts = inspect(str(path))
        if facts.sha256 != hashlib.sha256(data).hexdigest():
            raise ValueError(
                f"{target}: expected the same bytes as in {printable(os.fspath(duke))}, got others "
                f"{facts.problem}; try deleting this file and calling again"
            )
        if facts.problem:
            raise ValueError(
                f"--duke {printable(os.fspath(duke))}: {target.parent.name}/{target.name} is no "
                f"sound image ({facts.problem}); try another copy of DukeMTMC-reID"
            )
        if not there:
            path.replace(target)
    finally:
        if not there:
            path.unlink(missing_ok=True)
    return facts.sha256


def _finish(folder: Path, manifest: Mapping[str, object]) -> None:
    _write(folder / MANIFEST, _json(manifest))
    (folder / STARTED).unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(path.name + _UNFINISHED)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _json(content: Mapping[str, object]) -> str:
    return json.dumps(content, indent=1) + "\n"


def _read(path: Path) -> dict[str, object]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}
