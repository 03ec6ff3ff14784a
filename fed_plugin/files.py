"""Write files atomically, read files without executing anything in them, and lock folders."""

from __future__ import annotations

import difflib
import errno
import hashlib
import io
import json
import logging
import os
import re
import secrets
import shutil
import stat
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypeVar

import msgspec
import yaml

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)
Kind = TypeVar("Kind")

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)(?:@(?P<host>.*)-\w+)?\.part", re.DOTALL)
"""Name of an unfinished file. Versions before this one wrote no host and no random end."""
_OPEN: set[Path] = set()
"""Unfinished files that this process writes now."""
_DAY = 86400.0  # seconds after which a free lock counts more than the name of the process
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a disk, a quota or a limit that is used up."""


class _Unfinished(io.FileIO):
    """File that keeps the first error of writing: libraries raise errors without its name."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = self.error or error
            raise


@contextmanager
def write_atomically(path: str | os.PathLike[str], *, flush: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``, and give it the name when the block ends well.

    A reader sees the old content or the new content, never half. After an error or Ctrl-C in the
    block the old content stays. A new file gets the mode that the umask asks for. A file that is
    replaced keeps its mode, and its owner where the system permits this. A link stays a link: the
    file behind the link is replaced. The first write into a folder removes what killed processes
    left there. ``flush`` waits until the content is on the disk.

    Raises:
        OSError: as :func:`check_writable`; or the disk is full or fails.
    """
    check_writable(path)
    target = Path(os.path.realpath(path))
    _sweep(target.parent)
    raw, lock, ours = None, -1, True
    try:
        raw, lock = _make_unfinished(target)
        with io.BufferedWriter(raw) as file:
            _keep_mode_and_owner(target, raw)
            ours = False
            yield file
            ours = True
            file.flush()
            if flush:
                os.fsync(file.fileno())
        os.replace(raw.name, target)
        if flush:
            _flush_folder(target.parent)
    except Exception as error:
        cause = error if ours and isinstance(error, OSError) else getattr(raw, "error", None)
        if cause is None:
            raise
        what = "room" if cause.errno in NO_ROOM else "a disk that takes it"
        named = OSError(
            f"{os.fspath(path)}: could not be written ({cause.strerror or cause}); what was there "
            f"before has not changed; expected {what}; try another disk, or again with more room"
        )
        named.errno = cause.errno
        raise named from cause
    finally:
        if raw is not None:
            Path(raw.name).unlink(missing_ok=True)
            _OPEN.discard(Path(raw.name))
        if lock >= 0:
            os.close(lock)


def _make_unfinished(target: Path) -> tuple[_Unfinished, int]:
    """Make a file of a new name and lock it; return it, and a second descriptor for its lock.

    The lock ends with the process. It therefore tells files that are being written from others,
    also between containers, whose processes have the same numbers.
    """
    # "x" and no mkstemp: mkstemp's mode 0600 hides the umask, and its folder's ACL
    short = os.fsdecode(os.fsencode(target.name)[:100])
    while True:
        end = f"{os.getpid()}@{gethostname()}-{secrets.token_hex(4)}"
        path = target.with_name(f".{short}.{end}.part")
        _OPEN.add(path)
        raw = _Unfinished(path, "x")
        locked = _lock(raw.fileno())
        if locked is None:
            return raw, -1
        if locked and os.path.exists(path):
            return raw, os.dup(raw.fileno())
        raw.close()  # another process took it for a dead one's
        _OPEN.discard(path)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file; False if another process has the lock, None where there are no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError) as error:
        busy = getattr(error, "errno", None) in (errno.EWOULDBLOCK, errno.EACCES)
        return False if busy else None
    return True


def write_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a text (UTF-8) or bytes atomically."""
    with write_atomically(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_json(path: str | os.PathLike[str], content: Any, indent: int | None = 1) -> None:
    """Write JSON atomically.

    Raises:
        ValueError: ``content`` holds a number that is not finite.
    """
    write_file(path, json.dumps(content, indent=indent, allow_nan=False) + "\n")


def remove_unfinished(folder: str | os.PathLike[str], pattern: str = "*") -> list[Path]:
    """Remove unfinished files of killed processes; return the removed paths.

    Folders below are not searched. ``pattern`` is that of the names of the finished files.
    """
    removed = []
    for path in Path(folder).glob(f".{pattern}.*.part"):
        match = _LEFTOVER.fullmatch(path.name)
        if match is None or path in _OPEN:
            continue
        try:
            descriptor = os.open(path, os.O_WRONLY | _NO_PIPE_NO_LINK)
        except OSError:  # of another user, or no file
            continue
        try:
            if _is_abandoned(descriptor, match):
                path.unlink(missing_ok=True)
                removed.append(path)
        finally:
            os.close(descriptor)
    return removed


_NO_PIPE_NO_LINK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


def _is_abandoned(descriptor: int, name: re.Match[str]) -> bool:
    """Return whether the writer of an unfinished file is dead."""
    status, locked = os.fstat(descriptor), _lock(descriptor)
    if not stat.S_ISREG(status.st_mode) or locked is False:
        return False
    if locked and name["host"] and time.time() - status.st_mtime > _DAY:
        return True  # whatever has the number now: a container's processes have low ones
    process = int(name["process"])  # this process may have the number of a dead one
    here = name["host"] in (None, gethostname())
    return here and (process == os.getpid() or not _is_running(process))


def is_unfinished(name: str) -> bool:
    """Return whether a base name is that of a file that is not whole."""
    return _LEFTOVER.fullmatch(name) is not None


def is_empty(folder: str | os.PathLike[str], *but: str) -> bool:
    """Return whether a folder holds no file but unfinished ones and those of the names ``but``.

    Unfinished files of killed processes are removed.
    """
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(where, name))]
        if links or not all(name in but or is_unfinished(name) for name in names):
            return False
        remove_unfinished(where)
    return True


