"""Facts about image files: format, size, hashes and faults, remembered until a file changes."""

from __future__ import annotations

import hashlib
import io
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from PIL import Image, UnidentifiedImageError

from fed_plugin.datasets.fingerprints import content_hash, mean_colors, perceptual_hash
from fed_plugin.files import open_regular
from fed_plugin.photos import FORMATS, has_more_than_8_bits, opaque, open_photo
from fed_plugin.pool import spread

_MAX_BYTES = 256 << 20  # a file beyond is hashed, not decoded


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts about one file, with its size in pixels; None, empty or 0 where a fact is not known.

    Attributes:
        sha256: of the bytes, in hex.
        look: perceptual hash.
        colors: mean colours in hex.
        kinds: unusual properties: ``"palette"``, ``"CMYK"``, ``"16-bit"``, ``"grey"``,
            ``"transparent"``, ``"several frames"``.
        problem: reason why the file cannot be read; empty for a sound file.
        decoded: whether every pixel was decoded.
    """

    sha256: str = ""
    look: int | None = None
    colors: str = ""
    width: int = 0
    height: int = 0
    kinds: tuple[str, ...] = ()
    problem: str = ""
    decoded: bool = True


def inspect(path: str, *, decode: bool = True) -> Facts:
    """Read one file, or without ``decode`` its header; never raise for what is wrong with the file.

    The path may be that of anything: a broken link, a folder or a pipe is a file with a problem.
    """
    try:
        with open_regular(path) as file:
            too_large = os.fstat(file.fileno()).st_size > _MAX_BYTES
            data = b"" if too_large else file.read()
    except OSError as error:
        broken = isinstance(error, FileNotFoundError) and os.path.islink(path)
        reason = f"broken link to {os.readlink(path)}" if broken else error.strerror or str(error)
        return Facts(problem=reason, decoded=decode)
    if too_large:
        return Facts(content_hash(path), problem=f"over {_MAX_BYTES >> 20} MiB", decoded=decode)
    sha256 = hashlib.sha256(data).hexdigest()
    if not data.strip(b"\0"):
        nothing = "only zero bytes" if data else "empty file"
        return Facts(sha256, problem=nothing, decoded=decode)
    size, kinds, look, colors, problem = (0, 0), (), None, "", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of metadata that nothing here reads
            with open_photo(io.BytesIO(data)) as image:
                size, kinds = image.size, _kinds(image)
                if decode:  # every pixel, as training does
                    whole = opaque(image)
                    look, colors = perceptual_hash(whole), mean_colors(whole).hex()
        problem = "cut off: its end is missing" if decode and _lacks_end(data) else ""
    except UnidentifiedImageError:
        problem = f"no image in {', '.join(FORMATS)}"
    except Exception as error:  # every decoder raises its own kinds
        problem = f"{error or type(error).__name__}"
    return Facts(sha256, look, colors, *size, kinds, problem, decode)


def _kinds(image: Image.Image) -> tuple[str, ...]:
    """Name the unusual properties of an image that is not decoded yet."""
    properties = {
        "palette": image.mode in ("P", "PA"),
        "CMYK": image.mode == "CMYK",
        "16-bit": has_more_than_8_bits(image),
        "grey": image.mode in ("1", "L", "LA"),
        "transparent": "A" in image.getbands() or "transparency" in image.info,
        "several frames": getattr(image, "is_animated", False),
    }
    return tuple(kind for kind, present in properties.items() if present)


def _lacks_end(data: bytes) -> bool:
    """Return whether a JPEG or PNG has no end: it decodes, but its missing part is grey."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of scan
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data


# Facts about files that have not changed, kept in one small database of the user.

Stamp = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns and inode of a file: a file with another stamp is another file."""

_TABLE = "facts_3"  # another number whenever Facts or the functions that fill them change
_AT_ONCE = 500  # paths of one question
_WAIT = 5.0  # seconds for another check that is writing


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of a file, or None for a file that does not exist or is out of reach."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def default_cache() -> Path:
    """Return the database's place: ``XDG_CACHE_HOME``, or ``~/.cache`` without it."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return home / "fed_plugin" / "data_check.sqlite"


