"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file beside ``path`` to write to; it takes the name when the block ends well.

    An error or Ctrl-C in the block leaves neither, and what lay at ``path`` before as it was.

    Args:
        path: of a file in a folder that is there.

    Raises:
        FileExistsError: ``path`` is a device, a pipe or a socket.
        FileNotFoundError: There is no such folder.
        IsADirectoryError: ``path`` is a folder.
    """
    target = Path(path)
    check_writable(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
        _flush_folder(target.absolute().parent)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: str | os.PathLike[str], pattern: str = "*") -> list[Path]:
    """Remove what killed processes left half-written; return what was removed.

    Args:
        folder: to look in, not below.
        pattern: of the names that the files would have had.
    """
    removed = []
    for path in Path(folder).glob(f".{pattern}.*.part"):
        process = path.name.rsplit(".", 2)[1]
        if process.isdigit() and not _is_running(int(process)):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return process != os.getpid()


def _flush_folder(folder: Path) -> None:
    """Have a rename on the disk before anything that relies on it is written."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # where folders cannot be opened
        return
    try:
        with suppress(OSError):  # file systems that know no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_apart(path: str | os.PathLike[str], read: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse to write over a file that is needed itself, however it is spelled.

    Args:
        path: to write to.
        read: files that are read, or written under other names.

    Raises:
        ValueError: ``path`` is one of them.
    """
    if os.path.realpath(path) in map(os.path.realpath, read):
        raise ValueError(
            f"{path}: is read here, or written as something else; expected a file of its own, try "
            "another name"
        )


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can be written at, before the work that fills it.

    Raises:
        FileExistsError: It is a device, a pipe or a socket, whose place a file would take.
        FileNotFoundError: Its folder is not there.
        IsADirectoryError: It is a folder.
        PermissionError: Its folder cannot be written to.
    """
    target = Path(path)
    if not target.absolute().parent.is_dir():
        raise FileNotFoundError(f"{target}: expected a file in a folder that is there; make it")
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder, expected the name of a file")
    if os.path.exists(target) and not target.is_file():  # a rename would remove /dev/null
        raise FileExistsError(
            f"{target}: is a device or a pipe, expected the name of a file; try another"
        )
    if not os.access(target.absolute().parent, os.W_OK):
        raise PermissionError(
            f"{target}: its folder cannot be written to; expected a file elsewhere, try another"
        )
