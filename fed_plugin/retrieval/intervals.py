"""Intervals of means over queries, paired tests of two methods, and spread over training seeds.

An interval over queries shows what another draw of queries from the same cameras would do to a
number. It shows nothing about another training seed.

The queries of one person are alike. Drawn one by one, these queries count as more evidence than
they are, and the interval is too narrow. With ``groups`` whole identities are drawn, each with all
its queries. With fewer than about twenty identities this interval is too narrow as well.
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

    With ``groups``, each resample draws as many groups as exist, with replacement. The mean is over
    all queries of the drawn groups: a group with more queries weighs more, as in the mean itself.

    Args:
        per_query_values: (V,) one number per query, such as ``RankingResult.average_precisions``
            or ``RankingResult.hits_at(1)``.
        groups: (V,) identities of the queries, numbers or strings, as
            ``q_pids[result.valid_queries]``. None draws every query by itself.
        level: share of resampled means inside the interval, in (0, 1).
        resamples: number of draws of V queries with replacement.
        seed: seed of the draw.

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, ``groups`` has another
            length or one group only, or ``level`` or ``resamples`` is out of its range.
    """
    values = checked_values("per_query_values", per_query_values)
    checked_level(level)
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: expected at least 1; try 2000")
    sums, counts = group_totals(values, groups)
    mean = float(values.mean())
    if sums.size == 1:  # scipy wants two
        return Estimate(mean, mean, mean, level=level)
    from scipy.stats import bootstrap  # takes a second to import

    drawn = bootstrap(
        (sums,) if groups is None else (sums, counts),
        np.mean if groups is None else lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis),
        paired=groups is not None,
        vectorized=True,
        n_resamples=resamples,
        batch=max(1, _BLOCK_ELEMENTS // sums.size),
        method="percentile",
        random_state=np.random.default_rng(seed),  # `rng` from scipy 1.15 on
    ).bootstrap_distribution
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), level=level)


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

    The pairs stay together. Therefore what makes a query hard for both methods cancels out. If the
    interval leaves out zero, the draw of queries does not explain the difference.

    ``a`` and ``b`` (V,) are the numbers of two methods for the same queries in the same order; all
    other arguments are those of :func:`bootstrap_interval`.

    Raises:
        ValueError: The lengths differ, or as :func:`bootstrap_interval`.
    """
    return bootstrap_interval(
        query_differences(a, b), groups=groups, level=level, resamples=resamples, seed=seed
    )


def query_differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Return ``a - b`` (V,) of two methods on the same queries.

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
    """Return the sum and the number of the values (V,) of every group, (C,) each.

    Without ``groups`` (V,) every value is a group.

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
    """Return (V,) finite numbers as float64.

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}: expected (V,), one number per query")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity: expected finite numbers")
    return values


def checked_level(level: float) -> None:
    """Raise ValueError for a ``level`` outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level={level}: expected a share between 0 and 1; try 0.95")


# Paired test: is one method better than another on the same queries?
#
# If the two methods were equally good, each query's difference might as well have the other sign.
# The test flips the signs in all ways, or in many drawn ways, and counts the mean differences that
# are at least as large. The test assumes no distribution; for hits at rank 1 it is the exact
# McNemar test. scipy.stats.permutation_test gives the same exact p-values, and for drawn flips of
# 3,368 queries takes five times as long and 100 MB.


@dataclass(frozen=True)
class PairedTest:
    """Mean of ``a - b`` over the queries, and its two-sided p-value, in (0, 1].

    ``exact`` tells whether all sign flips were counted; otherwise some were drawn.
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

    If at most ``flips`` sign flips exist, all of them are counted. Otherwise ``flips`` are drawn,
    and the observed one is counted too: p = (1 + as large) / (1 + flips), which is never 0.

    ``a`` and ``b`` are as for :func:`paired_bootstrap`. With ``groups`` (V,), the queries'
    identities, the differences of one identity flip together. Without groups the queries of one
    person count as independent, and p is too small.

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
    # A sum that equals the observed sum but for rounding is as large.
    bound = abs(sums.sum()) - 1e-12 * np.abs(sums).sum()
    signs = _signs(sums.size, None if exact else flips, seed)
    as_large = sum(int(np.count_nonzero(np.abs(block @ sums) >= bound)) for block in signs)
    p_value = as_large / 2**sums.size if exact else (1 + as_large) / (1 + flips)
    return PairedTest(difference, p_value, exact)


def holm_adjusted(p_values: ArrayLike) -> NDArray[np.float64]:
    """Correct the p-values (n,), in [0, 1], of several comparisons by Holm's method.

    Suppose that differences with an adjusted p-value below 0.05 are called real. Then at most 5 of
    100 such families have a chance difference called real, also where the tests depend on each
    other.

    Returns:
        (n,) in the same order: the k-th smallest times n + 1 - k, at most 1 and never below the
        adjusted value of a smaller one.

    Raises:
        ValueError: The p-values are empty, not one-dimensional or out of [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values={p_values}: expected numbers between 0 and 1")
    order = np.argsort(values, kind="stable")
    factors = np.arange(values.size, 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return adjusted


def _signs(count: int, flips: int | None, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield ``flips`` drawn rows of signs, or every row once, (R, count) float64 in blocks."""
    generator = np.random.default_rng(seed)
    rows, end = max(1, _BLOCK_ELEMENTS // max(count, 1)), flips or 2**count
    for top in range(0, end, rows):
        numbers = np.arange(top, min(top + rows, end))
        if flips:
            yield np.where(generator.random((len(numbers), count)) < 0.5, -1.0, 1.0)
        else:
            yield 1.0 - 2.0 * (numbers[:, None] >> np.arange(count) & 1)


# Mean and spread of one number over training seeds.
#
# An interval over seeds shows what other seeds would do to the mean, on the same queries. An
# interval over queries shows what other queries would do to one trained model. Neither contains the
# other.


@dataclass(frozen=True)
class SeedSummary:
    """Mean and spread over ``count`` training seeds, in the unit of the values.

    ``sd`` is the standard deviation of one seed, divided by count - 1; ``interval`` is Student's t
    interval of the mean. Both are None for one seed, which has no spread.
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
    freedom. Suppose that the numbers are independent draws of one normal distribution. Then
    ``level`` of all such intervals contain the mean of this distribution. Few seeds cost width: t
    is 12.7 for two seeds, 4.30 for three, 2.78 for five. The interval may reach below 0 or above 1.

    ``values`` (n,) are one number per seed, and ``level`` is in (0, 1). For two methods trained
    with the same seeds, summarize the differences seed by seed.

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, or ``level`` is out of
            its range.
    """
    numbers = checked_values("values", values)
    checked_level(level)
    mean, sd, interval = float(numbers.mean()), None, None
    if numbers.size > 1:
        from scipy.special import stdtrit

        sd = float(numbers.std(ddof=1))
        half = float(stdtrit(numbers.size - 1, (1 + level) / 2)) * sd / math.sqrt(numbers.size)
        interval = Estimate(mean, mean - half, mean + half, level=level)
    return SeedSummary(numbers.size, mean, sd, float(numbers.min()), float(numbers.max()), interval)
