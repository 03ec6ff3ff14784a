"""Rates of a system with one distance threshold for all queries: TPR@FPR and DIR@FAR.

Both rates need the distances of all queries, also of queries without a right answer. Neither is a
mean over queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.identities import identity_arrays, is_junk
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.ranking import checked_distances, checked_labels, rank, right_and_wrong

# The pairs of queries and gallery images that the camera rule allows, block by block.

_BLOCK_ELEMENTS = 4_000_000  # distances looked at in one go


class PairBlock(NamedTuple):
    """Rows of the distances, (R, G), a view, and what their pairs are, (R, G) bool.

    Right pairs have the same identity and other cameras, wrong pairs other identities and no junk.
    The protocol removes all other pairs.
    """

    distances: NDArray
    right: NDArray
    wrong: NDArray


class Pairs:
    """All pairs under the same-identity-and-camera rule, read in blocks.

    Distances (Q, G) and labels are those of :func:`rank`.

    Raises:
        ValueError: The shapes do not fit, a distance is NaN, or a query is junk.
        TypeError: The distances are not real numbers.
    """

    def __init__(self, distmat: ArrayLike, *labels: ArrayLike) -> None:
        self.distmat = checked_distances(distmat)
        checked = checked_labels(*self.distmat.shape, *labels)
        self.q_pids, self.g_pids, self.q_camids, self.g_camids = checked

    def __iter__(self) -> Iterator[PairBlock]:
        rows = max(1, _BLOCK_ELEMENTS // self.distmat.shape[1])
        for top in range(0, self.distmat.shape[0], rows):
            some = slice(top, top + rows)
            labels = self.q_pids[some], self.g_pids, self.q_camids[some], self.g_camids
            yield PairBlock(self.distmat[some], *right_and_wrong(*labels))

    def scores(self) -> tuple[NDArray, NDArray[np.float64]]:
        """Return (N,) negative distances of all pairs, and 1 for right ones, 0 for wrong ones."""
        right = np.concatenate([-block.distances[block.right] for block in self])
        wrong = np.concatenate([-block.distances[block.wrong] for block in self])
        return np.concatenate([right, wrong]), np.repeat([1.0, 0.0], [len(right), len(wrong)])


# TPR@FPR: the share of right pairs that a threshold accepts while it accepts few wrong pairs.
#
# **Rule.** TPR@FPR=f is the largest true positive rate of any threshold whose false positive rate
# is *at most* f. Nothing is interpolated: such a threshold exists. Pairs at one distance are
# accepted or refused together; therefore ties never help. With fewer than 1 / f wrong pairs the
# threshold accepts none of them. A query without a right answer still has its wrong pairs.
#
# NOTE(host): fast-reid prints other numbers of this name under ``TEST.ROC``. There wrong pairs are
# the positive class: "TPR@FPR=1e-04" is the share of *wrong* pairs refused where 1e-4 of the
# *right* pairs are refused, read at the nearest point of the curve on either side. The scores of
# its ``evaluate_roc`` give exactly the numbers of this module.


@dataclass(frozen=True)
class VerificationResult:
    """True positive rates at chosen false positive rates.

    Attributes:
        false_positive_rates: (F,) requested rates.
        true_positive_rates: (F,) float64 in [0, 1], share of accepted right pairs.
        reached_rates: (F,) float64, false positive rates at the thresholds. A reached rate is below
            the requested rate where distances tie or wrong pairs are few, and never above.
        thresholds: (F,) float64; a pair with a *smaller* distance is accepted. Infinite where
            every pair is accepted.
    """

    false_positive_rates: NDArray[np.float64]
    true_positive_rates: NDArray[np.float64]
    reached_rates: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    positive_pairs: int
    negative_pairs: int


def verify_pairs(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    false_positive_rates: Sequence[float] = (1e-4, 1e-3, 1e-2),
) -> VerificationResult:
    """Compute TPR@FPR over all pairs of a query and a gallery image, exactly.

    The pairs are never sorted: the wrong pairs are read in blocks of rows, and only the nearest are
    kept. The memory beside the input is one block and twice the share of wrong pairs that the
    largest rate below one allows.

    The rates are (F,) numbers in [0, 1], in any order; all other arguments are those of
    :func:`rank`.

    Raises:
        ValueError: As :class:`Pairs`, a rate is out of [0, 1], or there is no right or wrong pair.
        TypeError: The distances are not real numbers.
    """
    pairs = Pairs(distmat, q_pids, g_pids, q_camids, g_camids)
    rates = checked_rates("false_positive_rates", false_positive_rates)
    positives = sum(int(np.count_nonzero(block.right)) for block in pairs)
    negatives = sum(int(np.count_nonzero(block.wrong)) for block in pairs)
    if not positives or not negatives:
        count_q, count_g = pairs.distmat.shape
        raise ValueError(
            f"{positives} right and {negatives} wrong pairs between {count_q} queries and "
            f"{count_g} gallery images: expected at least one of each; try a gallery with other "
            "identities, and with the queries' own from other cameras"
        )
    allowed = np.array([allowed_errors(rate, negatives) for rate in rates])
    free = allowed >= negatives  # every pair may be accepted
    nearest = nearest_wrong(pairs, keep=int(allowed[~free].max(initial=-1)) + 1)
    limits = nearest[allowed[~free]]  # the first wrong pair that is one too many

    thresholds, reached, accepted = np.full(rates.shape, np.inf), np.ones(rates.shape), free * 1.0
    thresholds[~free] = limits
    reached[~free] = np.searchsorted(nearest, limits) / negatives
    right = (np.sort(block.distances[block.right]) for block in pairs)
    accepted[~free] = sum(np.searchsorted(some, limits) for some in right) / positives
    return VerificationResult(rates, accepted, reached, thresholds, positives, negatives)


def checked_rates(name: str, rates: Sequence[float]) -> NDArray[np.float64]:
    """Return error rates as an array (F,).

    Raises:
        ValueError: There is no rate, or a rate is out of [0, 1].
    """
    checked = np.asarray(rates, dtype=np.float64)
    if checked.ndim != 1 or checked.size == 0 or not ((checked >= 0) & (checked <= 1)).all():
        raise ValueError(f"{name}={rates}: expected shares between 0 and 1; try (0.001, 0.01)")
    return checked


def allowed_errors(rate: float, count: int) -> int:
    """Return how many of ``count`` may be errors at a decimal ``rate``.

    In floating point 0.29 * 100 is below 29; the result here is 29.
    """
    return int(Fraction(repr(float(rate))) * count)


def nearest_wrong(pairs: Pairs, keep: int) -> NDArray:
    """Return the ``keep`` smallest distances of wrong pairs, or all of them, ascending."""
    waiting: list[NDArray] = []
    bound = None
    for block in pairs:
        wanted = block.distances[block.wrong]
        if bound is not None:
            wanted = wanted[wanted < bound]  # an equal one would change nothing
        waiting.append(wanted)
        if sum(map(len, waiting)) >= 2 * keep > 0:
            held = np.partition(np.concatenate(waiting), keep - 1)[:keep].copy()
            waiting, bound = [held], held[-1]
    return np.sort(np.concatenate(waiting))[:keep]


# DIR@FAR: identification in an open set, where a query's person may not be in the gallery.
#
# A *mated* query has a right answer: a gallery image of its identity from another camera. An
# *unmated* query has no right answer, but a gallery image that can be mistaken for it. Images of
# the query's own identity and camera are removed first, as in :mod:`fed_plugin.retrieval.ranking`.
# A query without any image left is neither.
#
# At a threshold t on the distance,
#
# - the false alarm rate FAR(t) is the share of unmated queries with an image nearer than t;
# - the detection and identification rate DIR(t, k) is the share of mated queries whose nearest
#   right answer is nearer than t *and* is among the first k images of the ranking.
#
# DIR@FAR=f is DIR at the largest t whose false alarm rate is *at most* f, without interpolation.
# Equal distances are accepted or refused together. At f = 1 everything is accepted, and DIR is the
# CMC at k over the mated queries. With fewer than 1 / f unmated queries no alarm is allowed.
#
# Source: the two rates as ``detection_identification_rate`` and ``false_alarm_rate`` of bob.measure
# compute them for a given threshold; they name chapter 14.1 of Li and Jain, Handbook of Face
# Recognition, 2005. NOTE(reference): bob counts a wrong image at the distance of the right one as
# nearer; here ties keep the order of the gallery, so that DIR@FAR=1 and the CMC are one number.


@dataclass(frozen=True)
class OpenSetResult:
    """Detection and identification rates at chosen false alarm rates.

    Rates and thresholds are (F,), as in a :class:`VerificationResult`.

    Attributes:
        detection_rates: in [0, 1], share of mated queries detected and identified.
        identified: (F, M) bool, the mated queries that count as detected and identified.
        mated_queries: (M,) int64, rows of the queries, ascending.
        unmated_queries: (U,) int64, rows of the queries, ascending.
        answer_distances: (M,) float64, distance of each mated query's nearest right answer;
            infinite if no right answer is among the first ``max_rank`` images.
        alarm_distances: (U,) float64, distance of the nearest image of each unmated query.
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

    If every query has a mate, :func:`leave_identities_out` makes unmated queries.

    The rates are (F,) numbers in [0, 1], in any order; ``max_rank`` is the lowest rank that a right
    answer may have. All other arguments are those of :func:`rank`.

    Raises:
        ValueError: As :class:`Pairs`, a rate is out of [0, 1], ``max_rank`` is below 1, or there is
            no mated or no unmated query.
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
    alarms, answers = np.sort(nearest_wrong[unmated]), nearest_right[mated]

    thresholds, reached = np.full(rates.shape, np.inf), np.ones(rates.shape)
    identified = np.tile(near_enough, (rates.size, 1))  # (F, M)
    for k, rate in enumerate(rates):
        allowed = allowed_errors(rate, alarms.size)
        if allowed < alarms.size:
            thresholds[k] = alarms[allowed]  # the first alarm that is one too many
            reached[k] = np.searchsorted(alarms, alarms[allowed]) / alarms.size
            identified[k] &= answers < alarms[allowed]
    distances = np.where(near_enough, answers, np.inf), nearest_wrong[unmated]
    detected = identified.mean(axis=1)
    columns = rates, detected, reached, thresholds, identified, mated, unmated
    return OpenSetResult(*columns, *distances)


