"""Rank a gallery that is too large for a matrix of distances, exactly, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.distances import (
    checked_features,
    distance_of_cosine,
    euclidean_distance,
    unit_rows,
)
from fed_plugin.retrieval.identity_pairs import identity_pairs
from fed_plugin.retrieval.nearer_images import NearerImages, Progress
from fed_plugin.retrieval.ranking import (
    RankingResult,
    checked_labels,
    result_of_hits,
    without_removed,
)


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

    Exact: every rank is that in the (Q, G) float32 distances of which each block of gallery images
    is computed at once, with equal distances in the gallery's order. Distances are those of
    ``cosine_distance`` or ``euclidean_distance`` up to the rounding of a matrix product.

    In memory at a time: the queries twice, three blocks of gallery features, 1024 x
    ``rows_at_once`` distances and some 50 bytes per pair of a query and a gallery image of its
    identity. The gallery is read twice.

    Args:
        query: (Q, D) features, NumPy array or torch tensor of any float type.
        gallery: (G, D) features, likewise, or anything with a ``shape`` that gives such an array
            for a slice of rows. Pages of a memory-mapped file are given back after each block.
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.
        metric: ``cosine`` or ``euclidean``; the second takes float64 products, twice the time.
        max_rank: length of the CMC curve.
        rows_at_once: gallery images of a block at most.
        progress: called with images done and images in all, after each block; from the start again
            where distances that were computed alone turn out to be rounded otherwise.

    Raises:
        ValueError: Shapes that do not fit, features that are not finite, another metric, a number
            below 1, or no query has a right answer.
        RuntimeError: This machine gives other distances for the same block each time.
    """
    if not hasattr(gallery, "shape"):
        gallery = np.asarray(gallery, np.float32)
    query = checked_features("query", query)
    if metric not in _METRICS:
        raise ValueError(f"metric {metric!r}: expected one of {', '.join(_METRICS)}")
    if max_rank < 1 or rows_at_once < 1:
        raise ValueError(
            f"max_rank={max_rank}, rows_at_once={rows_at_once}: expected at least 1 of each"
        )
    if len(gallery.shape) != 2 or gallery.shape[1] != query.shape[1] or not gallery.shape[0]:
        raise ValueError(
            f"gallery features have shape {tuple(gallery.shape)}: expected (images, "
            f"{query.shape[1]}), as the queries have; try extracting both with one model"
        )
    pairs = identity_pairs(
        checked_labels("q_pids", q_pids, len(query)),
        checked_labels("g_pids", g_pids, gallery.shape[0]),
        checked_labels("q_camids", q_camids, len(query)),
        checked_labels("g_camids", g_camids, gallery.shape[0]),
    )
    prepare, distances_of = _METRICS[metric]
    prepared = prepare(query[pairs.valid])
    nearer = NearerImages(prepared, gallery, pairs, rows_at_once, prepare, distances_of)
    ranks = nearer.ranks(progress or (lambda done, total: None))
    hits = [
        without_removed(ranks[top:end], pairs.removed[top:end])
        for top, end in zip(pairs.starts[:-1], pairs.starts[1:], strict=True)
    ]
    return result_of_hits(pairs.valid.tolist(), hits, max_rank)


def _cosine(query: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch  # its products of 64 rows and more round alike whatever else is in them

    product = torch.from_numpy(query) @ torch.from_numpy(gallery).T
    return distance_of_cosine(product.numpy())


_METRICS = {
    "cosine": (unit_rows, _cosine),
    "euclidean": (np.ascontiguousarray, euclidean_distance),
}
