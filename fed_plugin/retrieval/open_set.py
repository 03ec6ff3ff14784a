"""Identify in an open set, where a query's person may not be in the gallery (DIR@FAR).

A *mated* query has a right answer: a gallery image of its identity from another camera. An
*unmated* query has none, and some gallery image to be mistaken for it. Images of the query's own
identity and camera are taken out first, as in :mod:`fed_plugin.retrieval.ranking`; a query that
this leaves without any gallery image is neither.

At a threshold t on the distance,

- the false alarm rate FAR(t) is the share of unmated queries whose nearest image is nearer than t;
- the detection and identification rate DIR(t, k) is the share of mated queries whose nearest right
  answer is nearer than t *and* stands among the first k images of the ranking.

DIR@FAR=f is DIR at the largest t whose false alarm rate is *at most* f, without interpolation; what
ties at a distance is accepted or refused together. At f = 1 all is accepted and DIR is the CMC at k
over the mated queries. With fewer than 1 / f unmated queries not one may raise an alarm.

Source: the two rates as ``detection_identification_rate`` and ``false_alarm_rate`` of bob.measure
compute them for a given threshold; they name chapter 14.1 of Li and Jain, Handbook of Face
Recognition, 2005. NOTE(reference): bob counts a wrong image at the distance of the right one as
nearer; here ties keep the order of the gallery, so that DIR@FAR=1 and the CMC are one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.pairs import Pairs
from fed_plugin.retrieval.ranking import rank
from fed_plugin.retrieval.verification import allowed_errors, checked_rates


@dataclass(frozen=True)
class OpenSetResult:
    """Hold detection and identification rates at chosen false alarm rates.

    Attributes:
        false_alarm_rates: (F,) rates asked for, as they were given.
        detection_rates: (F,) float64 in [0, 1], share of mated queries detected and identified.
        reached_rates: (F,) float64, false alarm rates at the thresholds, never above those asked
            for.
        thresholds: (F,) float64; a gallery image is accepted if its distance is *smaller*. Infinite
            where every image is accepted.
        identified: (F, M) bool, the mated queries that count as detected and identified: one row is
            what an interval or a paired test over queries wants.
        mated_queries: (M,) int64, indices into the queries that were passed in, ascending.
        unmated_queries: (U,) int64, likewise.
        answer_distances: (M,) float64, how far each mated query's nearest right answer is; infinite
            where none stands among the first ``max_rank`` images.
        alarm_distances: (U,) float64, how far the nearest image of each unmated query is.
    """

    false_alarm_rates: NDArray[np.float64]
    detection_rates: NDArray[np.float64]
    reached_rates: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    identified: NDArray[np.bool_]
    mated_queries: NDArray[np.int64]
    unmated_queries: NDArray[np.int64]
    answer_distances: NDArray[np.float64]
    alarm_distances: NDArray[np.float64]


def identify_open_set(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    false_alarm_rates: Sequence[float] = (0.01, 0.1),
    max_rank: int = 1,
) -> OpenSetResult:
    """Compute DIR@FAR at rank ``max_rank``.

    Where every query has a mate, :func:`leave_identities_out` makes unmated ones.

    Args:
        distmat: (Q, G) distances, any real dtype, smaller is nearer; infinities are allowed.
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.
        false_alarm_rates: (F,) numbers in [0, 1], in any order.
        max_rank: how far down the ranking the right answer may stand.

    Raises:
        ValueError: The shapes do not fit, a distance is NaN, a rate is out of [0, 1], ``max_rank``
            is below 1, or there is no mated or no unmated query.
        TypeError: The distances are not real numbers.
    """
    pairs = Pairs(distmat, q_pids, g_pids, q_camids, g_camids)
    rates = checked_rates("false_alarm_rates", false_alarm_rates)
    nearest_right, nearest_wrong, mated, unmated = _nearest(pairs)
    if not mated.size or not unmated.size:
        raise ValueError(
            f"{mated.size} queries with a right answer and {unmated.size} without: expected at "
            "least one of each; try leave_identities_out to make queries without a right answer"
        )
    ranking = rank(pairs.distmat, q_pids, g_pids, q_camids, g_camids, max_rank)
    near_enough = ranking.hits_at(max_rank).astype(bool)  # (M,): its valid queries are the mated
    alarms, found = np.sort(nearest_wrong[unmated]), nearest_right[mated]

    thresholds, reached = np.full(rates.shape, np.inf), np.ones(rates.shape)
    identified = np.tile(near_enough, (rates.size, 1))  # (F, M)
    for k, rate in enumerate(rates):
        allowed = allowed_errors(rate, alarms.size)
        if allowed < alarms.size:
            thresholds[k] = alarms[allowed]  # the first alarm that is one too many
            reached[k] = np.searchsorted(alarms, alarms[allowed]) / alarms.size
            identified[k] &= found < alarms[allowed]
    return OpenSetResult(
        *(rates, identified.mean(axis=1), reached, thresholds, identified, mated, unmated),
        answer_distances=np.where(near_enough, found, np.inf),
        alarm_distances=nearest_wrong[unmated],
    )


def leave_identities_out(
    q_pids: ArrayLike, g_pids: ArrayLike, share: float = 0.5, seed: int = 0
) -> NDArray[np.bool_]:
    """Choose the gallery images that stay when some of the queries' identities leave the gallery.

    Their queries become unmated. Images of identities that no query has stay: they are distractors
    for both kinds. The choice depends on the identities that are there, not on their order::

        kept = leave_identities_out(q_pids, g_pids, share=0.5, seed=0)
        identify_open_set(distmat[:, kept], q_pids, g_pids[kept], q_camids, g_camids[kept])

    Args:
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        share: of the identities in both to leave out, in (0, 1), rounded to at least one identity
            left out and at least one kept.
        seed: of the draw; the same seed leaves out the same identities.

    Returns:
        (G,) bool, the gallery images that stay.

    Raises:
        ValueError: ``share`` is out of its range, or fewer than two identities are in both.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: expected a share between 0 and 1; try 0.5")
    shared = np.intersect1d(q_pids, g_pids)
    if shared.size < 2:
        raise ValueError(
            f"{shared.size} identities are in both query and gallery: expected at least 2, one to "
            "leave out and one to keep; try checking that both splits come from one dataset"
        )
    count = min(max(round(share * shared.size), 1), shared.size - 1)
    left_out = np.random.default_rng(seed).permutation(shared)[:count]
    return ~np.isin(g_pids, left_out)


def _nearest(
    pairs: Pairs,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return per query the distances of its nearest right and wrong image, mated and unmated."""
    right, wrong, mated, unmated = [], [], [], []
    for block in pairs:
        distances = block.distances.astype(np.float64, copy=False)
        right.append(distances.min(axis=1, where=block.right, initial=np.inf))
        wrong.append(distances.min(axis=1, where=block.wrong, initial=np.inf))
        mated.append(block.right.any(axis=1))
        unmated.append(~mated[-1] & block.wrong.any(axis=1))
    return (
        np.concatenate(right),
        np.concatenate(wrong),
        np.flatnonzero(np.concatenate(mated)),
        np.flatnonzero(np.concatenate(unmated)),
    )