def clear_folder(folder: str | os.PathLike[str], *but: str) -> None:
    """Remove all that a folder holds but the files of the names ``but``."""
    for path in Path(folder).iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in but:
            path.unlink(missing_ok=True)


@lru_cache(maxsize=1024)
def _sweep(folder: Path) -> None:
    """Remove old unfinished files, once per process: a list of a large folder takes long."""
    with suppress(OSError):
        for path in remove_unfinished(folder):
            logger.info("Removed an unfinished file of a killed process: %s", path)


def _is_running(process: int) -> bool:
    if os.name == "nt":  # os.kill(process, 0) would send Ctrl-C there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # of another user; no number of a process
        pass
    return True


def _keep_mode_and_owner(old: Path, file: _Unfinished) -> None:
    try:
        status = os.stat(old)
    except FileNotFoundError:
        return
    new = file.fileno() if os.chmod in os.supports_fd else file.name
    if hasattr(os, "chown"):
        for owner in ((-1, status.st_gid), (status.st_uid, -1)):
            with suppress(PermissionError):
                os.chown(new, *owner)
    os.chmod(new, stat.S_IMODE(status.st_mode))


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
    """Raise ValueError if ``path`` is a file that is needed, also where spelled differently."""
    if os.path.realpath(path) in map(os.path.realpath, read):
        raise ValueError(
            f"{path}: is read here, or written as something else; expected a file of its own; try "
            "another name"
        )


def below(folder: str | os.PathLike[str], name: str) -> Path | None:
    """Return the path of a name in a folder; None if the name, or a link in it, leads elsewhere."""
    try:
        root = Path(folder).resolve()
        path = (root / name).resolve()
    except (OSError, RuntimeError, ValueError):  # a ring of links; a name that no file can have
        return None
    return path if path != root and path.is_relative_to(root) else None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can be written to, before the work that makes the content.

    Raises:
        FileExistsError: ``path`` is a device, a pipe or a socket.
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: ``path`` is a folder.
        PermissionError: the folder cannot be written to.
    """
    target = Path(path)
    folder = Path(os.path.realpath(target)).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{target}: expected a file in an existing folder; try making it")
    if target.is_dir():
        raise IsADirectoryError(f"{target}: is a folder; expected the name of a file")
    try:
        others = stat.S_ISREG(os.stat(target).st_mode) is False
    except FileNotFoundError:
        others = False
    if others or _is_open_file(target):  # a rename would remove /dev/null
        expected = "expected the name of a file; try another name"
        raise FileExistsError(f"{target}: is a device or a pipe; {expected}")
    if not os.access(folder, os.W_OK):
        advice = "try a file in another folder"
        raise PermissionError(f"{target}: its folder cannot be written to; {advice}")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no folder can be made at, or written to, before the work.

    Raises:
        NotADirectoryError: ``path``, or what should hold it, is no folder.
        PermissionError: nothing can be written there.
    """
    above = Path(os.path.realpath(path))
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir() or _is_open_file(path):
        raise NotADirectoryError(f"{path}: {above} is no folder; expected one; try another name")
    if not os.path.isdir(path) and not os.access(above, os.W_OK | os.X_OK):  # may be complete
        raise PermissionError(f"{path}: {above} cannot be written to; try another folder")


