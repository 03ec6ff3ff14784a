"""Go through features that may be larger than memory, a block of rows at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.distances import checked_features


def blocks_of_rows(
    name: str, features: Any, rows_at_once: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield a number of rows at a time; the next ones are read meanwhile.

    Args:
        name: what the features are called in a message.
        features: (N, D), anything with a ``shape`` that gives an array or a tensor for a slice of
            rows. Of a memory-mapped file no page is held longer than its block.
        rows_at_once: of a block; the last one may have fewer.

    Yields:
        The first row's number, and the rows, float32, in memory.

    Raises:
        ValueError: A number is not finite.
    """
    starts = range(0, features.shape[0], rows_at_once)

    def read(start: int) -> NDArray[np.float32]:
        part = features[start : start + rows_at_once]
        rows = checked_features(name, part, start)
        rows = np.array(rows) if _is_view(rows, part) else rows
        give_back_pages(features)
        return rows

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0)
        for start in starts:
            block = ahead.result()
            if start + rows_at_once < features.shape[0]:
                ahead = reader.submit(read, start + rows_at_once)
            yield start, block


def _is_view(rows: NDArray[np.float32], part: Any) -> bool:
    if isinstance(part, np.ndarray):
        return bool(np.shares_memory(rows, part))
    return hasattr(part, "data_ptr") and rows.ctypes.data == part.data_ptr()  # a tensor's own


def even_share(count: int, most: int) -> int:
    """Return how many of ``count`` make a block of ``most`` or less where no block is a small rest.

    A matrix product of few rows may round otherwise than one of many.
    """
    return -(-count // -(-count // most))


def give_back_pages(array: Any) -> None:
    """Take the pages of a memory-mapped array out of this process's memory; nothing is lost.

    They are read again when somebody looks. Other arrays, and writable ones, stay as they are.
    """
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Linux
        array.madvise(mmap.MADV_DONTNEED)
