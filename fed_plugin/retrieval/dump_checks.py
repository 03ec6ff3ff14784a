"""What the arrays of a feature dump must be, one sentence for each that is not.

Shape shorthand: ``N`` images, ``D`` numbers of a descriptor, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = ("query", "gallery")
_BLOCK_ELEMENTS = 4_000_000  # numbers looked at together
_REAL = "float32 or float16"
# array -> kinds of its dtype, how they are called, axes, what to try
_ARRAYS: dict[str, tuple[str, str, str, str]] = {
    "features": ("f", _REAL, "(N, D)", "features.astype(np.float32)"),
    "pids": ("iu", "integers", "(N,)", "np.unique(pids, return_inverse=True)[1] to number them"),
    "camids": ("iu", "integers", "(N,)", "np.unique(camids, return_inverse=True)[1]"),
    "split": ("U", "strings", "(N,)", "np.array(split, dtype=str)"),
    "names": ("U", "strings", "(N,)", "np.array(names, dtype=str)"),
    "part_features": ("f", _REAL, "(N, P, C)", "part_features.astype(np.float32)"),
    "visibility": ("f", _REAL, "(N, P)", "visibility.astype(np.float32)"),
}


def check_arrays(**arrays: Any) -> None:
    """Refuse arrays that are not a feature dump.

    Args:
        arrays: by their names in the format; None for an optional one that is not there.

    Raises:
        ValueError: The first thing that is wrong; expected, got, try.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    for name, array in given.items():
        _check_kind(name, array)
    count = len(given["names"])
    for name, array in given.items():
        if len(array) != count:
            raise ValueError(
                f"{name} has {len(array)} entries and names {count}: expected one per image in "
                "every array; try writing them all in one loop"
            )
    _check_split(given["split"])
    _check_names(given["names"], given["split"])
    for name in ("features", "part_features", "visibility"):
        if name in given:
            _check_finite(name, given[name])
    _check_parts(given.get("part_features"), given.get("visibility"))


def _check_kind(name: str, array: Any) -> None:
    kinds, called, shape, attempt = _ARRAYS[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is a {type(array).__name__}: expected an array of {called}")
    axes = shape.count(",") + (not shape.endswith(",)"))
    if array.ndim != axes or 0 in array.shape[1:]:
        raise ValueError(f"{name} has shape {array.shape}: expected {shape}, N images")
    if array.dtype.kind not in kinds or (kinds == "f" and array.dtype.itemsize not in (2, 4)):
        raise ValueError(f"{name} holds {array.dtype}: expected {called}; try {attempt}")


def _check_split(split: NDArray[np.str_]) -> None:
    found = {str(value) for value in np.unique(split)}
    if unknown := sorted(found - set(SPLITS)):
        raise ValueError(
            f"split holds {unknown[0]!r}: expected 'query' or 'gallery' for each image"
        )
    if missing := [name for name in SPLITS if name not in found]:
        raise ValueError(
            f"split names no {missing[0]} image: expected at least one query and one gallery "
            "image; try dumping both splits into one file"
        )


def _check_names(names: NDArray[np.str_], split: NDArray[np.str_]) -> None:
    for which in SPLITS:
        values, counts = np.unique(names[split == which], return_counts=True)
        if values[0] == "":
            raise ValueError(f"names holds an empty name in {which}: expected file names")
        if (counts > 1).any():
            twice = str(values[counts.argmax()])
            raise ValueError(
                f"names holds {twice!r} {counts.max()} times in {which}: expected each name once "
                "in a split; try keeping the folder above the file in the name"
            )


def _check_finite(name: str, array: NDArray[Any]) -> None:
    for top, block in _blocks(array):
        broken = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if broken.size:
            raise ValueError(
                f"{name} holds NaN or infinity, first in row {top + broken[0]}: expected finite "
                "numbers; try checking the model (a diverged run? float16 ends at 65504)"
            )


def _check_parts(part_features: NDArray[Any] | None, visibility: NDArray[Any] | None) -> None:
    if visibility is None:
        return
    if visibility.min() < 0 or visibility.max() > 1:
        raise ValueError(
            f"visibility lies in [{visibility.min():g}, {visibility.max():g}]: expected shares in "
            "[0, 1], 1 where a part is visible"
        )
    if part_features is not None and part_features.shape[1] != visibility.shape[1]:
        raise ValueError(
            f"part_features has {part_features.shape[1]} parts and visibility "
            f"{visibility.shape[1]}: expected the same parts in both"
        )


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) of an array, flattened to two axes, a bounded part at a time."""
    rows = max(1, _BLOCK_ELEMENTS // max(1, array[0].size))
    for top in range(0, len(array), rows):
        block = array[top : top + rows]
        yield top, block.reshape(len(block), -1)