def _is_open_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a path, or a link in it, names an open file, such as ``/dev/stdout``."""
    here = os.path.abspath(path)
    for _ in range(40):
        if os.path.realpath(os.path.dirname(here)).startswith("/proc/"):
            return True
        if not os.path.islink(here):
            return False
        here = os.path.join(os.path.dirname(here), os.readlink(here))
    return True


class OutputFile(str):
    """Argument of a command: a file that the command writes."""


class OutputFileInNewFolder(OutputFile):
    """Argument of a command: a file that the command writes, whose folder it makes."""


class OutputFolder(str):
    """Argument of a command: a folder that the command writes."""


def check_outputs(arguments: Mapping[str, Any]) -> None:
    """Refuse outputs among a command's arguments that cannot be written, before its work.

    Raises:
        OSError: as :func:`check_writable` and :func:`check_folder`.
        ValueError: a file to write is another argument, too, or is ``-``.
    """
    taken: list[str] = []
    for value in arguments.values():
        words = value if isinstance(value, list | tuple) else [value]
        taken += [word for word in words if isinstance(word, str) and os.path.isfile(word)]
    taken += [value for value in arguments.values() if isinstance(value, OutputFile)]
    for name, path in arguments.items():
        if isinstance(path, OutputFolder):
            check_folder(path)
        if not isinstance(path, OutputFile):
            continue
        if path == "-":
            raise ValueError(f"--{name} -: expected the name of a file; tables go to stdout")
        folder = os.path.dirname(os.path.realpath(path))
        if isinstance(path, OutputFileInNewFolder) and not os.path.lexists(folder):
            check_folder(folder)
        else:
            check_writable(path)
        check_apart(path, [word for word in taken if word is not path])


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; refuse anything that could wait for ever or never end.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: a folder, a pipe, a socket or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "a folder", os.fspath(path))
    raise OSError(errno.EINVAL, "no regular file", os.fspath(path))


# Files of plain arrays (``.npz``).


def read_arrays(
    path: str | os.PathLike[str],
    called: str,
    remedy: str = "np.savez with arrays of numbers and strings",
) -> dict[str, NDArray[Any]]:
    """Read an ``.npz`` without executing anything in the file.

    Messages call such a file ``called``, such as "a feature dump"; ``remedy`` is how to make one.

    Raises:
        ValueError: the file is something else.
    """
    import numpy as np

    try:
        with open_regular(path) as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                raise ValueError("it holds one bare array; try np.savez")
            refuse_bomb(content.zip)
            _check_count(file, len(content.files))
            arrays = {}
            for name in content.files:
                try:
                    arrays[name] = content[name]
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from error
                if not hasattr(arrays[name], "dtype"):
                    raise ValueError(f"{name}: no array")
            return arrays
    except Exception as error:  # zipfile, zlib and NumPy's parsers raise a dozen kinds on noise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: not {called} that can be read ({why}); expected an .npz of plain "
            f"arrays, whole and without pickled objects; try {remedy}"
        ) from error


def refuse_bomb(archive: Any) -> None:
    """Refuse a small ``zipfile.ZipFile`` that becomes large when it is unpacked.

    Raises:
        ValueError: the content is over a hundred times as large as the file, and large.
    """
    large = sum(entry.file_size for entry in archive.infolist())
    if large > max(100 * archive.fp.seek(0, os.SEEK_END), 256 << 20):
        raise ValueError(f"it would take {large >> 20} MB of memory, as a decompression bomb does")


def _check_count(file: BinaryIO, listed: int) -> None:
    """Refuse a zip that lists fewer arrays than it counts; ``zipfile`` does not compare the two.

    One wrong byte in the list hides the arrays after this byte, optional ones without a trace.
    """
    end = struct.Struct("<4s6xH10x")  # the record that ends a zip without a comment
    file.seek(-end.size, os.SEEK_END)
    signature, counted = end.unpack(file.read(end.size))
    if signature == b"PK\x05\x06" and counted not in (listed, 0xFFFF):  # 0xFFFF: counted elsewhere
        raise ValueError(f"it lists {listed} arrays and counts {counted}")


def about_as_text(about: Mapping[str, Any]) -> str:
    """Return facts about arrays as JSON.

    Raises:
        ValueError: JSON cannot hold a value.
    """
    try:
        return json.dumps(dict(about), allow_nan=False)
    except (TypeError, ValueError) as error:
        expected = "expected what JSON can hold: text, numbers, lists, objects"
        raise ValueError(f"about: {error}; {expected}") from error


def about_from_array(array: NDArray[Any]) -> dict[str, Any]:
    """Read the facts of :func:`about_as_text` from an array.

    Raises:
        ValueError: the array holds something else.
    """
    if array.ndim or array.dtype.kind != "U":
        got = f"about is {array.dtype} of shape {array.shape}"
        raise ValueError(f"{got}: expected one string; try about=np.array(json.dumps({{...}}))")
    return decode(str(array).encode(), dict[str, Any], "the JSON object of about")


# One process at a time works in a folder.

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class FolderInUseError(RuntimeError):
    """Refusal of a folder that another process works in."""


class FolderLock:
    """Lock of a folder, held by the kernel: the lock ends with the process that holds it.

    The lock is on a file in the folder, which stays there. A second file names the holder. A
    process that was started with ``pass_fds=lock.descriptors`` holds the lock too, as long as the
    process lives. On a file system without locks a warning is logged, and nothing is locked.

    Args:
        folder: folder to lock; a folder that does not exist is made.
        name: name of the lock file.
        work: what the holder does, for the message: "process 7 on host ``work``".
        remedy: what to try instead, for the message.
        label: what messages call the folder; None takes its path.
        patience: seconds that children of a dead holder get to end.
        wait: seconds to wait for a living holder.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str = ".lock",
        *,
        work: str = "works in it",
        remedy: str = "waiting for it, or another folder",
        label: str | None = None,
        patience: float = 15.0,
        wait: float = 0.0,
    ) -> None:
        self.path = Path(folder, name)
        self._note = Path(folder, f"{name}.holder")  # old filelocks empty the lock file
        self.label = label or str(folder)
        self.work, self.remedy, self.patience, self.wait = work, remedy, patience, wait
        self._lock: Any = None

    def __enter__(self) -> FolderLock:
        """Take the lock.

        Raises:
            FolderInUseError: another process holds the lock.
            OSError: the lock file cannot be written.
        """
        import filelock

        if self.path.is_symlink():  # which older filelocks follow, and empty what is behind
            raise OSError(f"{self.path}: is a link; expected a lock file; try another folder")
        lock, start = filelock.FileLock(self.path), time.monotonic()
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire(blocking=False)
                break
            except filelock.Timeout:
                process = host = ""
                with suppress(OSError, ValueError):
                    note = self._note.read_text(encoding="utf-8")
                    process, host = (word.strip() for word in note.partition(" ")[::2])
                dead = host == gethostname() and process.isdigit() and not _is_running(int(process))
                if time.monotonic() - start >= (self.patience if dead else self.wait):
                    holder = f"process {process} on {host or '?'}" if process else "another process"
                    raise FolderInUseError(
                        f"{self.label}: {holder} {self.work} (lock file {self.path.name}); "
                        f"expected one process at a time; try {self.remedy}"
                    ) from None
                time.sleep(0.1)
            except (OSError, NotImplementedError) as error:
                if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                    raise OSError(
                        f"{self.label}: its lock file {self.path.name} cannot be written "
                        f"({error.strerror or error}); expected a folder that can be written to; "
                        "try another folder"
                    ) from error
                return self._unguarded()
        if isinstance(lock, filelock.SoftFileLock):  # a dead process would hold it for ever
            lock.release()
            return self._unguarded()
        self._lock = lock
        with suppress(OSError):  # the lock counts, not the note; a planted link is not followed
            self._note.unlink(missing_ok=True)
            with self._note.open("x", encoding="utf-8") as note:
                note.write(f"{os.getpid()} {gethostname()}\n")
        return self

    def __exit__(self, *error: object) -> None:
        if self._lock is not None:
            with suppress(OSError):
                self._note.unlink()
            self._lock.release()
            self._lock = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Descriptors for ``subprocess.Popen(pass_fds=...)``: a child holds the lock with them."""
        descriptor = self._lock and self._lock._context.lock_file_fd
        return () if descriptor is None or os.name == "nt" else (descriptor,)

    def _unguarded(self) -> FolderLock:
        logger.warning(
            "%s: this file system has no locks; a second process in the folder would not be "
            "noticed; expected one process at a time",
            self.label,
        )
        return self


def list_hash(paths: Iterable[str]) -> str:
    """Return the sha256 of a file list, the same for every copy of a data set.

    The list holds all base names as UTF-8, sorted by their bytes, a newline after each. In a shell:
    ``ls -U query | LC_ALL=C sort | sha256sum``.
    """
    names = sorted(os.fsencode(os.path.basename(path)) for path in paths)
    return hashlib.sha256(b"".join(name + b"\n" for name in names)).hexdigest()


# Content of a declared type: a ``msgspec.Struct``, a dataclass, a list or dict of these.

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}


def decode(source: str | os.PathLike[str] | bytes, kind: type[Kind] | Any, called: str) -> Kind:
    """Read JSON, from a file or bytes, as a declared type; messages call it ``called``.

    A type may explain a field by ``Annotated[int, msgspec.Meta(ge=0, description="a count")]``;
    the message then asks for "a count".

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: the content is something else; the message names file and field.
    """
    where = "" if isinstance(source, bytes) else f"{source}: "
    data = source
    if not isinstance(data, bytes):
        with open_regular(data) as file:
            data = file.read()
    try:
        content = msgspec.json.decode(data)
        if _MANY_DIGITS.search(data):
            _refuse_huge_numbers(content)
        return convert(content, kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        no_json = isinstance(error, msgspec.DecodeError | UnicodeDecodeError | RecursionError)
        reason = f"no JSON ({error})" if no_json else error
        raise ValueError(f"{where}not {called}: {reason}") from error


def object_in(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the object in a file of JSON; an empty one if the file holds or gives none."""
    try:
        return decode(path, dict[str, Any], "an object")
    except (OSError, ValueError):
        return {}


