"""Count how many gallery images are nearer to a query than those of its own identity, exactly.

No row of distances is needed as a whole, only how many of every block lie below the distances of
the few right answers. Those must be known beforehand, to the last bit: matrix products of other
shapes may round differently. They are computed alone first, then compared with what the blocks say,
and queries where the two differ are counted once more with what the blocks said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.blocks_of_rows import blocks_of_rows, even_share
from fed_plugin.retrieval.identity_pairs import IdentityPairs

Progress = Callable[[int, int], Any]
_Rows = NDArray[np.float32]
_QUERY_ROWS = 1024  # of a tile: with 8192 gallery images, 32 MB of distances
_SMALLEST = 64  # rows of a matrix product that rounds as a large one does, where that was seen
_PASSES = 4


@dataclass(frozen=True)
class NearerImages:
    """Count, for every pair, the gallery images that are nearer to the query.

    Args:
        query: (V, D), prepared.
        gallery: (G, D), anything with a ``shape`` that gives an array for a slice of rows.
        pairs: of those queries and that gallery.
        rows: gallery images of a block at most.
        prepare: makes of rows of the gallery what ``distances_of`` takes.
        distances_of: distances (V', G') of prepared rows; the same for the same, to the last bit.
    """

    query: _Rows
    gallery: Any
    pairs: IdentityPairs
    rows: int
    prepare: Callable[[_Rows], _Rows]
    distances_of: Callable[[_Rows, _Rows], _Rows]

    def ranks(self, progress: Progress) -> NDArray[np.int64]:
        """Return (N,) ranks from 0 among the whole gallery, each once per query.

        Args:
            progress: called with images done and images in all, after each block.

        Raises:
            RuntimeError: The same block has other distances each time.
        """
        distance = self._alone()
        ranks = np.zeros(len(distance), np.int64)
        todo = np.ones(len(distance), bool)  # pairs, always all of a tile of queries
        for _ in range(_PASSES):
            ranks[todo] = 0
            seen = self._count(distance, ranks, todo, progress)
            wrong = todo & (seen != distance)
            if not wrong.any():
                return ranks
            tiles = self.pairs.query // self._tile
            todo, distance = np.isin(tiles, tiles[wrong]), seen
        raise RuntimeError(
            f"the distances of {np.count_nonzero(wrong)} pairs differ each time they are computed: "
            "expected the same numbers for the same block; try one thread (OMP_NUM_THREADS=1)"
        )

    @property
    def _tile(self) -> int:
        return even_share(len(self.pairs.valid), _QUERY_ROWS)

    def _blocks(self) -> Iterator[tuple[int, _Rows]]:
        rows = even_share(self.gallery.shape[0], self.rows)
        return blocks_of_rows("gallery", self.gallery, rows)

    def _alone(self) -> _Rows:
        """Return (N,) distances of the pairs, from matrix products of little else."""
        pairs = self.pairs
        distance = np.empty(len(pairs.query), np.float32)
        by_image = np.argsort(pairs.image, kind="stable")
        images = pairs.image[by_image]
        for start, block in self._blocks():
            ends = np.searchsorted(images, (start, start + len(block)))
            here = np.sort(by_image[slice(*ends)])  # by query
            for top in range(0, len(here), 4 * _SMALLEST):
                some = here[top : top + 4 * _SMALLEST]
                rows, row = np.unique(pairs.query[some], return_inverse=True)
                columns, column = np.unique(pairs.image[some] - start, return_inverse=True)
                others = self.prepare(block[_padded(columns)])
                distance[some] = self.distances_of(self.query[_padded(rows)], others)[row, column]
        return distance

    def _count(
        self, distance: _Rows, ranks: NDArray[np.int64], todo: NDArray[np.bool_], progress: Progress
    ) -> _Rows:
        """Add to the ranks of the pairs ``todo`` what is nearer; return distances as blocks say."""
        import torch  # here, as small galleries are ranked without it

        pairs, seen, workers = self.pairs, distance.copy(), torch.get_num_threads()
        just_above = np.nextafter(distance, np.float32(np.inf))
        total = self.gallery.shape[0]
        with ThreadPoolExecutor(workers) as threads:
            for start, block in self._blocks():
                others, end = self.prepare(block), start + len(block)
                limits = np.where(pairs.image >= end, just_above, distance)  # ties stand before it
                own = todo & (pairs.image >= start) & (pairs.image < end)
                for top in range(0, len(pairs.valid), self._tile):
                    first, last = pairs.starts[[top, min(top + self._tile, len(pairs.valid))]]
                    if not todo[first]:
                        continue
                    tile = self.distances_of(self.query[top : top + self._tile], others)
                    for pair in first + np.flatnonzero(own[first:last]):
                        row, column = tile[pairs.query[pair] - top], pairs.image[pair] - start
                        seen[pair] = row[column]
                        ranks[pair] += np.count_nonzero(row[:column] == row[column])
                    _count_below(threads, workers, tile, pairs.starts[top:], limits, ranks)
                progress(end, total)
        return seen


def _count_below(
    threads: ThreadPoolExecutor,
    workers: int,
    tile: _Rows,
    starts: NDArray[np.int64],
    limits: _Rows,
    ranks: NDArray[np.int64],
) -> None:
    """Add to each row's ranks how many of its distances are below each of its limits."""

    def count(rows: range) -> None:
        for row in rows:
            pairs = slice(starts[row], starts[row + 1])
            tile[row].sort()
            ranks[pairs] += np.searchsorted(tile[row], limits[pairs])

    step = -(-len(tile) // workers)
    shares = [range(len(tile))[top : top + step] for top in range(0, len(tile), step)]
    list(threads.map(count, shares))


def _padded(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Repeat rows until they are enough for a large matrix product's rounding."""
    return np.resize(rows, max(len(rows), _SMALLEST))