def leave_identities_out(
    q_pids: ArrayLike, g_pids: ArrayLike, share: float = 0.5, seed: int = 0
) -> NDArray[np.bool_]:
    """Choose the gallery images that stay when some of the queries' identities leave the gallery.

    The queries of these identities become unmated. Images of identities without a query stay: they
    are distractors. The choice depends on the set of identities, not on their order::

        kept = leave_identities_out(q_pids, g_pids, share=0.5, seed=0)
        identify_open_set(distmat[:, kept], q_pids, g_pids[kept], q_camids, g_camids[kept])

    Of the common identities the ``share``, in (0, 1), is left out, at least one, and at least one
    stays. The result (G,), bool, marks the gallery images that stay.

    Raises:
        ValueError: ``share`` is out of its range, or fewer than two identities are in both.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share}: expected a share between 0 and 1; try 0.5")
    q_pids, g_pids = identity_arrays(q_pids, g_pids)
    shared = np.intersect1d(q_pids, g_pids)
    shared = shared[~is_junk(shared)]
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
    parts = []
    for block in pairs:
        distances = block.distances.astype(np.float64, copy=False)
        nearest = [distances.min(axis=1, where=one, initial=np.inf) for one in block[1:]]
        mated = block.right.any(axis=1)
        parts.append((*nearest, mated, ~mated & block.wrong.any(axis=1)))
    right, wrong, mated, unmated = map(np.concatenate, zip(*parts, strict=True))
    return right, wrong, np.flatnonzero(mated), np.flatnonzero(unmated)


# Intervals of TPR@FPR and DIR@FAR: bootstrap over the queries' identities.
#
# Such a rate is no mean over queries: the threshold depends on all of them. Each resample draws as
# many identities as exist, with replacement, each with all its queries, and chooses its threshold
# anew. The gallery stays. With fewer than about twenty identities the interval is too narrow.

RESAMPLES = 2000
LEVEL = 0.95
_THRESHOLDS = 1000  # thresholds among which a resample chooses
_REACH = 10  # so many times the allowed errors are examined


@dataclass(frozen=True)
class Distances:
    """Distances that a threshold accepts or refuses, by identity.

    Args:
        values: (n,) distances.
        groups: (n,) identities of their queries, in [0, C).
        totals: (C,) number of distances of each identity, also of distances not in ``values``.
        beyond: smallest distance that may be missing in ``values``; infinite if none is missing.
    """

    values: NDArray[np.floating]
    groups: NDArray[np.intp]
    totals: NDArray[np.intp]
    beyond: float = np.inf

    def nearer_than(self, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (C, T), the number of distances of each identity below T ascending limits."""
        count = self.totals.size, thresholds.size + 1
        places = np.searchsorted(thresholds, self.values, side="right")
        counts = np.bincount(self.groups * count[1] + places, minlength=count[0] * count[1])
        return counts.reshape(count).cumsum(axis=1)[:, :-1].astype(np.float64)


