"""How far a mean over queries can be trusted: percentile bootstrap over the queries.

An interval says what another draw of queries from the same cameras would do to a number. It says
nothing about another training seed, and as the queries of one person are alike, it is rather too
narrow than too wide.
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
    per_query_values: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Compute the percentile bootstrap interval of a mean over queries.

    Args:
        per_query_values: (V,) one number per query, such as ``RankingResult.average_precisions``
            or ``RankingResult.hits_at(1)``.
        level: share of resampled means inside the interval, in (0, 1).
        resamples: how often V queries are drawn with replacement.
        seed: of the draw; the same seed gives the same interval.

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, or ``level`` or
            ``resamples`` is out of its range.
    """
    values = _checked("per_query_values", per_query_values)
    if not 0 < level < 1:
        raise ValueError(f"level={level}: expected a share between 0 and 1; try 0.95")
    if resamples < 1:
        raise ValueError(f"resamples={resamples}: expected at least 1; try 2000")
    generator = np.random.default_rng(seed)
    means = np.empty(resamples)
    rows = max(1, _BLOCK_ELEMENTS // values.size)
    for top in range(0, resamples, rows):
        part = means[top : top + rows]
        part[:] = values[generator.integers(values.size, size=(part.size, values.size))].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high), level)


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Compute the interval of ``mean(a) - mean(b)`` where both ranked the same queries.

    The pairs stay together, so that what makes a query hard for both cancels out. An interval that
    leaves out zero says that the two differ by more than the draw of queries explains.

    Args:
        a: (V,) one number per query.
        b: (V,) the other's numbers for the same queries in the same order.
        level: as for :func:`bootstrap_interval`.
        resamples: as for :func:`bootstrap_interval`.
        seed: as for :func:`bootstrap_interval`.

    Raises:
        ValueError: The lengths differ, or as :func:`bootstrap_interval`.
    """
    a, b = _checked("a", a), _checked("b", b)
    if a.size != b.size:
        raise ValueError(
            f"a has {a.size} queries and b {b.size}: expected the same queries in the same order; "
            "try ranking both on one query list"
        )
    return bootstrap_interval(a - b, level=level, resamples=resamples, seed=seed)


def _checked(name: str, values: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} has shape {values.shape}: expected (V,), one number per query")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity: expected finite numbers")
    return values
