"""How far a mean over queries can be trusted: percentile bootstrap over the queries.

An interval says what another draw of queries from the same cameras would do to a number. It says
nothing about another training seed.

The queries of one person are alike. Drawn one by one they count as more evidence than they are, and
the interval is too narrow; with ``groups`` whole identities are drawn, each with all its queries.
Below some twenty identities that interval is too narrow as well, for want of identities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCK_ELEMENTS = 2_000_000  # drawn indices held at once: 16 MB


@dataclass(frozen=True)
class Interval:
    """Hold a mean and its interval, in the unit of the values.

    Attributes:
        mean: mean of the values.
        low: lower end.
        high: upper end.
        level: share of resamples between the two ends.
    """

    mean: float
    low: float
    high: float
    level: float


def bootstrap_interval(
    per_query_values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
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
    return Interval(float(values.mean()), float(low), float(high), level)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
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
