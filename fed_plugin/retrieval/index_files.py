"""The file of a gallery index.

``.npz``, nothing pickled: ``names`` (G,) strings, ``descriptors`` (G, D) float32 of unit length,
optional ``visibility`` (G, P), and ``about``, a JSON object whose ``model`` says which model
described them. A compressed index has, in the place of ``descriptors``, what
``CompressedDescriptors`` describes: ``axes`` (S + R, D), ``low`` and ``step`` (R,), ``scanned``
(G, S) float32, ``codes`` (G, R) uint8, and the numbers ``candidates`` and ``lost``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.array_files import about_as_text, about_from_array, read_arrays
from fed_plugin.retrieval.compressed_descriptors import CompressedDescriptors
from fed_plugin.retrieval.exact_descriptors import ExactDescriptors
from fed_plugin.retrieval.whole_files import written_whole

CALLED = "a gallery index"
Stored = ExactDescriptors | CompressedDescriptors
Content = tuple[list[str], Stored, "NDArray[np.float32] | None", dict[str, Any]]
"""Names, descriptors, visibility or None, and ``about``."""


def write_index(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> None:
    """Write an index's file; it is there whole or not at all."""
    with written_whole(path) as file:
        np.savez(file, about=np.array(about_as_text(about)), **arrays)  # type: ignore[arg-type]


@contextmanager
def read_index(path: str | os.PathLike[str]) -> Iterator[Content]:
    """Read an index's file, executing nothing of it; errors in the block are said to be the file's.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is something else; the message names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file, expected {CALLED} (.npz)")
    arrays = read_arrays(path, CALLED, "making it anew with `index`")
    try:
        names, visibility = arrays["names"], arrays.get("visibility")
        kind = CompressedDescriptors if "codes" in arrays else ExactDescriptors
        stored = kind.from_arrays(arrays)
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) != len(stored):
            raise ValueError(
                f"expected names (G,) and descriptors (G, D), got {names.shape} and "
                f"{(len(stored), stored.width)}"
            )
        if visibility is not None and (visibility.ndim != 2 or visibility.dtype.kind != "f"):
            raise ValueError(
                f"visibility: expected (G, P) floats, got {visibility.dtype} {visibility.shape}"
            )
        yield names.tolist(), stored, visibility, about_from_array(arrays["about"])
    except KeyError as error:
        raise ValueError(f"{path}: holds no array {error}, expected {CALLED}") from error
    except ValueError as error:
        raise ValueError(f"{path}: not {CALLED}: {error}") from error