class FactsCache:
    """Facts by path and stamp, in a database; a fault of the database is a warning, no error.

    The file and its folder are made when the first facts are kept.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        self.warnings: list[str] = []
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def recall(self, stamps: Mapping[str, Stamp], *, decoded: bool) -> dict[str, Facts]:
        """Return the facts of files that still have these stamps; perhaps of decoded ones alone."""
        known: dict[str, Facts] = {}
        try:
            paths = list(stamps) if self.file.exists() else []
            for start in range(0, len(paths), _AT_ONCE):
                keys = {_key(path): path for path in paths[start : start + _AT_ONCE]}
                marks = ",".join("?" * len(keys))
                question = f"SELECT path, stamp, facts FROM {_TABLE} WHERE path IN ({marks})"
                for key, stamp, line in self._open().execute(question, list(keys)):
                    path = keys.get(key, "")
                    facts = _facts(line) if path and stamp == _text(stamps[path]) else None
                    if facts is not None and (facts.decoded or not decoded):
                        known[path] = facts
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return known

    def keep(self, rows: Iterable[tuple[str, Stamp, Facts]]) -> None:
        """Write facts to the disk at once: an interrupted check loses few of them."""
        if not self._usable:
            return
        try:
            with self._open() as connection:
                for path, stamp, facts in rows:
                    values = (_key(path), _text(stamp), msgspec.json.encode(facts).decode())
                    connection.execute(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?)", values)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.file, timeout=_WAIT)
            try:
                self._connection.execute(f"SELECT path, stamp, facts FROM {_TABLE} LIMIT 1")
            except sqlite3.OperationalError:  # a new database, or one of another version
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_TABLE} "  # another check may have been faster
                    "(path BLOB PRIMARY KEY, stamp TEXT, facts TEXT)"
                )
        return self._connection

    def _give_up(self, error: Exception) -> None:
        if self._usable:
            self.warnings.append(
                f"cache {self.file}: not used ({error}); try deleting the file, or naming a file "
                "in a folder that can be written"
            )
        self._usable = False


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _text(stamp: Stamp) -> str:
    return " ".join(map(str, stamp))


def _facts(line: str | bytes) -> Facts | None:
    try:
        facts = msgspec.json.decode(line, type=Facts)
    except (msgspec.MsgspecError, UnicodeError, TypeError):
        return None
    return facts if facts.sha256 else None


# The facts of all files of a data set, collected by several processes.

Progress = Callable[[int, int], None]

_CHUNK = 64  # files that a process inspects at once
_FEW = 500  # files that this process has inspected before other processes have started


@dataclass(frozen=True)
class Scan:
    """Facts of all files by path; ``inspected`` files were read now, the others remembered."""

    facts: dict[str, Facts]
    inspected: int


def scan(
    paths: Sequence[str],
    *,
    decode: bool = True,
    workers: int | None = None,
    cache: FactsCache | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Inspect files; after Ctrl-C the cache keeps the facts of the files that were read.

    A repeated path is inspected once. Without ``decode``, the headers alone are read. Without
    ``workers``, there is a process per processor, for few files this one alone. ``progress`` is
    called with (files inspected, files to inspect).

    Raises:
        ValueError: ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: expected 1 or more processes; try 1")
    stamps = {path: stamp_of(path) for path in dict.fromkeys(paths)}
    known = {path: stamp for path, stamp in stamps.items() if stamp is not None}
    facts = cache.recall(known, decoded=decode) if cache else {}
    todo = [path for path in stamps if path not in facts]
    count = workers or (1 if len(todo) <= _FEW else os.cpu_count() or 1)
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    done = 0
    for chunk, results in spread(partial(inspect_all, decode=decode), chunks, count):
        new = dict(zip(chunk, results, strict=True))
        facts |= new
        if cache:
            cache.keep(  # of files that could be opened and did not change since
                (path, known[path], one)
                for path, one in new.items()
                if one.sha256 and path in known and stamp_of(path) == known[path]
            )
        done += len(chunk)
        if progress is not None:
            progress(done, len(todo))
    return Scan({path: facts[path] for path in stamps}, len(todo))


def inspect_all(paths: Sequence[str], decode: bool) -> list[Facts]:
    """Inspect a few files in this process."""
    return [inspect(path, decode=decode) for path in paths]
