"""Images of a folder, in an order that no file system can change, and all its other files."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from fed_plugin.console import printable
from fed_plugin.photos import IMAGE_SUFFIXES, read_rgb

_CLUTTER = ("thumbs.db", "desktop.ini", ".ds_store")  # files that file managers make
_NAMED = 3  # files that a log line names


@dataclass(frozen=True)
class FolderScan:
    """Images below a folder, sorted by base name, all other files, sorted, and errors.

    The other files are no images by the suffix, hidden, too deep, or no regular files. A folder
    that is empty or cannot be read is one of them, and ends in a slash.
    """

    images: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    problems: list[OSError | ValueError] = field(default_factory=list)


def scan_folder(folder: str, *, nested: bool = False, strict: bool = True) -> FolderScan:
    """List the files of a folder without opening them.

    Links to files and to folders with images are followed; links to other folders are not. If
    ``nested``, images in direct subfolders count, too. If ``strict``, the first problem is raised;
    otherwise the scan goes on.

    Raises:
        FileNotFoundError: an image is a link to a missing file.
        PermissionError: a folder that may hold images cannot be read.
        ValueError: two images differ in their folder or suffix alone: a copy in another format
            would count as a second image.
    """
    scan = FolderScan()
    for entry in _readable_entries(folder, scan):
        if not is_folder(entry):
            _sort_in(entry, scan)
        elif nested and not is_hidden(entry.name):
            inside = _readable_entries(entry.path, scan)
            for inner in inside:
                if is_folder(inner):
                    scan.passed_over.extend(_files_below(inner))
                else:
                    _sort_in(inner, scan)
            if not inside:
                scan.passed_over.append(os.path.join(entry.path, ""))
        else:
            scan.passed_over.extend(_files_below(entry))
    scan.problems.extend(_copies(scan.images))
    if strict and scan.problems:
        raise scan.problems[0]
    scan.images.sort(key=lambda path: (os.path.basename(path), path))
    scan.passed_over.sort()
    return scan


def photos_below(folder: str, needed: bool = True) -> FolderScan:
    """List the photos below a folder, in folders of any depth, without opening them.

    Links to files are followed, links to folders are not. All that is no photo is passed over;
    files of file managers do not count.

    Raises:
        OSError: the folder cannot be read.
        ValueError: the folder holds no photo, and a photo is ``needed``.
    """
    scan = FolderScan()
    todo = [folder]
    while todo:
        for entry in _readable_entries(todo.pop(), scan):
            if _is_clutter(entry.name):
                continue
            if not is_folder(entry):
                _sort_in(entry, scan)
            elif entry.is_symlink() or is_hidden(entry.name):
                scan.passed_over.append(os.path.join(entry.path, ""))
            else:
                todo.append(entry.path)
    scan.images.sort()
    scan.passed_over.sort()
    if needed and not scan.images:
        nothing = f"{printable(folder)}: no photo in it; expected files {', '.join(IMAGE_SUFFIXES)}"
        raise scan.problems[0] if scan.problems else ValueError(nothing)
    return scan


def readable_photos(names: Sequence[str], skip_errors: bool = False) -> tuple[list[str], list[str]]:
    """Decode every photo that files and folders stand for, before a model takes its time.

    Folders are searched at any depth. If ``skip_errors``, photos that cannot be read are left out,
    unless there are no others.

    Returns:
        Paths of the photos, and a sentence about each photo or folder that lacks something.

    Raises:
        ValueError: a photo cannot be read, or none of them.
    """
    photos, notes, bad = [], [], []
    for name in names:
        try:
            scan = photos_below(name) if os.path.isdir(name) else FolderScan([name])
        except (OSError, ValueError) as error:
            bad.append(str(error))
            continue
        photos += scan.images
        if scan.passed_over:
            named = named_files(scan.passed_over, name)
            notes.append(f"{printable(name)}: {len(scan.passed_over)} passed over ({named})")
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as readers:
        problems = list(readers.map(_problem_of, photos))
    bad += [problem for problem in problems if problem]
    good = [photo for photo, problem in zip(photos, problems, strict=True) if not problem]
    if bad and not (skip_errors and good):
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise ValueError(
            f"{len(bad)} of {len(good) + len(bad)} photos cannot be read: "
            f"{'; '.join(bad[:_NAMED])}{more}; expected photos of persons"
        )
    return good, notes + [f"left out: {problem}" for problem in bad]


def _problem_of(photo: str) -> str:
    try:
        read_rgb(photo)
    except FileNotFoundError:
        return f"{printable(photo)}: no such file"
    except Exception as error:  # every decoder raises its own kinds
        return f"{printable(photo)}: {getattr(error, 'strerror', None) or error or type(error)}"
    return ""


def named_files(paths: list[str], folder: str) -> str:
    """Name the first of some files, relative to a folder, and count the others."""
    named = ", ".join(printable(os.path.relpath(path, folder)) for path in paths[:_NAMED])
    return named + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")


def warn_of_passed_over(folder: str, passed_over: list[str], log: logging.Logger) -> None:
    """Warn of files below ``folder`` that are passed over; files of file managers do not count."""
    others = [path for path in passed_over if not _is_clutter(os.path.basename(path))]
    if others:
        log.warning(
            "%s: passed over %d that are no images to read (%s): %s",
            *(printable(folder), len(others), " ".join(IMAGE_SUFFIXES)),
            named_files(others, folder),
        )


def visible_entries(folder: str) -> list[os.DirEntry[str]]:
    """List the files and folders in ``folder`` that are not hidden, sorted by name."""
    return [entry for entry in _entries(folder) if not is_hidden(entry.name)]


def is_hidden(name: str) -> bool:
    """Return whether a base name is hidden, or of a file that file managers make."""
    return name.startswith(".") or name.lower() in _CLUTTER


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
    """Return whether an entry is a folder, or a link to a folder."""
    try:
        return entry.is_dir()
    except OSError:  # a ring of links
        return False


def _readable_entries(folder: str, scan: FolderScan) -> list[os.DirEntry[str]]:
    try:
        return _entries(folder)
    except OSError as error:  # no permission, or gone since it was listed
        scan.problems.append(error)
        scan.passed_over.append(os.path.join(folder, ""))
        return []


def _sort_in(entry: os.DirEntry[str], scan: FolderScan) -> None:
    is_file = False
    with suppress(OSError):  # a ring of links
        is_file = entry.is_file()  # without a question to the disk, for most
    if is_hidden(entry.name) or not entry.name.lower().endswith(IMAGE_SUFFIXES):
        scan.passed_over.append(entry.path)
    elif is_file:
        scan.images.append(entry.path)
    elif entry.is_symlink() and not os.path.exists(entry.path):
        scan.images.append(entry.path)
        message = (
            f"{printable(entry.path)}: expected an image, got a link to "
            f"{printable(os.readlink(entry.path))}, which is not there; try unpacking the dataset "
            "again, or mounting the disk that holds it"
        )
        scan.problems.append(FileNotFoundError(message))
    else:
        scan.passed_over.append(entry.path)  # a pipe or a device: opening it might wait for ever


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


def _copies(images: list[str]) -> Iterator[ValueError]:
    first: dict[str, str] = {}
    for path in images:
        twin = first.setdefault(os.path.splitext(os.path.basename(path))[0], path)
        if twin is not path:
            problem = "expected one file per image, got two of one name"
            names = f"{printable(twin)} and {printable(path)}"
            yield ValueError(f"{names}: {problem}; try moving the copies elsewhere")
