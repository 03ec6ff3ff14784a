"""Rank a gallery for every query: CMC, average precision and inverse negative penalty.

The protocol is Market-1501's. Gallery images of the query's own identity *and* camera are removed
from its ranking. Images of the same identity from other cameras are the right answers. A query
without a right answer is left out of every mean. Junk (identity -1) in the gallery is removed from
the ranking of every query: it is neither right nor wrong. Junk among the queries is refused.

Cameras are (n,) labels, or (n, K) labels of several kinds, such as the camera and the photo: an
image of the query's identity is removed if any label of it is the query's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.identities import JUNK_PID, identity_arrays, is_junk
from fed_plugin.retrieval.distances import array_of


@dataclass(frozen=True)
class RankingResult:
    """Outcome of one ranking for V queries with at least one right answer, and in the mean.

    Attributes:
        cmc: (max_rank,) share of queries with a right answer among the first 1, 2, ... images.
        average_precisions: (V,) float64 in (0, 1].
        inverse_negative_penalties: (V,) float64 in (0, 1]: number of right answers, divided by the
            rank of the last one.
        first_hits: (V,) int64, rank of the first right answer, counted from 0.
        valid_queries: (V,) int64, rows of these queries, ascending.
    """

    cmc: NDArray[np.float32]
    average_precisions: NDArray[np.float64]
    inverse_negative_penalties: NDArray[np.float64]
    first_hits: NDArray[np.int64]
    valid_queries: NDArray[np.int64]

    def rank_at(self, k: int) -> float:
        """Return the share of queries with a right answer among the first ``k`` images."""
        return float(np.mean(self.hits_at(k)))

    def hits_at(self, k: int) -> NDArray[np.float64]:
        """Return (V,) ones for queries with a right answer among the first ``k`` images, else 0."""
        return (self.first_hits < k).astype(np.float64)

    @property
    def rank1(self) -> float:
        """Rank-1 in [0, 1]."""
        return self.rank_at(1)

    @property
    def rank5(self) -> float:
        """Rank-5 in [0, 1]."""
        return self.rank_at(5)

    @property
    def rank10(self) -> float:
        """Rank-10 in [0, 1]."""
        return self.rank_at(10)

    @property
    def mAP(self) -> float:  # noqa: N802 - the field's spelling
        """Mean average precision in [0, 1]."""
        return float(np.mean(self.average_precisions))

    @property
    def mINP(self) -> float:  # noqa: N802 - the field's spelling
        """Mean inverse negative penalty in [0, 1]."""
        return float(np.mean(self.inverse_negative_penalties))


def rank(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    max_rank: int = 50,
) -> RankingResult:
    """Rank the gallery for every query under the same-identity-and-camera rule.

    Equal distances keep the order of the gallery (a stable sort). fast-reid sorts with NumPy's
    default, which is not stable. Therefore the two may differ where distances tie, and only there.
    A model with one feature for all images is scored by the order of the files, not by chance.

    One row of distances is sorted at a time. Beside the input the memory holds one row, and about
    50 bytes per pair of a query and a gallery image of its identity.

    Args:
        distmat: (Q, G) array or tensor, any real dtype, smaller is nearer; infinities are allowed.
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) or (Q, K) cameras of the queries.
        g_camids: (G,) or (G, K) cameras of the gallery.
        max_rank: length of the CMC curve. Beyond the gallery's size its last value is repeated.

    Raises:
        ValueError: The shapes do not fit, a distance is NaN, ``max_rank`` is below 1, a query is
            junk, or no query has a right answer.
        TypeError: The distances are not real numbers.
    """
    distmat = checked_distances(distmat)
    asked, there, *cameras = checked_labels(*distmat.shape, q_pids, g_pids, q_camids, g_camids)
    if max_rank < 1:
        raise ValueError(f"max_rank={max_rank}: expected at least 1; try 50")
    people = np.flatnonzero(~is_junk(there))
    columns = slice(None) if len(people) == len(there) else people
    pairs = identity_pairs(asked, there[columns], cameras[0], cameras[1][columns])
    hits = [
        _ranks_of_hits(distmat[query, columns], pairs.image[top:end], pairs.removed[top:end])
        for query, top, end in zip(pairs.valid, pairs.starts[:-1], pairs.starts[1:], strict=True)
    ]
    return result_of_hits(pairs.valid, hits, max_rank)


@dataclass(frozen=True)
class IdentityPairs:
    """N pairs of a query and a gallery image of its identity, sorted by query, then image.

    Attributes:
        query: (N,) numbers of the queries, counted among the V queries with a right answer.
        image: (N,) rows of the gallery.
        removed: (N,) whether the camera rule removes the image.
        starts: (V + 1,) first pair of each query.
        valid: (V,) rows of the V queries among all queries.
    """

    query: NDArray[np.int64]
    image: NDArray[np.int64]
    removed: NDArray[np.bool_]
    starts: NDArray[np.int64]
    valid: NDArray[np.int64]


def identity_pairs(
    q_pids: NDArray, g_pids: NDArray, q_camids: NDArray, g_camids: NDArray
) -> IdentityPairs:
    """Pair every query with a right answer with the gallery images of its identity.

    Arguments are as :func:`checked_labels` returns them; no query is junk.

    Raises:
        ValueError: No query has a right answer.
    """
    by_pid = np.argsort(g_pids, kind="stable")
    starts = np.searchsorted(g_pids, q_pids, side="left", sorter=by_pid)
    ends = np.searchsorted(g_pids, q_pids, side="right", sorter=by_pid)
    counts = ends - starts
    query = np.repeat(np.arange(len(q_pids)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    image = by_pid[starts[query] + within]
    removed = _seen_alike(g_camids[image], q_camids[query])
    answers = np.bincount(query[~removed], minlength=len(q_pids))
    valid = np.flatnonzero(answers)
    if not valid.size:
        raise ValueError(
            f"all query identities do not appear in gallery: none of {len(q_pids)} queries has a "
            f"gallery image (of {len(g_pids)}) of its identity from another camera; try checking "
            "that both splits come from one dataset, that a set without cameras gives its "
            "queries and its gallery different ones, and that they are not the same photos"
        )
    kept = answers[query] > 0
    first_pairs = np.concatenate(([0], np.cumsum(counts[valid])))
    places = np.searchsorted(valid, query[kept])
    return IdentityPairs(places, image[kept], removed[kept], first_pairs, valid)


def _seen_alike(first: NDArray, second: NDArray) -> NDArray[np.bool_]:
    """Compare cameras (..., K) that broadcast; return (...) whether any of the K labels agrees."""
    return np.logical_or.reduce([first[..., k] == second[..., k] for k in range(first.shape[-1])])


def right_and_wrong(
    q_pids: NDArray, g_pids: NDArray, q_camids: NDArray, g_camids: NDArray
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (Q, G) which pairs are right answers and which are wrong ones; others are removed."""
    same = q_pids[:, None] == g_pids
    right = same & ~_seen_alike(q_camids[:, None], g_camids)
    return right, ~same & ~is_junk(g_pids)


