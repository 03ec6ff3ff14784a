"""Is one method better than another on the same queries? A sign-flip test, with its p-value.

If the two methods were equally good, each query's difference might as well have had the other sign.
The test flips the signs in all ways, or in many drawn ones, and counts how often a mean difference
comes out that is at least as large. It assumes no distribution; for hits at rank 1 it is the exact
McNemar test. Like an interval over queries it says nothing about another training seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.intervals import group_totals, query_differences

_BLOCK_ELEMENTS = 2_000_000  # signs held at once


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
