"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray


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


# Files of plain arrays (``.npz``), read without executing anything of them.


def read_arrays(
    path: str | os.PathLike[str],
    called: str,
    remedy: str = "np.savez with arrays of numbers and strings",
) -> dict[str, NDArray[Any]]:
    """Read an ``.npz``, executing nothing of it.

    Args:
        path: an existing file.
        called: what it should be, such as "a feature dump".
        remedy: what makes such a file; the message says to try it.

    Raises:
        ValueError: It is something else; the message names the file.
    """
    try:
        with Path(path).open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                raise ValueError("it holds one bare array; try np.savez")
            _check_count(file, len(content.files))
            return {name: _array(name, content) for name in content.files}
    except Exception as error:  # zipfile, zlib and NumPy's parsers raise a dozen kinds on noise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: not {called} that can be read ({why}); expected an .npz of plain "
            f"arrays, whole and without pickled objects; try {remedy}"
        ) from error


def _check_count(file: BinaryIO, found: int) -> None:
    """Refuse a zip that lists fewer arrays than it counts, which ``zipfile`` does not look at.

    One wrong byte in the list hides the arrays behind it, optional ones without a trace.
    """
    end = struct.Struct("<4s6xH10x")  # the record that ends a zip without a comment
    file.seek(-end.size, os.SEEK_END)
    signature, counted = end.unpack(file.read(end.size))
    if signature == b"PK\x05\x06" and counted not in (found, 0xFFFF):  # 0xFFFF: counted elsewhere
        raise ValueError(f"it lists {found} arrays and counts {counted}")


def _array(name: str, content: Any) -> NDArray[Any]:
    try:
        array = content[name]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: no array")
    return array


def about_as_text(about: Mapping[str, Any]) -> str:
    """Return as JSON what is known of arrays.

    Raises:
        ValueError: JSON cannot hold it.
    """
    try:
        return json.dumps(dict(about), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"about: {error}; expected what JSON can hold: text, numbers, lists, objects"
        ) from error


def about_from_array(array: NDArray[Any]) -> dict[str, Any]:
    """Read the array that holds :func:`about_as_text`.

    Raises:
        ValueError: It is something else.
    """
    if array.ndim or array.dtype.kind != "U":
        raise ValueError(
            f"about is {array.dtype} of shape {array.shape}: expected one string; try "
            "about=np.array(json.dumps({...}))"
        )
    try:
        about = json.loads(str(array))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"about is no JSON ({error}): expected an object, {{...}}") from error
    if not isinstance(about, dict):
        raise ValueError(f"about is a JSON {type(about).__name__}: expected an object, {{...}}")
    return about


# Objects that are files of JSON: there whole or not at all, refused by name if not read.

Stored = TypeVar("Stored", bound="StoredAsJson")


class StoredAsJson:
    """Give a class that has ``to_json`` and ``from_json`` a file."""

    CALLED: ClassVar[str]
    """What it is called in messages, such as "a result"."""

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds, as JSON has it."""
        raise NotImplementedError

    @classmethod
    def from_json(cls: type[Stored], content: Any) -> Stored:
        """Read what :meth:`to_json` returns.

        Raises:
            ValueError: It is something else.
        """
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; it is there whole or not at all."""
        with written_whole(path) as file:
            file.write((json.dumps(self.to_json(), allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls: type[Stored], path: str | os.PathLike[str]) -> Stored:
        """Read a file.

        Raises:
            FileNotFoundError: No such file.
            ValueError: It is something else; the message names the file.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not {cls.CALLED}: {error}") from error


@contextmanager
def reading(content: Any, expected: str) -> Iterator[None]:
    """Refuse content of another format, and say what is missing or of the wrong kind in it.

    Args:
        content: as JSON has it; an object whose ``format`` says what it is.
        expected: name of the format.

    Raises:
        ValueError: another format, or the block met a key that is not there or a wrong kind.
    """
    found = content.get("format") if isinstance(content, dict) else type(content).__name__
    if found != expected:
        raise ValueError(f"format {found!r}: expected {expected!r}")
    try:
        yield
    except KeyError as error:
        raise ValueError(f"no key {error}: expected all of {expected}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a value of the wrong kind ({error})") from error
