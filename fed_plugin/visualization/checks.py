"""What the sheets accept: shapes, types and ranges, refused with one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def check_images(
    name: str, images: Any, shape: tuple[int | str, ...] = ("N", "H", "W", 3)
) -> NDArray[np.uint8]:
    """Return ``images`` if it is a uint8 array of the given shape without an empty axis.

    Args:
        name: argument name for the message.
        images: what a caller passed.
        shape: an axis each; a letter stands for any length, a number for itself.

    Raises:
        ValueError: another shape, another type, or nothing to show.
    """
    array = np.asarray(images)
    _check_shape(name, array, shape, "uint8 RGB images")
    if array.dtype != np.uint8:
        raise ValueError(
            f"{name}: expected uint8 in 0..255, got {array.dtype}; "
            "undo the normalisation and cast before drawing"
        )
    return array


def check_shares(name: str, values: Any, shape: tuple[int | str, ...]) -> NDArray[np.float64]:
    """Return ``values`` as float64 if they have the given shape and lie in [0, 1].

    Raises:
        ValueError: another shape, or a value outside [0, 1] or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    _check_shape(name, array, shape, "visibilities in [0, 1]")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(
            f"{name}: expected visibilities in [0, 1], got {array.min():.3g} to {array.max():.3g}"
        )
    return array


def check_booleans(
    name: str, values: Any, shape: tuple[int | str, ...], meaning: str
) -> NDArray[np.bool_]:
    """Return ``values`` if they are booleans of the given shape, true for what ``meaning`` says.

    Raises:
        ValueError: another shape or type.
    """
    array = np.asarray(values)
    _check_shape(name, array, shape, f"booleans, true where {meaning}")
    if array.dtype != np.bool_:
        raise ValueError(f"{name}: expected booleans, got {array.dtype}")
    return array


def check_scores(name: str, values: Any, shape: tuple[int | str, ...]) -> NDArray[np.float64]:
    """Return ``values`` as float64 if they have the given shape.

    Raises:
        ValueError: another shape.
    """
    array = np.asarray(values, dtype=np.float64)
    _check_shape(name, array, shape, "scores")
    return array


def check_titles(titles: Sequence[str] | None, count: int) -> list[str]:
    """Return one title per item; empty ones if there are none.

    Raises:
        ValueError: another number of titles than ``count``.
    """
    if titles is None:
        return [""] * count
    if isinstance(titles, str) or len(titles) != count:
        got = "one string" if isinstance(titles, str) else str(len(titles))
        raise ValueError(f"titles: expected {count}, one per row of images, got {got}")
    return [str(title) for title in titles]


def _check_shape(name: str, array: NDArray[Any], shape: tuple[int | str, ...], what: str) -> None:
    fits = array.ndim == len(shape) and all(
        wanted == length if isinstance(wanted, int) else length > 0
        for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted_shape = ", ".join(str(axis) for axis in shape)
        raise ValueError(
            f"{name}: expected ({wanted_shape}) {what}, none of them empty, got shape {array.shape}"
        )