def verification_intervals(
    pairs: Pairs, rates: ArrayLike, *, seed: int = 0
) -> list[tuple[float, float] | None]:
    """Compute the interval of TPR@FPR at every rate; None if all queries are of one identity.

    A resample chooses among 1000 thresholds around the threshold of all queries. A small test set
    has no more thresholds. In a large one the reached false positive rate may be lower than the
    requested rate by half a hundredth of it.

    ``pairs`` holds right and wrong ones, and ``rates`` are (F,) numbers in (0, 1).
    """
    names, identity = np.unique(pairs.q_pids, return_inverse=True)
    rates = np.asarray(rates, dtype=np.float64)
    if names.size < 2 or not rates.size:
        return [None] * rates.size
    count = sum(int(np.count_nonzero(block.wrong)) for block in pairs)
    keep = min(count, _REACH * max(allowed_errors(rate, count) + 1 for rate in rates))
    limit = nearest_wrong(pairs, keep)[-1]
    right, wrong = _by_identity(pairs, identity, names.size, limit)
    drawn = _draw(names.size, np.random.default_rng(seed))
    return [_interval((wrong, drawn), (right, drawn), rate) for rate in rates]


def open_set_intervals(
    result: OpenSetResult, q_pids: ArrayLike, *, seed: int = 0
) -> list[tuple[float, float] | None]:
    """Compute the interval of DIR@FAR at every rate; None if either kind is of one identity.

    Identities with and without right answers are drawn separately. Therefore their numbers stay.
    ``q_pids`` (Q,) are the identities of the result's queries.
    """
    q_pids, generator = np.asarray(q_pids), np.random.default_rng(seed)
    sides = []
    for values, rows in (
        (result.alarm_distances, result.unmated_queries),
        (result.answer_distances, result.mated_queries),
    ):
        names, groups = np.unique(q_pids[rows], return_inverse=True)
        distances = Distances(values, groups, np.bincount(groups))
        sides.append((distances, _draw(names.size, generator)))
    if min(distances.totals.size for distances, _ in sides) < 2:
        return [None] * result.false_alarm_rates.size
    return [_interval(*sides, rate) for rate in result.false_alarm_rates]


