"""Intervals of rates at a threshold, TPR@FPR and DIR@FAR: bootstrap over the queries' identities.

Such a rate is no mean over queries: the threshold depends on all of them. Every resample draws as
many identities as there are, with replacement, each with all its queries, and chooses its threshold
anew. The gallery stays. As for means, an interval of fewer than some twenty identities is too
narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.open_set import OpenSetResult
from fed_plugin.retrieval.pairs import Pairs
from fed_plugin.retrieval.verification import allowed_errors, nearest_wrong

RESAMPLES = 2000
LEVEL = 0.95
_THRESHOLDS = 1000  # that a resample chooses among
_REACH = 10  # times as many errors as allowed are looked at


@dataclass(frozen=True)
class Distances:
    """Hold what a threshold accepts or refuses, by identity.

    Args:
        values: (n,) distances.
        groups: (n,) identities of their queries, in [0, C).
        totals: (C,) how many there are of each identity, with what is not among the values.
        beyond: the nearest distance that may not be among the values; infinite if all are.
    """

    values: NDArray[np.floating]
    groups: NDArray[np.intp]
    totals: NDArray[np.intp]
    beyond: float = np.inf

    def nearer_than(self, thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (C, T), how many of each identity are nearer than each of T ascending limits."""
        count = self.totals.size, thresholds.size + 1
        places = np.searchsorted(thresholds, self.values, side="right")
        counts = np.bincount(self.groups * count[1] + places, minlength=count[0] * count[1])
        return counts.reshape(count).cumsum(axis=1)[:, :-1].astype(np.float64)


def verification_intervals(
    pairs: Pairs, rates: ArrayLike, *, seed: int = 0
) -> list[tuple[float, float] | None]:
    """Compute the interval of TPR@FPR at every rate; None where the queries are of one identity.

    A resample chooses among 1000 thresholds around the one of all queries: all there are in a small
    test set; in a large one, its false positive rate may stay below the one asked for by half a
    hundredth of it.

    Args:
        pairs: with right and wrong ones among them.
        rates: (F,) false positive rates in (0, 1).
        seed: of the draw.
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
    return [_interval(wrong, right, rate, drawn, drawn) for rate in rates]


def open_set_intervals(
    result: OpenSetResult, q_pids: ArrayLike, *, seed: int = 0
) -> list[tuple[float, float] | None]:
    """Compute the interval of DIR@FAR at every rate of a result.

    Identities with and without right answers are drawn apart, so that their numbers stay.

    Args:
        result: of :func:`fed_plugin.retrieval.open_set.identify_open_set`.
        q_pids: (Q,) identities of the queries that it was computed from.
        seed: of the draw.

    Returns:
        An interval for every rate; None where either kind is of one identity.
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
    (alarms, alarms_drawn), (answers, answers_drawn) = sides
    if min(alarms.totals.size, answers.totals.size) < 2:
        return [None] * result.false_alarm_rates.size
    return [
        _interval(alarms, answers, rate, alarms_drawn, answers_drawn)
        for rate in result.false_alarm_rates
    ]


def _by_identity(
    pairs: Pairs, identity: NDArray[np.intp], count: int, limit: float
) -> tuple[Distances, Distances]:
    """Return right and wrong pairs; of the wrong ones, those nearer than a limit."""
    kept: tuple[list, list] = ([], [])
    totals = np.zeros((2, count), dtype=np.intp)
    top = 0
    for block in pairs:
        ours = identity[top : top + len(block.distances)]
        top += len(ours)
        for side, chosen in enumerate((block.right, block.wrong)):
            totals[side] += np.bincount(ours, weights=chosen.sum(axis=1), minlength=count).astype(
                np.intp
            )
            if side:
                chosen = chosen & (block.distances < limit)  # however many tie there
            rows, columns = np.nonzero(chosen)
            kept[side].append((block.distances[rows, columns], ours[rows]))
    right, wrong = (
        Distances(*(np.concatenate(parts) for parts in zip(*found, strict=True)), total, beyond)
        for found, total, beyond in zip(kept, totals, (np.inf, limit), strict=True)
    )
    return right, wrong


def _interval(
    errors: Distances,
    hits: Distances,
    rate: float,
    errors_drawn: NDArray[np.float64],
    hits_drawn: NDArray[np.float64],
) -> tuple[float, float]:
    """Return the interval of the share of hits at the largest threshold with so few errors.

    Args:
        errors: distances that should be refused.
        hits: distances that should be accepted.
        rate: share of errors that a threshold may accept.
        errors_drawn: (R, C) how often each identity of the errors is drawn.
        hits_drawn: (R, C') likewise of the hits.
    """
    thresholds = _thresholds(errors, rate)
    allowed = np.array([allowed_errors(rate, int(n)) for n in errors_drawn @ errors.totals])
    accepted = errors_drawn @ errors.nearer_than(thresholds)  # (R, T), ascending in a row
    chosen = (accepted <= allowed[:, None]).sum(axis=1) - 1  # the nearest threshold accepts none
    found = (hits_drawn @ hits.nearer_than(thresholds))[np.arange(chosen.size), chosen]
    wanted = hits_drawn @ hits.totals
    shares = found[wanted > 0] / wanted[wanted > 0]
    low, high = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _thresholds(errors: Distances, rate: float) -> NDArray[np.floating]:
    """Return (T,) distances of errors, ascending, close around the rate."""
    nearest = np.append(np.sort(errors.values), errors.beyond)
    last = min(nearest.size, _REACH * (allowed_errors(rate, int(errors.totals.sum())) + 1))
    places = np.arange(last)
    if last > _THRESHOLDS:
        around = np.geomspace(last / _REACH**2, last, _THRESHOLDS).astype(np.intp) - 1
        places = np.append(0, around)
    return np.unique(nearest[places])


def _draw(count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return (R, count), how often each identity is drawn in each resample."""
    return generator.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(np.float64)
