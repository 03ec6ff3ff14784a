"""Exact ranking of a gallery that is too large for a matrix of distances, in blocks."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.identities import is_junk
from fed_plugin.retrieval.distances import (
    Floats,
    checked_features,
    distance_of_cosine,
    euclidean_distance,
    unit_rows,
)
from fed_plugin.retrieval.ranking import (
    IdentityPairs,
    RankingResult,
    checked_labels,
    identity_pairs,
    result_of_hits,
    without_removed,
)


def blocks_of_rows(name: str, features: Any, rows_at_once: int) -> Iterator[tuple[int, Floats]]:
    """Yield features in blocks of rows; a thread reads the next block meanwhile.

    ``features`` (N, D) is any object with a ``shape`` whose slices of rows are arrays or tensors.
    Pages of a memory-mapped file are given back after each block. A block comes with the number of
    its first row, and is in memory.

    Raises:
        ValueError: A number is not finite.
    """
    starts = range(0, features.shape[0], rows_at_once)

    def read(start: int) -> Floats:
        part = features[start : start + rows_at_once]
        rows = checked_features(name, part, start)
        if isinstance(part, np.ndarray):
            is_view = np.shares_memory(rows, part)
        else:  # perhaps a tensor's own memory
            is_view = hasattr(part, "data_ptr") and rows.ctypes.data == part.data_ptr()
        rows = np.array(rows) if is_view else rows
        give_back_pages(features)
        return rows

    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, 0)
        for start in starts:
            block = ahead.result()
            if start + rows_at_once < features.shape[0]:
                ahead = reader.submit(read, start + rows_at_once)
            yield start, block


def even_share(count: int, most: int) -> int:
    """Return the size of equal blocks of ``count`` rows, at most ``most``, without a small rest.

    A matrix product of few rows may be rounded differently from a product of many rows.
    """
    return -(-count // -(-count // most))


def give_back_pages(array: Any) -> None:
    """Remove the pages of a read-only memory-mapped array from this process's memory.

    The next access reads the pages again. Other arrays stay as they are.
    """
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return
        array = array.base
    if isinstance(array, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # Linux
        array.madvise(mmap.MADV_DONTNEED)


# Counts of the gallery images that are nearer to a query than the images of its identity, exactly.
#
# No whole row of distances is needed, only the number of distances of each block below those of the
# few right answers. The latter must be known before, to the last bit, and matrix products of other
# shapes may be rounded differently. Therefore these distances are computed alone first, then
# compared with the distances of the blocks. Queries with a difference are counted once more, with
# the distances of the blocks.

Progress = Callable[[int, int], Any]
Ints = NDArray[np.int64]
_QUERY_ROWS = 1024  # rows of a tile: with 8192 gallery images, 32 MB of distances
_SMALLEST = 64  # rows of the smallest matrix product that was rounded as a large one
_PASSES = 4


@dataclass(frozen=True)
class NearerImages:
    """Counter of the gallery images that are nearer to the query than the image of each pair.

    ``query`` (V, D) is prepared. ``gallery`` (G, D) is any object with a ``shape`` whose slices of
    rows are arrays. ``distances_of`` returns (V', G') distances of prepared rows; equal rows have
    equal distances, to the last bit. ``junk`` (G,) marks images of nobody.
    """

    query: Floats
    gallery: Any
    pairs: IdentityPairs
    junk: NDArray[np.bool_]
    rows: int
    prepare: Callable[[Floats], Floats]
    distances_of: Callable[[Floats, Floats], Floats]

    def ranks(self, progress: Progress) -> Ints:
        """Return (N,) ranks from 0 among the whole gallery, each once per query.

        Raises:
            RuntimeError: The distances of one block differ each time.
        """
        distance = self._alone()
        ranks = np.zeros(len(distance), np.int64)
        todo = np.ones(len(distance), bool)  # pairs; all pairs of a tile, or none
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

    def _blocks(self) -> Iterator[tuple[int, Floats]]:
        rows = even_share(self.gallery.shape[0], self.rows)
        return blocks_of_rows("gallery", self.gallery, rows)

    def _alone(self) -> Floats:
        """Return (N,) distances of the pairs, from small matrix products."""
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
        self, distance: Floats, ranks: Ints, todo: NDArray[np.bool_], progress: Progress
    ) -> Floats:
        """Add the nearer images to the ranks of the pairs ``todo``; return new distances."""
        import torch  # small galleries are ranked without torch

        pairs, seen, workers = self.pairs, distance.copy(), torch.get_num_threads()
        just_above = np.nextafter(distance, np.float32(np.inf))
        total = self.gallery.shape[0]
        with ThreadPoolExecutor(workers) as threads:
            for start, block in self._blocks():
                others, end = self.prepare(block), start + len(block)
                limits = np.where(pairs.image >= end, just_above, distance)  # ties come first
                own = todo & (pairs.image >= start) & (pairs.image < end)
                for top in range(0, len(pairs.valid), self._tile):
                    first, last = pairs.starts[[top, min(top + self._tile, len(pairs.valid))]]
                    if not todo[first]:
                        continue
                    tile = self.distances_of(self.query[top : top + self._tile], others)
                    tile[:, self.junk[start:end]] = np.nan  # neither nearer nor equal
                    for pair in first + np.flatnonzero(own[first:last]):
                        row, column = tile[pairs.query[pair] - top], pairs.image[pair] - start
                        seen[pair] = row[column]
                        ranks[pair] += np.count_nonzero(row[:column] == row[column])
                    _count_below(threads, workers, tile, pairs.starts[top:], limits, ranks)
                progress(end, total)
        return seen


def _count_below(
    pool: ThreadPoolExecutor, workers: int, tile: Floats, starts: Ints, limits: Floats, ranks: Ints
) -> None:
    """Add to the ranks of each row the number of its distances below each limit."""

    def count(rows: range) -> None:
        for row in rows:
            pairs = slice(starts[row], starts[row + 1])
            tile[row].sort()
            ranks[pairs] += np.searchsorted(tile[row], limits[pairs])

    step = -(-len(tile) // workers)
    shares = [range(len(tile))[top : top + step] for top in range(0, len(tile), step)]
    list(pool.map(count, shares))


def _padded(rows: Ints) -> Ints:
    return np.resize(rows, max(len(rows), _SMALLEST))


def rank_features(
    query: Any,
    gallery: Any,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    *,
    metric: str = "cosine",
    max_rank: int = 50,
    rows_at_once: int = 8192,
    progress: Progress | None = None,
) -> RankingResult:
    """Rank a gallery of any size for every query, as :func:`rank` would from all distances.

    The ranks are exact: each is the rank in the (Q, G) float32 distances, computed in blocks of
    gallery images, with equal distances in the gallery's order. The distances are those of
    ``cosine_distance`` or ``euclidean_distance``, except for the rounding of a matrix product.

    The memory holds the queries twice, three blocks of gallery features, 1024 x ``rows_at_once``
    distances and about 50 bytes per pair of a query and a gallery image of its identity. The
    gallery is read twice.

    ``query`` (Q, D) is a NumPy array or torch tensor of any float type. ``gallery`` (G, D) is such
    an array, or any object with a ``shape`` whose slices of rows are; pages of a memory-mapped file
    are given back after each block. The metric is ``cosine``, or ``euclidean`` with float64
    products, which takes twice the time. ``progress`` is called with images done and images in all,
    after each block of at most ``rows_at_once`` images; the count starts again if some queries must
    be counted once more. All other arguments are those of :func:`rank`.

    Raises:
        ValueError: Shapes do not fit, features are not finite, the metric is unknown, a number is
            below 1, or no query has a right answer.
        RuntimeError: The distances of one block differ each time on this machine.
    """
    if not hasattr(gallery, "shape"):
        gallery = np.asarray(gallery, np.float32)
    query = checked_features("query", query)
    if metric not in _METRICS:
        raise ValueError(f"metric {metric!r}: expected one of {', '.join(_METRICS)}")
    if max_rank < 1 or rows_at_once < 1:
        values = f"max_rank={max_rank}, rows_at_once={rows_at_once}"
        raise ValueError(f"{values}: expected at least 1 of each")
    if len(gallery.shape) != 2 or gallery.shape[1] != query.shape[1] or not gallery.shape[0]:
        raise ValueError(
            f"gallery features have shape {tuple(gallery.shape)}: expected (images, "
            f"{query.shape[1]}), as the queries have; try extracting both with one model"
        )
    labels = checked_labels(len(query), gallery.shape[0], q_pids, g_pids, q_camids, g_camids)
    pairs, junk = identity_pairs(*labels), is_junk(labels[1])
    prepare, distances_of = _METRICS[metric]
    prepared = prepare(query[pairs.valid])
    nearer = NearerImages(prepared, gallery, pairs, junk, rows_at_once, prepare, distances_of)
    ranks = nearer.ranks(progress or (lambda done, total: None))
    hits = [
        without_removed(ranks[top:end], pairs.removed[top:end])
        for top, end in zip(pairs.starts[:-1], pairs.starts[1:], strict=True)
    ]
    return result_of_hits(pairs.valid, hits, max_rank)


def _cosine(query: Floats, gallery: Floats) -> Floats:
    import torch  # rounds products of 64 rows and more alike

    product = torch.from_numpy(query) @ torch.from_numpy(gallery).T
    return distance_of_cosine(product.numpy())


_METRICS = {"cosine": (unit_rows, _cosine), "euclidean": (np.ascontiguousarray, euclidean_distance)}
