"""How far a mean over queries can be trusted: percentile bootstrap over the queries.

An interval says what another draw of queries from the same cameras would do to a number. It says
nothing about another training seed.

The queries of one person are alike. Drawn one by one they count as more evidence than they are, and
the interval is too narrow; with ``groups`` whole identities are drawn, each with all its queries.
Below some twenty identities that interval is too narrow as well, for want of identities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.estimates import Estimate

_BLOCK_ELEMENTS = 2_000_000  # drawn indices held at once: 16 MB


def bootstrap_interval(
    per_query_values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Compute the percentile bootstrap interval of a mean over queries.

    With ``groups``, as many groups as there are are drawn with replacement, and the mean is over
    all queries of the groups drawn: a group with more queries weighs more, as in the mean itself.

    Args:
        per_query_values: (V,) one number per query, such as ``RankingResult.average_precisions``
            or ``RankingResult.hits_at(1)``.
        groups: (V,) what belongs together, numbers or strings: the queries' identities, as
            ``q_pids[result.valid_queries]``. None draws every query by itself.
        level: share of resampled means inside the interval, in (0, 1).
        resamples: how often V queries are drawn with replacement.
        seed: of the draw; the same seed gives the same interval.

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, ``groups`` has another
            length or one group only, or ``level`` or ``resamples`` is out of its range.
    """
    values = checked_values("per_query_values", per_query_values)
    checked_level(level)
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: expected at least 1; try 2000")
    sums, counts = group_totals(values, groups)
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _BLOCK_ELEMENTS // sums.size)
    for top in range(0, resamples, rows):
        part = means[top : top + rows]
        drawn = generator.integers(sums.size, size=(part.size, sums.size))
        part[:] = (
            sums[drawn].mean(1) if groups is None else sums[drawn].sum(1) / counts[drawn].sum(1)
        )
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(values.mean()), float(low), float(high), level=level)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """Compute the interval of ``mean(a) - mean(b)`` where both ranked the same queries.

    The pairs stay together, so that what makes a query hard for both cancels out. An interval that
    leaves out zero says that the two differ by more than the draw of queries explains.

    Args:
        a: (V,) one number per query.
        b: (V,) the other's numbers for the same queries in the same order.
        groups: as for :func:`bootstrap_interval`.
        level: as for :func:`bootstrap_interval`.
        resamples: as for :func:`bootstrap_interval`.
        seed: as for :func:`bootstrap_interval`.

    Raises:
        ValueError: The lengths differ, or as :func:`bootstrap_interval`.
    """
    differences = query_differences(a, b)
    return bootstrap_interval(
        differences, groups=groups, level=level, resamples=resamples, seed=seed
    )


def query_differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return ``a - b`` (V,) of two methods on the same queries, or refuse them.

    Raises:
        ValueError: One is empty, not one-dimensional or not finite, or the lengths differ.
    """
    a, b = checked_values("a", a), checked_values("b", b)
    if a.size != b.size:
        raise ValueError(
            f"a has {a.size} queries and b {b.size}: expected the same queries in the same order; "
            "try ranking both on one query list"
        )
    return a - b


def group_totals(
    values: NDArray[np.float64], groups: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sum of the values of every group and its number of values, (C,) each.

    Args:
        values: (V,) one number per query.
        groups: (V,) what belongs together; None for every query by itself.

    Raises:
        ValueError: ``groups`` has another length than the values, or holds one group only.
    """
    if groups is None:
        return values, np.ones(values.size, dtype=np.int64)
    groups = np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(
            f"groups has shape {groups.shape}: expected {values.shape}, the identity of each of "
            "the queries; try q_pids[result.valid_queries]"
        )
    names, places = np.unique(groups, return_inverse=True)
    if names.size < 2:
        raise ValueError(
            f"groups holds one group, {names[0]!r}: expected at least 2, as one does not "
            "show how identities differ; try groups=None"
        )
    return np.bincount(places, weights=values), np.bincount(places)


def checked_values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return (V,) finite numbers as float64, or refuse them by ``name``.

    Raises:
        ValueError: They are empty, not one-dimensional or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}: expected (V,), one number per query")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity: expected finite numbers")
    return values


def checked_level(level: float) -> None:
    """Refuse a ``level`` that is no share.

    Raises:
        ValueError: It is out of (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level}: expected a share between 0 and 1; try 0.95")


# Is one method better than another on the same queries? A sign-flip test, with its p-value.
#
# If the two methods were equally good, each query's difference might as well have had the other
# sign. The test flips the signs in all ways, or in many drawn ones, and counts how often a mean
# difference comes out that is at least as large. It assumes no distribution; for hits at rank 1 it
# is the exact McNemar test. Like an interval over queries it says nothing about another training
# seed.


@dataclass(frozen=True)
class PairedTest:
    """Hold the outcome of a paired test.

    Attributes:
        difference: mean of ``a - b`` over the queries, in the unit of the values.
        p_value: two-sided, in (0, 1].
        exact: were all sign flips counted, or some drawn?
    """

    difference: float
    p_value: float
    exact: bool


def sign_flip_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    flips: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Test whether ``mean(a) - mean(b)`` is zero, where both ranked the same queries.

    All flips are counted where there are no more than ``flips`` of them. Otherwise that many are
    drawn, and the flip that was observed is counted in with them: p = (1 + as large) / (1 + flips),
    which is never 0.

    Args:
        a: (V,) one number per query, such as ``RankingResult.average_precisions``.
        b: (V,) the other's numbers for the same queries in the same order.
        groups: (V,) the queries' identities, whose differences then flip together: without them
            the queries of one person count as independent, and p is too small.
        flips: how many sign flips to count at most.
        seed: of the draw; the same seed gives the same p-value.

    Raises:
        ValueError: The lengths differ, a value is not finite, ``groups`` has another length or one
            group only, or ``flips`` is below 1.
    """
    differences = query_differences(a, b)
    if flips < 1:
        raise ValueError(f"flips={flips}: expected at least 1; try 10000")
    sums, _ = group_totals(differences, groups)
    difference = float(differences.mean())
    sums = sums[sums != 0]  # either sign of a zero is the same flip
    exact = 2**sums.size <= flips
    signs = _all_signs(sums.size) if exact else _drawn_signs(sums.size, flips, seed)
    # What equals the observed sum but for rounding is as large as it.
    bound = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    as_large = sum(int(np.count_nonzero(np.abs(block @ sums) >= bound)) for block in signs)
    p_value = as_large / 2**sums.size if exact else (1 + as_large) / (1 + flips)
    return PairedTest(difference, p_value, exact)


