"""How counts and names are written in sentences that go to a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence

from fed_plugin.datasets.listing import printable

_SHOWN = 6  # names in a sentence
_LONGEST = 160  # characters of a name


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return ``"1 image"`` or ``"1,234 images"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def identities(number: int) -> str:
    """Return ``"1 identity"`` or ``"2 identities"``."""
    return counted(number, "identity", "identities")


def named(names: Sequence[str]) -> str:
    """Name the first few, then say how many more there are."""
    listed = ", ".join(map(shown, names[:_SHOWN]))
    more = len(names) - _SHOWN
    return f"{listed} and {more:,} more" if more > 0 else listed


def shown(text: str) -> str:
    """Make a name fit a line of a terminal or a log: printable, and not endless."""
    safe = printable(text)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}..."
