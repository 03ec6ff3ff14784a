"""Numbers with what is known of their uncertainty, and tables of them: one list of columns for all.

A table is a list of :class:`Column`. The terminal walks this list, and so do the report's Markdown,
CSV, JSON and HTML (:mod:`fed_plugin.report.grids`).
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fed_plugin.console import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters of texts that a spreadsheet would run."""


def number_text(value: float, spec: str = ".1f") -> str:
    """Format a number; a rounded zero has no sign, and ``g`` writes no exponent."""
    text = format(value, spec)
    if spec.endswith("g"):
        text = format(float(text), spec[: spec.startswith("+")] + ".10g")
    return text.lstrip("+-") if float(text) == 0 else text


@dataclass(frozen=True)
class Estimate:
    """Number with its interval, its p-value and its range over seeds; None where not known.

    ``f"{estimate:.1f}"`` is ``61.2 (60.0 to 62.0) [59.8, 62.7]``. A spec with ``+`` is for a
    difference: every number has a sign, and ``*`` marks an interval without zero and a
    p-value, if known, below 0.05.

    ``low`` and ``high`` are the ends of the interval, which holds ``level`` of the resamples;
    ``lowest`` and ``highest`` the values of one training seed; ``p`` is two-sided.

    Raises:
        ValueError: a number is not finite, or one of two ends is missing.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    lowest: float | None = None
    highest: float | None = None
    level: float = 0.95

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self}: expected both ends of an interval, or none")
        if (self.lowest is None) != (self.highest is None):
            raise ValueError(f"{self}: expected both ends of a range over seeds, or none")
        if not all(math.isfinite(one) for one in vars(self).values() if one is not None):
            raise ValueError(f"{self}: expected finite numbers")

    @property
    def mean(self) -> float:
        """The value of a mean over queries."""
        return self.value

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval leaves out 0: more than the draw of queries explains."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]

    @property
    def is_marked(self) -> bool:
        """Whether interval and p-value, as far as known, agree on a difference from 0."""
        return self.excludes_zero and (self.p is None or self.p < 1 - self.level)

    def parts(self, spec: str = ".1f") -> list[str]:
        """Return value, range over seeds, interval and p-value as texts, as far as known."""
        texts = [number_text(self.value, spec)]
        if self.lowest is not None and self.highest is not None and self.lowest < self.highest:
            texts.append(f"({number_text(self.lowest, spec)} to {number_text(self.highest, spec)})")
        if self.interval is not None:
            texts.append(f"[{', '.join(number_text(end, spec) for end in self.interval)}]")
        if self.p is not None:  # a test of 10,000 flips has no more digits
            texts.append("p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}")
        return texts

    def __format__(self, spec: str) -> str:
        texts = self.parts(spec or ".1f")
        if spec.startswith("+") and self.is_marked:
            texts.insert(len(texts) - (self.p is not None), "*")
        return " ".join(texts)

    def to_json(self) -> dict[str, float | None]:
        """Return value and interval, and the other numbers where they are known."""
        more = {name: getattr(self, name) for name in ("p", "lowest", "highest")}
        known = {name: number for name, number in more.items() if number is not None}
        return {"value": self.value, "low": self.low, "high": self.high, **known}


Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """Column of a table, for every renderer: key in JSON and CSV, and heading for people.

    ``cell`` returns a row's text, number or :class:`Estimate`; None where there is none. ``spec``
    formats numbers, ``+.1f`` for differences.
    """

    name: str
    title: str
    cell: Callable[[Row], Any]
    spec: str = ".1f"

    def parts(self, row: Row) -> list[str]:
        """Return the cell as texts, the value first."""
        value = self.cell(row)
        if isinstance(value, Estimate):
            return value.parts(self.spec)
        return [self.text(row)]

    def text(self, row: Row) -> str:
        """Return the cell as one text; ``-`` where there is none."""
        value = self.cell(row)
        if isinstance(value, Estimate):
            return format(value, self.spec)
        if isinstance(value, float):
            return number_text(value, self.spec)
        return "-" if value is None else str(value)


def as_text(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> str:
    """Return a table for a terminal."""
    from tabulate import tabulate

    lines = [[printable(column.text(row)) for column in columns] for row in rows]
    header = [column.title for column in columns]
    return tabulate(lines, headers=header, tablefmt="github", disable_numparse=True)


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line, also in a table."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", text)


def csv_cell(value: Any) -> Any:
    """Return a value for a CSV file that no spreadsheet runs."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return f"{value:.4f}" if isinstance(value, float) else value