_MANY_DIGITS = re.compile(rb"\d{19}")


def _refuse_huge_numbers(content: Any) -> None:
    """Refuse whole numbers that no array holds."""
    if isinstance(content, int) and abs(content) >= 1 << 63:
        raise ValueError(f"a whole number of {len(str(content))} digits; expected at most 18")
    below = content.values() if isinstance(content, dict) else content
    for entry in below if isinstance(content, list | dict) else ():
        _refuse_huge_numbers(entry)


def convert(content: Any, kind: type[Kind]) -> Kind:
    """Return parsed JSON or YAML as a declared type.

    Raises:
        ValueError: the content is something else; the message names the field.
    """
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_reason(str(error), msgspec.inspect.type_info(kind), content)) from error


def _reason(message: str, kind: Any, content: Any) -> str:
    text, _, place = message.partition(" - at `$")
    path = label = expected = ""
    for token in ("", *re.findall(r"\[[^\]]*\]|\.[^.\[`]+", place)):
        kind, content = _below(kind, content, token)
        path += token
        if described := _description(kind):
            label, expected, got = path, described, content
    where, label = (f"{one.lstrip('.')}: " if one else "" for one in (path, label))
    key = re.fullmatch("Object (missing required|contains unknown) field `(.+)`", text)
    if key and key[1] == "missing required":
        return f"{where}expected the key {key[2]!r}{_got(content, _listed)}"
    if key:
        alike = difflib.get_close_matches(key[2], _fields(kind), n=1)
        hint = f"; try {alike[0]}" if alike else ""
        return f"{where}expected no key {key[2]!r}, only {_listed(_fields(kind))}{hint}"
    if not text.startswith(("Expected", "Invalid")):  # of a __post_init__
        return where + text
    if expected:
        return f"{label}expected {expected}{_got(got)}"
    if content is not ...:
        text = re.sub(", got `.*`", "", text)
    text = text.replace("Expected", "expected").replace(" | ", "` or `")
    text = re.sub("`(.*?)`", lambda name: _WORDS.get(name[1], name[1]), text)
    return f"{where}{text}{_got(content)}"


