"""The images of a folder in an order that no file system can change, and all else it holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
_CLUTTER = ("thumbs.db", "desktop.ini", ".ds_store")  # left behind by file managers
_NAMED = 3  # of the files passed over, in a log line

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderScan:
    """Hold what a folder holds: together the two lists name every file below it.

    Attributes:
        images: sorted by base name.
        passed_over: sorted; no image by its suffix, hidden, deeper than images are looked for, or
            no regular file; an empty folder, and one that is not looked into and cannot be, is
            named with a slash at its end.
    """

    images: list[str]
    passed_over: list[str]


def list_images(folder: str, *, nested: bool = False) -> list[str]:
    """List the images in ``folder``, sorted by base name; one warning names what is passed over.

    See :func:`scan_folder` for arguments and errors.
    """
    scan = scan_folder(folder, nested=nested)
    warn_of_passed_over(folder, scan.passed_over, logger)
    return scan.images


def scan_folder(folder: str, nested: bool = False) -> FolderScan:
    """Look through a folder without opening a file.

    Links are followed, but for those to folders that are passed over.

    Args:
        folder: an existing folder.
        nested: also take the images in its direct subfolders.

    Returns:
        Paths that begin with ``folder``.

    Raises:
        FileNotFoundError: An image is a link to nowhere: its data are elsewhere.
        PermissionError: A folder that may hold images cannot be read.
        ValueError: Two images have the same name but for their folder or suffix: a copy in another
            format would be counted as a second image.
    """
    found = FolderScan([], [])
    for entry in _entries(folder):
        if not is_folder(entry):
            _sort_in(entry, found)
        elif nested and not is_hidden(entry.name):
            inside = _entries(entry.path)
            for inner in inside:
                if is_folder(inner):
                    found.passed_over.extend(_files_below(inner))
                else:
                    _sort_in(inner, found)
            if not inside:
                found.passed_over.append(os.path.join(entry.path, ""))
        else:
            found.passed_over.extend(_files_below(entry))
    _refuse_copies(found.images)
    found.images.sort(key=lambda path: (os.path.basename(path), path))
    found.passed_over.sort()
    return found


def warn_of_passed_over(folder: str, passed_over: list[str], log: logging.Logger) -> None:
    """Warn how many files below ``folder`` are passed over, and name the first few.

    What file managers leave behind is not worth a line.
    """
    others = [path for path in passed_over if not _is_clutter(os.path.basename(path))]
    if others:
        named = ", ".join(printable(os.path.relpath(path, folder)) for path in others[:_NAMED])
        log.warning(
            "%s: passed over %d that are no images to read (%s): %s%s",
            *(printable(folder), len(others), " ".join(IMAGE_SUFFIXES), named),
            f" and {len(others) - _NAMED} more" if len(others) > _NAMED else "",
        )


def visible_entries(folder: str) -> list[os.DirEntry[str]]:
    """List what a person put into ``folder``, files and folders, sorted by name."""
    return [entry for entry in _entries(folder) if not is_hidden(entry.name)]


def is_hidden(name: str) -> bool:
    """Tell whether a base name is hidden, or what a file manager leaves behind."""
    return name.startswith(".") or name.lower() in _CLUTTER


def printable(path: str) -> str:
    """Write a path in one line that every terminal and log file takes."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError as error:
        raise PermissionError(
            f"{printable(folder)}: expected a folder that can be read, got {error.strerror}; try "
            "chmod u+rx on it"
        ) from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a ring of links
        return False


def _sort_in(entry: os.DirEntry[str], found: FolderScan) -> None:
    """Put a file where it belongs."""
    if is_hidden(entry.name) or not entry.name.lower().endswith(IMAGE_SUFFIXES):
        found.passed_over.append(entry.path)
    elif _is_file(entry):
        found.images.append(entry.path)
    elif entry.is_symlink() and not os.path.exists(entry.path):
        raise FileNotFoundError(
            f"{printable(entry.path)}: expected an image, got a link to "
            f"{printable(os.readlink(entry.path))}, which is not there; try unpacking the dataset "
            "again, or mounting the disk that holds it"
        )
    else:
        found.passed_over.append(entry.path)  # a pipe or a device: opening it might wait for ever


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _files_below(folder: os.DirEntry[str]) -> Iterator[str]:
    """Yield every file below a folder, and each folder that is empty, a link or unreadable."""
    if folder.is_symlink():
        yield folder.path
        return
    closed: list[str] = []
    for where, folders, files in os.walk(folder.path, onerror=lambda e: closed.append(e.filename)):
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        yield from (os.path.join(where, name) for name in [*files, *links])
        if not folders and not files:
            yield os.path.join(where, "")
    yield from (os.path.join(path, "") for path in closed)


def _is_clutter(name: str) -> bool:
    return name.lower() in _CLUTTER or name.startswith("._")


def _refuse_copies(images: list[str]) -> None:
    seen: dict[str, str] = {}
    for path in images:
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem in seen:
            raise ValueError(
                f"{printable(seen[stem])} and {printable(path)}: expected one file per image, got "
                "two of one name; try moving the copies elsewhere"
            )
        seen[stem] = path
