"""Files of plain arrays (``.npz``), read without executing anything of them."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def read_arrays(
    path: str | os.PathLike[str],
    called: str,
    remedy: str = "np.savez with arrays of numbers and strings",
) -> dict[str, NDArray[Any]]:
    """Read an ``.npz``, executing nothing of it.

    Args:
        path: an existing file.
        called: what it should be, such as "a feature dump".
        remedy: what makes such a file; the message says to try it.

    Raises:
        ValueError: It is something else; the message names the file.
    """
    try:
        with Path(path).open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                raise ValueError("it holds one bare array; try np.savez")
            _check_count(file, len(content.files))
            return {name: _array(name, content) for name in content.files}
    except Exception as error:  # zipfile, zlib and NumPy's parsers raise a dozen kinds on noise
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path}: not {called} that can be read ({why}); expected an .npz of plain "
            f"arrays, whole and without pickled objects; try {remedy}"
        ) from error


def _check_count(file: BinaryIO, found: int) -> None:
    """Refuse a zip that lists fewer arrays than it counts, which ``zipfile`` does not look at.

    One wrong byte in the list hides the arrays behind it, optional ones without a trace.
    """
    end = struct.Struct("<4s6xH10x")  # the record that ends a zip without a comment
    file.seek(-end.size, os.SEEK_END)
    signature, counted = end.unpack(file.read(end.size))
    if signature == b"PK\x05\x06" and counted not in (found, 0xFFFF):  # 0xFFFF: counted elsewhere
        raise ValueError(f"it lists {found} arrays and counts {counted}")


def _array(name: str, content: Any) -> NDArray[Any]:
    try:
        array = content[name]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name}: no array")
    return array


def about_as_text(about: Mapping[str, Any]) -> str:
    """Return as JSON what is known of arrays.

    Raises:
        ValueError: JSON cannot hold it.
    """
    try:
        return json.dumps(dict(about), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"about: {error}; expected what JSON can hold: text, numbers, lists, objects"
        ) from error


def about_from_array(array: NDArray[Any]) -> dict[str, Any]:
    """Read the array that holds :func:`about_as_text`.

    Raises:
        ValueError: It is something else.
    """
    if array.ndim or array.dtype.kind != "U":
        raise ValueError(
            f"about is {array.dtype} of shape {array.shape}: expected one string; try "
            "about=np.array(json.dumps({...}))"
        )
    try:
        about = json.loads(str(array))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"about is no JSON ({error}): expected an object, {{...}}") from error
    if not isinstance(about, dict):
        raise ValueError(f"about is a JSON {type(about).__name__}: expected an object, {{...}}")
    return about