def _options(kind: Any) -> tuple[Any, ...]:
    return getattr(kind, "types", (kind,))


def _below(kind: Any, content: Any, token: str) -> tuple[Any, Any]:
    """Return type and content one step down; ``...`` if the message does not name the step."""
    if not token:
        return kind, content
    name, known = token.strip(".[]"), None
    for option in map(_plain, _options(kind)):
        fields = {field.encode_name: field.type for field in _fields(option).values()}
        items = getattr(option, "item_types", ())
        known = known or fields.get(name) or getattr(option, "item_type", None)
        known = known or getattr(option, "value_type", None) or next(iter(items), None)
    with suppress(TypeError, KeyError, IndexError, ValueError):
        return known, content[int(name) if token[0] == "[" else name]
    return known, ...


def _got(content: Any, show: Callable[[Any], str] = lambda content: f"{content!r:.60}") -> str:
    return "" if content is ... else f", got {show(content)}"


def _plain(kind: Any) -> Any:
    return kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind


def _fields(kind: Any) -> dict[str, Any]:
    options = map(_plain, _options(kind))
    return {field.encode_name: field for one in options for field in getattr(one, "fields", ())}


def _description(kind: Any) -> str:
    for option in _options(kind):
        if isinstance(option, msgspec.inspect.Metadata) and option.extra_json_schema:
            return str(option.extra_json_schema.get("description", ""))
        if isinstance(option, msgspec.inspect.LiteralType):
            return " or ".join(map(repr, option.values))
    return ""


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) if names else "nothing"


