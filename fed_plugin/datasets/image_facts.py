"""One image file, read to its last byte: what it is, or why nobody can read it."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import os
import signal
import sqlite3
import stat
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from fed_plugin.datasets.fingerprints import content_hash, mean_colors, perceptual_hash

# What an image of a person may come in, whatever its suffix says. All others are refused: some of
# PIL's readers start other programs.
_READERS = (
    *(JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile),
    *(BmpImagePlugin.BmpImageFile, GifImagePlugin.GifImageFile, WebPImagePlugin.WebPImageFile),
)
_FORMATS = tuple(reader.format for reader in _READERS if reader.format in Image.OPEN)
_MAX_BYTES = 256 << 20  # a file beyond is hashed, not decoded


@dataclass(frozen=True)
class Facts:
    """Hold what one file turned out to be.

    Attributes:
        sha256: of its bytes, in hex; empty where they could not be read.
        look: perceptual hash; None where the picture was not decoded.
        colors: mean colours in hex; empty where the picture was not decoded.
        width: in pixels; 0 where unknown.
        height: in pixels; 0 where unknown.
        kinds: what is unusual about it: ``"palette"``, ``"CMYK"``, ``"16-bit"``, ``"grey"``,
            ``"transparent"``, ``"several frames"``.
        problem: why it cannot be read; empty for a sound file.
        decoded: whether every pixel was asked for.
    """

    sha256: str = ""
    look: int | None = None
    colors: str = ""
    width: int = 0
    height: int = 0
    kinds: tuple[str, ...] = ()
    problem: str = ""
    decoded: bool = True

    def to_json(self) -> str:
        """Return the facts as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Facts:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        try:
            fields = json.loads(line)
            return cls(**{**fields, "kinds": tuple(fields["kinds"])})
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"expected the facts of a file, got {line!r}") from error


def inspect(path: str, *, decode: bool = True) -> Facts:
    """Read one file and say what it is; never raises for what is wrong with the file.

    Args:
        path: of anything: a broken link, a folder or a pipe is a file with a problem.
        decode: decode every pixel; otherwise the header alone is believed.
    """
    try:
        data = _read(path)
    except OSError as error:
        return Facts(problem=_reason(path, error), decoded=decode)
    if data is None:
        return Facts(content_hash(path), problem=f"over {_MAX_BYTES >> 20} MiB", decoded=decode)
    sha256 = hashlib.sha256(data).hexdigest()
    if not data.strip(b"\0"):
        nothing = "only zero bytes" if data else "empty file"
        return Facts(sha256, problem=nothing, decoded=decode)
    size, kinds = (0, 0), ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that nothing here reads
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                size, kinds = image.size, _kinds(image)
                look, colors = _decode(image) if decode else (None, "")
        problem = "cut off: its end is missing" if decode and _lacks_end(data) else ""
    except UnidentifiedImageError:
        return Facts(sha256, problem=f"no image in {', '.join(_FORMATS)}", decoded=decode)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        problem = f"over {Image.MAX_IMAGE_PIXELS} pixels, which PIL takes for a bomb"
    except Exception as error:  # every decoder raises its own kinds
        problem = f"{error or type(error).__name__}"
    else:
        return Facts(sha256, look, colors, *size, kinds, problem, decode)
    return Facts(sha256, None, "", *size, kinds, problem, decode)


def _read(path: str) -> bytes | None:
    """Return the bytes of a regular file; None for one that is too large."""
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise OSError("a folder")
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise OSError("no regular file")
    if found.st_size > _MAX_BYTES:
        return None
    with open(path, "rb") as file:
        return file.read()


