"""The largest inner products of queries with many vectors, without all of them in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_QUERIES = 256  # of a tile
_PRODUCTS = 4_194_304  # of a tile: 16 MB
_HELD = 4  # products in waiting per answer, before only the best are kept


def best_of_blocks(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return (Q, count) rows of the vectors with the largest products, ascending.

    Only products above the smallest of a query's best so far are looked at again, which are few
    after the first blocks.

    Args:
        queries: (Q, S).
        vectors: (G, S).
        count: at least 1 and at most G.
    """
    found = np.empty((len(queries), count), np.int64)
    for top in range(0, len(queries), _QUERIES):
        tile = queries[top : top + _QUERIES]
        found[top : top + _QUERIES] = _best(np.ascontiguousarray(tile), vectors, count)
    found.sort(axis=1)
    return found


def _best(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    waiting = _Waiting(len(queries), count)
    step = min(max(1, _PRODUCTS // len(queries)), len(vectors))
    room = np.empty((len(queries), step), np.float32)  # fresh pages each time would be slow
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step]
        products = np.matmul(queries, block.T, out=room if len(block) == step else None)
        if not waiting.take(products, start):
            waiting.keep_the_best()
            if not waiting.take(products, start):
                waiting.take_the_best(products, start)
    waiting.keep_the_best()
    return waiting.rows[:, :count]


class _Waiting:
    """Hold what may be among the ``count`` best of each query: products, rows, how many."""

    def __init__(self, num_queries: int, count: int) -> None:
        self.count = count
        self.products = np.full((num_queries, _HELD * count), -np.inf, np.float32)
        self.rows = np.zeros((num_queries, _HELD * count), np.int64)
        self.held = np.zeros(num_queries, np.int64)
        self.floor = np.full((num_queries, 1), -np.inf, np.float32)

    def take(self, products: NDArray[np.float32], start: int) -> bool:
        """Take what is above the floor of (Q, N) products; or nothing, if it is too much."""
        above = products > self.floor
        new = np.count_nonzero(above, axis=1)
        if (self.held + new).max() > self.products.shape[1]:
            return False
        query, column = np.divmod(np.flatnonzero(above), products.shape[1])
        place = np.arange(len(query)) - np.repeat(np.cumsum(new) - new - self.held, new)
        self.products[query, place] = products[query, column]
        self.rows[query, place] = start + column
        self.held += new
        return True

    def take_the_best(self, products: NDArray[np.float32], start: int) -> None:
        """Take the best of (Q, N) products where very many are above the floor."""
        best = _largest(products, min(self.count, products.shape[1]))
        few = np.take_along_axis(products, best, axis=1)
        self.products = np.hstack((self.products[:, : self.count], few))
        self.rows = np.hstack((self.rows[:, : self.count], start + best))
        self.keep_the_best()

    def keep_the_best(self) -> None:
        """Leave ``count`` of each query."""
        best = _largest(self.products, self.count)
        products = np.take_along_axis(self.products, best, axis=1)
        rows = np.take_along_axis(self.rows, best, axis=1)
        room = np.full((len(rows), (_HELD - 1) * self.count), -np.inf, np.float32)
        self.products = np.hstack((products, room))
        self.rows = np.hstack((rows, np.zeros(room.shape, np.int64)))
        self.held = np.isfinite(products).sum(axis=1)  # fewer, while less was seen
        self.floor = products.min(axis=1, keepdims=True)


def _largest(products: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the columns (Q, count) of each row's largest numbers, in any order."""
    return np.argpartition(products, -count, axis=1)[:, -count:]
