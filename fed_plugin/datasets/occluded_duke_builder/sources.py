"""A copy of DukeMTMC-reID to take images from: an unpacked folder, or the archive as it is."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from fed_plugin.datasets.listing import printable, visible_entries
from fed_plugin.datasets.occluded_duke_builder.lists import TEST

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