def holm_adjusted(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct the p-values of several comparisons made at once, by Holm's method.

    Calling those differences real whose adjusted p-value is below 0.05 calls any chance difference
    real in at most 5 of 100 such families, whatever the tests have in common.

    Args:
        p_values: (n,) in [0, 1], in any order.

    Returns:
        (n,) in the same order: the k-th smallest times n + 1 - k, at most 1 and never below the
        adjusted value of a smaller one.

    Raises:
        ValueError: They are empty, not one-dimensional or out of [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values={p_values}: expected numbers between 0 and 1")
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return adjusted


def _all_signs(count: int) -> Iterator[NDArray[np.float64]]:
    """Yield every row of ``count`` signs once, (R, count) float64 in blocks."""
    rows = max(1, _BLOCK_ELEMENTS // max(count, 1))
    for top in range(0, 2**count, rows):
        numbers = np.arange(top, min(top + rows, 2**count))
        yield 1.0 - 2.0 * (numbers[:, None] >> np.arange(count) & 1)


def _drawn_signs(count: int, flips: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield ``flips`` rows of ``count`` random signs, (R, count) float64 in blocks."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK_ELEMENTS // count)
    for top in range(0, flips, rows):
        drawn = generator.random((min(rows, flips - top), count))
        yield np.where(drawn < 0.5, -1.0, 1.0)


# Mean and spread of one number over training seeds.
#
# An interval over seeds says what other seeds would have done to the mean, on the same queries; one
# over queries (:mod:`fed_plugin.retrieval.intervals`) says what other queries would have done to
# one trained model. Neither contains the other.


@dataclass(frozen=True)
class SeedSummary:
    """Hold what the seeds say, in the unit of the values.

    Attributes:
        count: number of seeds.
        mean: mean over them.
        sd: standard deviation of one seed, with count - 1 below; None for one seed.
        lowest: smallest value.
        highest: largest value.
        interval: Student's t interval of the mean; None for one seed, which has no spread.
    """

    count: int
    mean: float
    sd: float | None
    lowest: float
    highest: float
    interval: Estimate | None


def summarize_seeds(values: ArrayLike, *, level: float = 0.95) -> SeedSummary:
    """Summarize one number per training seed.

    The interval is mean +- t * sd / sqrt(n), t from Student's distribution with n - 1 degrees of
    freedom. If the seeds' numbers are independent draws of one normal distribution, intervals made
    like this contain its mean, the number of a seed chosen at random, in ``level`` of all
    repetitions. Few seeds cost width: t is 12.7 for two seeds, 4.30 for three, 2.78 for five. An
    interval that reaches beyond 0 or 1 is left so.

    For two methods trained with the same seeds, summarize their differences seed by seed.

    Args:
        values: (n,) one number per seed.
        level: share of repetitions whose interval contains the mean, in (0, 1).

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, or ``level`` is out of
            its range.
    """
    numbers = checked_values("values", values)
    checked_level(level)
    mean, sd, interval = float(numbers.mean()), None, None
    if numbers.size > 1:
        sd = float(numbers.std(ddof=1))
        half = student_t(level, numbers.size - 1) * sd / math.sqrt(numbers.size)
        interval = Estimate(mean, mean - half, mean + half, level=level)
    return SeedSummary(numbers.size, mean, sd, float(numbers.min()), float(numbers.max()), interval)


def student_t(level: float, degrees: int) -> float:
    """Return the t with P(-t <= T <= t) = ``level`` for Student's T.

    With T = sqrt(degrees) * tan(a) the density of the angle a is proportional to
    cos(a) ** (degrees - 1), whose integral is elementary; the angle is found by halving.

    Args:
        level: in (0, 1).
        degrees: of freedom, a whole number from 1.
    """
    whole = _integral_of_cosine_power(degrees - 1, math.pi / 2)
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _integral_of_cosine_power(degrees - 1, middle) < level * whole:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(middle)


def _integral_of_cosine_power(power: int, angle: float) -> float:
    """Integrate cos(a) ** power from 0 to ``angle``, two powers at a time by parts."""
    cosine, sine = math.cos(angle), math.sin(angle)
    integral = sine if power % 2 else angle
    for n in range(2 + power % 2, power + 1, 2):
        integral = (cosine ** (n - 1) * sine + (n - 1) * integral) / n
    return integral
