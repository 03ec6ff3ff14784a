"""Kinds of values that a config key takes: what is accepted, and how that is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What a key takes, whatever the other keys say.

    Attributes:
        expected: ends the sentence "expected ...".
        accepts: tells whether a value is that; never raises.
    """

    expected: str
    accepts: Callable[[Any], bool]


def one_of(*values: str) -> Kind:
    """Take one of some words."""
    return Kind(
        f"one of {', '.join(map(repr, values))}",
        lambda value: isinstance(value, str) and value in values,
    )


def switch() -> Kind:
    """Take True or False; 1 and 0 are numbers."""
    return Kind("True or False", lambda value: isinstance(value, bool))


def whole(low: float, high: float = float("inf"), expected: str = "") -> Kind:
    """Take whole numbers from ``low`` to ``high``, no booleans."""
    return Kind(
        expected or (f"{low} or more" if high == float("inf") else f"{low} to {high}"),
        lambda value: _is(value, Integral) and low <= value <= high,
    )


def number(low: float, high: float, expected: str, *, open_ends: bool = False) -> Kind:
    """Take finite numbers from ``low`` to ``high``, whole ones too but no booleans.

    Args:
        low: least that is taken.
        high: most that is taken.
        expected: how it is said.
        open_ends: whether ``low`` and ``high`` themselves are not taken.
    """
    return Kind(
        expected,
        lambda value: (
            _is(value, Real)
            and low <= value <= high  # which NaN is not
            and not (open_ends and value in (low, high))
        ),
    )


def share() -> Kind:
    """Take numbers in [0, 1]."""
    return number(0, 1, "a share in [0, 1]")


def several(count: int, element: Kind, expected: str) -> Kind:
    """Take ``count`` values of a kind, as a tuple or a list."""
    return Kind(
        expected,
        lambda value: (
            is_sequence(value) and len(value) == count and all(map(element.accepts, value))
        ),
    )


def pair(element: Kind, expected: str) -> Kind:
    """Take two values of a kind, as a tuple or a list."""
    return several(2, element, expected)


def text(expected: str, accepts: Callable[[str], bool] = lambda value: True) -> Kind:
    """Take words that ``accepts`` takes."""
    return Kind(expected, lambda value: isinstance(value, str) and accepts(value))


def words(expected: str) -> Kind:
    """Take any number of words that are not empty, as a tuple or a list."""
    return Kind(
        expected,
        lambda value: is_sequence(value) and all(isinstance(one, str) and one for one in value),
    )


def is_sequence(value: Any) -> bool:
    """Tell whether a value is a tuple or a list, as yacs has them."""
    return isinstance(value, (tuple, list))


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
