"""One image of somebody's own data, before identities and cameras become numbers."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from fed_plugin.datasets.own.wording import named

NOBODY = "-1"
"""Market-1501's mark for a detection that is nobody: such images are passed over."""

_LONGEST_NUMBER = 18  # digits that surely fit the int64 of a batch


@dataclass(frozen=True)
class Record:
    """One image as a folder or a table tells it.

    Attributes:
        path: of the image.
        identity: who it shows, written as :func:`canonical` does.
        camera: which camera took it, likewise; None where that is not told.
        split: ``"train"``, ``"query"``, ``"gallery"``, ``"test"`` (to be divided into queries and
            gallery), or None where no split is given.
    """

    path: str
    identity: str
    camera: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        records: one per image.
        sentences: what was found and how it was read.
        passed_over: paths of the files that are not part of the data, and of empty folders (these
            end in a separator).
    """

    records: list[Record]
    sentences: list[str]
    passed_over: list[str] = field(default_factory=list)


def canonical(name: str) -> str:
    """Write a name the way every platform agrees on.

    Accents are composed (macOS stores them decomposed) and natural numbers lose leading zeros, so
    that ``0001`` and ``1`` are one identity everywhere.
    """
    name = unicodedata.normalize("NFC", name)
    return (name.lstrip("0") or "0") if _is_number(name) else name


def spelled_differently(names: Iterable[str]) -> list[str]:
    """Return a sentence if names that are not the same letters are one identity."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(canonical(name), set()).add(name)
    several = [" = ".join(sorted(found)) for found in spellings.values() if len(found) > 1]
    if not several:
        return []
    return [f"One identity, spelled differently: {named(sorted(several))}."]


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Give each name an int: its own value where all are natural numbers, else its sorted place.

    Args:
        names: canonical; repetitions do not matter.
    """
    different = sorted(set(names))
    if all(_is_number(name) and len(name) <= _LONGEST_NUMBER for name in different):
        return {name: int(name) for name in sorted(different, key=int)}
    return {name: place for place, name in enumerate(different)}


def keep_their_value(numbers: dict[str, int]) -> bool:
    """Say whether :func:`numbered` left every name its own value."""
    return all(name == str(number) for name, number in numbers.items())


def in_order(records: Iterable[Record]) -> list[Record]:
    """Sort by path, the same on every platform."""
    return sorted(records, key=lambda record: record.path.replace(os.sep, "/"))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()