def _reason(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"broken link to {os.readlink(path)}"
    return error.strerror or str(error)


def _kinds(image: Image.Image) -> tuple[str, ...]:
    """Name what is unusual about an image that is not decoded yet."""
    sixteen = image.mode.startswith("I") or any("16" in str(tile[3]) for tile in image.tile)
    return tuple(
        kind
        for kind, present in (
            ("palette", image.mode in ("P", "PA")),
            ("CMYK", image.mode == "CMYK"),
            ("16-bit", sixteen),
            ("grey", image.mode in ("1", "L", "LA")),
            ("transparent", "A" in image.getbands() or "transparency" in image.info),
            ("several frames", getattr(image, "is_animated", False)),
        )
        if present
    )


def _decode(image: Image.Image) -> tuple[int, str]:
    """Decode every pixel, as training will; return what the picture shows and its colours."""
    image.load()
    return perceptual_hash(image), mean_colors(image).hex()


def _lacks_end(data: bytes) -> bool:
    """Tell whether a JPEG or a PNG has no end, though it decodes: what is missing becomes grey."""
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # end of image, start of scan
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data


# Facts about files that have not changed since, kept in one small database of the user's.

Stamp = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns and inode of a file: another stamp, another file."""

_TABLE = "facts_2"  # another number whenever Facts or what fills them changes
_AT_ONCE = 500  # paths of one question
_WAIT = 5.0  # seconds for another check that is writing


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of a file, or None for one that cannot be looked at."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def default_cache() -> Path:
    """Return the database's place: ``XDG_CACHE_HOME``, or ``~/.cache`` without it."""
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path("~/.cache").expanduser()
    return base / "fed_plugin" / "data_check.sqlite"


class FactsCache:
    """Remember facts by path and stamp; what goes wrong with it is a warning, never an error.

    Args:
        file: of the database; made with its folder when the first facts are kept.

    Attributes:
        warnings: sentences about what went wrong.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        self.warnings: list[str] = []
        self._connection: sqlite3.Connection | None = None
        self._usable = True

    def recall(self, stamps: Mapping[str, Stamp], *, decoded: bool) -> dict[str, Facts]:
        """Return the facts of the files that have not changed.

        Args:
            stamps: per path, as the file is now.
            decoded: leave out facts of files that were not decoded.
        """
        known: dict[str, Facts] = {}
        paths = list(stamps)
        try:
            if not self.file.exists():
                return {}
            connection = self._open()
            for start in range(0, len(paths), _AT_ONCE):
                keys = {_key(path): path for path in paths[start : start + _AT_ONCE]}
                marks = ",".join("?" * len(keys))
                question = f"SELECT path, stamp, facts FROM {_TABLE} WHERE path IN ({marks})"
                for key, stamp, line in connection.execute(question, list(keys)):
                    path = keys[bytes(key)]
                    facts = _facts(line) if stamp == _text(stamps[path]) else None
                    if facts is not None and (facts.decoded or not decoded):
                        known[path] = facts
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return known

    def keep(self, rows: Iterable[tuple[str, Stamp, Facts]]) -> None:
        """Keep facts, at once on disk, so that an interrupted check loses few of them."""
        if not self._usable:
            return
        try:
            with self._open() as connection:
                connection.executemany(
                    f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?)",
                    [(_key(path), _text(stamp), facts.to_json()) for path, stamp, facts in rows],
                )
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
            except sqlite3.OperationalError:  # a new one, or one of another version
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {_TABLE} "  # another check may have been faster
                    "(path BLOB PRIMARY KEY, stamp TEXT, facts TEXT)"
                )
        return self._connection

    def _give_up(self, error: Exception) -> None:
        if self._usable:
            self.warnings.append(
                f"--cache {self.file}: not used ({error}); try deleting it, or naming a file in a "
                "folder that can be written"
            )
        self._usable = False


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _text(stamp: Stamp) -> str:
    return " ".join(map(str, stamp))


def _facts(line: str) -> Facts | None:
    try:
        return Facts.from_json(line)
    except ValueError:
        return None


# All files of a data set inspected, in several processes, each only once while it stays as is.

Progress = Callable[[int, int], None]

_CHUNK = 64  # files that a process inspects at once
_FEW = 500  # files that are inspected before processes have started
_QUEUED = 3  # chunks per process, so that none waits for the next

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """Hold the facts of all files.

    Attributes:
        facts: by path.
        inspected: how many files were read now; those of the others were remembered.
    """

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
    """Inspect files.

    What was inspected before Ctrl-C stays in the cache.

    Args:
        paths: of the files; a path that is there twice is inspected once.
        decode: decode every pixel; otherwise the headers alone are believed.
        workers: processes; by default as many as processors, for few files this one alone.
        cache: facts of earlier checks.
        progress: called with (files inspected, files to inspect).

    Raises:
        ValueError: ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected 1 or more processes")
    stamps = {path: stamp_of(path) for path in dict.fromkeys(paths)}
    known = {path: stamp for path, stamp in stamps.items() if stamp is not None}
    facts = cache.recall(known, decoded=decode) if cache else {}
    todo = [path for path in stamps if path not in facts]
    count = workers or (1 if len(todo) <= _FEW else os.cpu_count() or 1)
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    done = 0
    for chunk, found in _spread(chunks, decode, count):
        new = dict(zip(chunk, found, strict=True))
        facts |= new
        if cache:
            cache.keep(_lasting(new, known))
        done += len(chunk)
        if progress is not None:
            progress(done, len(todo))
    return Scan({path: facts[path] for path in stamps}, len(todo))


def inspect_all(paths: Sequence[str], decode: bool) -> list[Facts]:
    """Inspect a few files in this process."""
    return [inspect(path, decode=decode) for path in paths]


def _lasting(
    facts: dict[str, Facts], stamps: dict[str, Stamp]
) -> Iterator[tuple[str, Stamp, Facts]]:
    """Yield what is worth keeping: not of files that could not be opened, or that changed since."""
    for path, found in facts.items():
        if found.sha256 and path in stamps and stamp_of(path) == stamps[path]:
            yield path, stamps[path], found


def _spread(
    chunks: list[list[str]], decode: bool, workers: int
) -> Iterator[tuple[list[str], list[Facts]]]:
    """Yield each chunk with its facts, in any order."""
    if workers == 1 or len(chunks) <= 1:
        yield from ((chunk, inspect_all(chunk, decode)) for chunk in chunks)
        return
    context = multiprocessing.get_context("spawn")
    waiting = deque(chunks)
    running: dict[Future[list[Facts]], list[str]] = {}
    try:
        with ProcessPoolExecutor(workers, context, initializer=_leave_ctrl_c) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < workers * _QUEUED:
                        future = pool.submit(inspect_all, waiting[0], decode)
                        running[future] = waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        found = future.result()
                        yield running.pop(future), found
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        # A script without `if __name__ == "__main__"`, or a shell's stdin, cannot be spawned.
        logger.warning("worker processes ended early; inspecting the rest in this process")
        for chunk in [*running.values(), *waiting]:
            yield chunk, inspect_all(chunk, decode)


def _leave_ctrl_c() -> None:
    """Leave Ctrl-C to the process that asked, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
