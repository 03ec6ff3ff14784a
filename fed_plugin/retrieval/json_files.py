"""Objects that are files of JSON: there whole or not at all, refused by name if not read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from fed_plugin.retrieval.whole_files import written_whole

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
