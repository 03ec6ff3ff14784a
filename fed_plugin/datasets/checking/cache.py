"""Facts about files that have not changed since, kept in one small database of the user's."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from fed_plugin.datasets.checking.inspection import Facts

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