def _by_identity(
    pairs: Pairs, identity: NDArray[np.intp], count: int, limit: float
) -> tuple[Distances, Distances]:
    """Return the right pairs, and the wrong pairs nearer than a limit."""
    kept: tuple[list, list] = ([], [])
    totals = np.zeros((2, count), dtype=np.intp)
    top = 0
    for block in pairs:
        ours = identity[top : top + len(block.distances)]
        top += len(ours)
        for side, chosen in enumerate((block.right, block.wrong)):
            np.add.at(totals[side], ours, chosen.sum(axis=1))
            if side:
                chosen = chosen & (block.distances < limit)  # however many tie there
            rows, columns = np.nonzero(chosen)
            kept[side].append((block.distances[rows, columns], ours[rows]))
    right, wrong = (
        Distances(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)), total, beyond)
        for blocks, total, beyond in zip(kept, totals, (np.inf, limit), strict=True)
    )
    return right, wrong


Drawn = tuple[Distances, NDArray[np.float64]]
"""Distances of C identities, and (R, C), how often each resample draws each identity."""


def _interval(wrong: Drawn, right: Drawn, rate: float) -> tuple[float, float]:
    """Return the interval of the share of accepted hits at the largest allowed threshold."""
    (errors, errors_drawn), (hits, hits_drawn) = wrong, right
    nearest = np.append(np.sort(errors.values), errors.beyond)
    last = min(nearest.size, _REACH * (allowed_errors(rate, int(errors.totals.sum())) + 1))
    places = np.arange(last)
    if last > _THRESHOLDS:
        around = np.geomspace(last / _REACH**2, last, _THRESHOLDS).astype(np.intp) - 1
        places = np.append(0, around)
    thresholds = np.unique(nearest[places])  # (T,), ascending, close around the rate
    allowed = np.array([allowed_errors(rate, int(n)) for n in errors_drawn @ errors.totals])
    accepted = errors_drawn @ errors.nearer_than(thresholds)  # (R, T), ascending in a row
    chosen = (accepted <= allowed[:, None]).sum(axis=1) - 1  # the nearest threshold accepts none
    accepted_hits = (hits_drawn @ hits.nearer_than(thresholds))[np.arange(chosen.size), chosen]
    all_hits = hits_drawn @ hits.totals
    shares = accepted_hits[all_hits > 0] / all_hits[all_hits > 0]
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _draw(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return (R, count), how often each resample draws each identity."""
    return generator.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)


# Both rates of one ranking, in per cent.

FALSE_POSITIVE_RATES = {"TPR@FPR=1e-2": 1e-2, "TPR@FPR=1e-3": 1e-3}
FALSE_ALARM_RATES = {"DIR@FAR=1e-1": 1e-1, "DIR@FAR=1e-2": 1e-2}
THRESHOLD_METRICS = (*FALSE_POSITIVE_RATES, *FALSE_ALARM_RATES)


@dataclass
class ThresholdMetrics:
    """Percentages by name, and the reasons why others are missing."""

    metrics: dict[str, Estimate] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)


def threshold_metrics(
    distmat: NDArray, q_pids: NDArray, g_pids: NDArray, q_camids: NDArray, g_camids: NDArray
) -> ThresholdMetrics:
    """Compute TPR@FPR and DIR@FAR in per cent, with intervals over the queries' identities.

    For DIR@FAR half of the identities leave the gallery, the same ones for every method
    (``leave_identities_out``, seed 0). A rate below one error of all possible errors is not
    defined: it would be the rate of no error, whatever its name. Arguments are those of
    :class:`Pairs`.
    """
    rated = ThresholdMetrics()
    rates, labels = FALSE_POSITIVE_RATES, (q_pids, g_pids, q_camids, g_camids)
    try:
        verified = verify_pairs(distmat, *labels, list(rates.values()))
    except ValueError as error:
        rated.undefined |= dict.fromkeys(rates, str(error))
    else:
        values, count = verified.true_positive_rates, verified.negative_pairs
        intervals = verification_intervals(Pairs(distmat, *labels), list(rates.values()))
        _add(rated, rates, values, intervals, count, "wrong pairs")
    rates = FALSE_ALARM_RATES
    try:
        kept = leave_identities_out(q_pids, g_pids, share=0.5, seed=0)
        labels = q_pids, g_pids[kept], q_camids, g_camids[kept]
        opened = identify_open_set(distmat[:, kept], *labels, list(rates.values()))
    except ValueError as error:
        rated.undefined |= dict.fromkeys(rates, str(error))
    else:
        values, count = opened.detection_rates, opened.unmated_queries.size
        intervals = open_set_intervals(opened, q_pids)
        what = "queries of identities that left the gallery"
        _add(rated, rates, values, intervals, count, what)
    return rated


def not_computed(reason: str) -> ThresholdMetrics:
    """Return no metric, and one reason for all."""
    return ThresholdMetrics(undefined=dict.fromkeys(THRESHOLD_METRICS, reason))


def _add(
    rated: ThresholdMetrics,
    rates: dict[str, float],
    values: NDArray[np.float64],
    intervals: list[tuple[float, float] | None],
    count: int,
    what: str,
) -> None:
    """Add the rates that allow at least one error of ``count``, or the reason against a rate."""
    for name, value, interval in zip(rates, values, intervals, strict=True):
        least = round(1 / rates[name])
        if count < least:
            rated.undefined[name] = f"{count} {what}: expected at least {least}"
        else:
            ends = [100 * end for end in interval or ()]
            rated.metrics[name] = Estimate(100 * float(value), *ends)