# Objects with a file of JSON.

Stored = TypeVar("Stored", bound="StoredAsJson")


class StoredAsJson:
    """Base of a class with ``to_json`` and ``from_json`` that gets a file."""

    CALLED: ClassVar[str]
    """Name of such a file in messages, such as "a result"."""
    to_json: Callable[..., dict[str, Any]]
    from_json: Callable[..., Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file."""
        write_json(path, self.to_json(), indent=None)

    @classmethod
    def load(cls: type[Stored], path: str | os.PathLike[str]) -> Stored:
        """Read a file.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is something else.
        """
        content = decode(path, Any, cls.CALLED)
        try:
            return cls.from_json(content)
        except ValueError as error:
            raise ValueError(f"{path}: not {cls.CALLED}: {error}") from error


# YAML: configs, plans, and whatever else somebody wrote by hand.
#
# A few lines of YAML can stand for billions of values: an alias repeats what its anchor holds. The
# reader counts values as often as aliases repeat them, and stops before it builds any of them.

MOST_VALUES = 20_000
MOST_LETTERS = 1_000_000
MOST_FLOORS = 50
MOST_DIGITS = {"tag:yaml.org,2002:int": 19, "tag:yaml.org,2002:float": 100}


class BoundedLoader(yaml.SafeLoader):
    """Safe loader that counts values, as often as aliases repeat them, before it builds any."""

    def __init__(self, text: str, name: str, refuses_twins: bool) -> None:
        super().__init__(text)
        self.name, self._refuses_twins = name, refuses_twins
        self._values = self._floors = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a node; an alias counts as much as its anchor."""
        event, before = self.peek_event(), self._values
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise self._refusal(f"*{event.anchor} is a part of itself", event)
            self._count(self._sizes[id(node)], event)
            return node
        text = event.value if isinstance(event, yaml.ScalarEvent) else ""
        self._count(1 + len(text) * MOST_VALUES // MOST_LETTERS, event)
        self._floors += 1
        if self._floors > MOST_FLOORS:
            raise self._refusal(f"more than {MOST_FLOORS} values in each other", event)
        node = super().compose_node(parent, index)
        self._floors -= 1
        if len(text) > MOST_DIGITS.get(node.tag, MOST_LETTERS):
            raise self._refusal(f"a number of {len(text)} digits; try quotes for a text", event)
        self._sizes[id(node)] = self._values - before
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; look for keys that stand twice."""
        seen = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen and self._refuses_twins:
                raise self._refusal(f"{key!r:.60} stands there twice", node)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def _count(self, values: int, event: Any) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            much = f"more than {MOST_VALUES} values or {MOST_LETTERS} letters"
            raise self._refusal(f"{much}, counted as often as aliases repeat them", event)

    def _refusal(self, problem: str, event: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def load_yaml(source: Any, *, refuses_twins: bool = False) -> Any:
    """Return what a text of YAML, or an open text file, holds.

    If a key stands twice, the last value counts; with ``refuses_twins`` the key is an error.

    Raises:
        yaml.YAMLError: the text is no YAML, or stands for too much.
    """
    try:
        text = source if isinstance(source, str) else source.read(MOST_LETTERS + 1)
        if len(text) > MOST_LETTERS:
            raise yaml.YAMLError(f"more than {MOST_LETTERS} letters")
        name = str(getattr(source, "name", "<text>"))
        return BoundedLoader(text, name, refuses_twins).get_single_data()
    except yaml.YAMLError:
        raise
    except Exception as error:  # PyYAML's constructors raise any kind on a tag such as !!bool x
        raise yaml.YAMLError(str(error) or type(error).__name__) from error


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a config by dotted key; tuples become lists, as in JSON and YAML."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _with_lists(value)
    return flat


def _with_lists(value: Any) -> Any:
    return [_with_lists(entry) for entry in value] if isinstance(value, (list, tuple)) else value