def cameras_and_photos(camids: NDArray, own: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n, 2) labels of n images: the camera, and a number that copies of a photo share.

    ``camids`` (n,) are integers; ``own`` (M, 2) are the rows of two images that are one photo.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count, ones = len(camids), np.ones(len(own), bool)
    copies = coo_matrix((ones, (own[:, 0], own[:, 1])), shape=(count, count))
    return np.stack([camids.astype(np.int64), connected_components(copies)[1]], axis=1)


def result_of_hits(
    valid: NDArray[np.int64], hits: Sequence[NDArray[np.int64]], max_rank: int
) -> RankingResult:
    """Summarize queries ``valid`` (V,): ``hits`` are ascending ranks, from 0, of right answers."""
    first = np.array([ranks[0] for ranks in hits], dtype=np.int64)
    counts = np.bincount(first[first < max_rank], minlength=max_rank)
    cmc = (np.cumsum(counts) / len(valid)).astype(np.float32)
    precisions = [np.mean(np.arange(1, ranks.size + 1) / (ranks + 1)) for ranks in hits]
    penalties = [ranks.size / (ranks[-1] + 1) for ranks in hits]
    return RankingResult(cmc, np.array(precisions), np.array(penalties), first, valid)


def evaluate_rank(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    max_rank: int = 50,
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(cmc, all_AP, all_INP)``, as fast-reid's evaluator expects them.

    These are the CMC curve (max_rank,), and average precision and inverse negative penalty of the V
    queries with a right answer, (V,) float64 each. Arguments and errors are those of :func:`rank`.
    """
    result = rank(distmat, q_pids, g_pids, q_camids, g_camids, max_rank)
    return result.cmc, result.average_precisions, result.inverse_negative_penalties


def _ranks_of_hits(distances: NDArray, same_pid: NDArray, removed: NDArray) -> NDArray[np.int64]:
    """Return the ranks of the right answers without the removed images, from 0, ascending.

    A sort of the values and a search for the few right answers are twice as fast as an argsort of
    the row. The search returns the rank of the first image at a distance; ties are added to it.
    """
    ordered = np.sort(distances)
    values = distances[same_pid]
    ranks = np.searchsorted(ordered, values, side="left")
    tied = np.searchsorted(ordered, values, side="right") - ranks > 1
    for k in np.flatnonzero(tied):
        ranks[k] += np.count_nonzero(distances[: same_pid[k]] == values[k])
    return without_removed(ranks, removed)


def without_removed(ranks: NDArray[np.int64], removed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Drop the ``removed`` (N,) bool images from ``ranks`` (N,); close the gaps; sort ascending."""
    in_order = np.argsort(ranks)
    removed = removed[in_order]
    return (ranks[in_order] - np.cumsum(removed))[~removed]


def checked_distances(distmat: ArrayLike) -> NDArray:
    """Return (Q, G) distances as an array.

    Raises:
        ValueError: The array is not two-dimensional or is empty, or a distance is NaN.
        TypeError: The distances are not real numbers.
    """
    distmat = array_of(distmat)
    if distmat.ndim != 2 or 0 in distmat.shape:
        raise ValueError(
            f"distmat has shape {distmat.shape}: expected (queries, gallery images), at least one "
            "of each; try checking that neither split is empty"
        )
    if distmat.dtype.kind not in "fiu":
        raise TypeError(f"distmat holds {distmat.dtype}: expected real numbers; try float32")
    broken = np.flatnonzero(np.isnan(distmat.min(axis=1)))
    if broken.size:
        raise ValueError(
            f"distmat holds NaN in {broken.size} of {distmat.shape[0]} rows, first in row "
            f"{broken[0]}: expected numbers; try checking the features for NaN (a diverged run?)"
        )
    return distmat


def checked_labels(count_q: int, count_g: int, *labels: ArrayLike) -> list[NDArray]:
    """Return ``q_pids, g_pids, q_camids, g_camids`` as arrays (Q,), (G,), (Q, K), (G, K).

    Raises:
        ValueError: The number of labels is another one, or a query is junk.
    """
    arrays = [*identity_arrays(*labels[:2]), *identity_arrays(*labels[2:])]
    counts = (count_q, count_g)
    for place, name in enumerate(("q_pids", "g_pids", "q_camids", "g_camids")):
        shape, count = arrays[place].shape, counts[place % 2]
        kinds = arrays[2].shape[1:2] if place > 1 else ()
        if shape != (count, *kinds):
            raise ValueError(f"{name} has shape {shape}: expected ({count},), as distmat has")
    junk = np.flatnonzero(is_junk(arrays[0]))
    if junk.size:
        raise ValueError(
            f"q_pids holds identity {JUNK_PID} for {junk.size} of {count_q} queries, first in row "
            f"{junk[0]}: expected people, as {JUNK_PID} marks a detection that shows nobody; try "
            "leaving these queries out"
        )
    return [*arrays[:2], *(one.reshape(len(one), -1) for one in arrays[2:])]


# The first images of a ranking, for pictures.


@dataclass(frozen=True)
class FirstRanked:
    """First gallery images of every query, by their rows, (Q, K), nearest first.

    The distances (Q, K) are infinite for an image that is removed; ``matches`` (Q, K), bool, tells
    whether an image has the query's identity.
    """

    places: NDArray[np.int64]
    distances: NDArray[np.floating[Any]]
    matches: NDArray[np.bool_]


def first_ranked(
    distmat: NDArray[np.floating[Any]],
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    count: int,
) -> FirstRanked:
    """Return the first ``count`` images, or all, of every ranking by :func:`rank`."""
    labels = checked_labels(*distmat.shape, q_pids, g_pids, q_camids, g_camids)
    right, wrong = right_and_wrong(*labels)
    distances = np.where(right | wrong, distmat, np.inf)
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    columns = (np.take_along_axis(one, places, axis=1) for one in (distances, right))
    return FirstRanked(places, *columns)
