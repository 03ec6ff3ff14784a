"""Results by visible share, where a data set says how much of every query can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.intervals import bootstrap_interval
from fed_plugin.retrieval.result import Metric, Queries

EDGES = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
METRICS = ("Rank-1", "mAP", "mINP")


@dataclass(frozen=True)
class VisibleShareRow:
    """Hold what the queries of one range of visible shares are worth.

    Args:
        low: lower end of the range.
        high: upper end, which belongs to the next range but for the last one.
        count: queries in the range.
        metrics: percentages by name, with 95 % intervals over these queries.
    """

    low: float
    high: float
    count: int
    metrics: Mapping[str, Metric]


def by_visible_share(
    queries: Queries, shares: Mapping[str, float], edges: Sequence[float] = EDGES
) -> list[VisibleShareRow]:
    """Sum up the queries of each range of visible shares.

    Args:
        queries: what a ranking says of each.
        shares: visible share of every query, by file name; others may be there as well.
        edges: rising ends of the ranges; a range holds its lower end, the last one both.

    Returns:
        A row per range that holds a query, from the least visible on.

    Raises:
        ValueError: the edges do not rise, or a query has no share, or one outside of the edges.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges {list(edges)}: expected two numbers or more that rise")
    missing = [name for name in queries.names if name not in shares]
    if missing:
        raise ValueError(
            f"{missing[0]!r} and {len(missing) - 1} more queries have no visible share: expected "
            f"one for each of {len(queries.names)}; try the side file of the same data set"
        )
    seen = np.array([shares[name] for name in queries.names], dtype=np.float64)
    outside = np.flatnonzero(~((seen >= edges[0]) & (seen <= edges[-1])))
    if outside.size:
        raise ValueError(
            f"{queries.names[outside[0]]!r} has the visible share {seen[outside[0]]:g}: expected "
            f"one from {edges[0]:g} to {edges[-1]:g}"
        )
    places = np.searchsorted(edges, seen, side="right") - 1
    places = np.minimum(places, len(edges) - 2)
    values = {name: queries.percentages(name) for name in METRICS}
    return [
        VisibleShareRow(
            float(edges[place]),
            float(edges[place + 1]),
            int(count),
            {name: _metric(numbers[places == place]) for name, numbers in values.items()},
        )
        for place, count in enumerate(np.bincount(places, minlength=len(edges) - 1))
        if count
    ]


def correlate_visibility(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Correlate what a method says of the parts of images with what can be seen of them.

    Args:
        predicted: (V, P) visibility in [0, 1].
        true: (V, P) visible shares; NaN where a part shows nothing of the person, which is left
            out.

    Returns:
        Pearson's r over all parts of all images; 0 where either does not vary.
    """
    known = ~np.isnan(true)
    pair = np.stack([predicted[known], true[known]]).astype(np.float64)
    if pair.shape[1] < 2 or not (np.ptp(pair, axis=1) > 0).all():
        return 0.0
    return float(np.corrcoef(pair)[0, 1])


def _metric(values: np.ndarray) -> Metric:
    interval = bootstrap_interval(values)
    return Metric(interval.mean, interval.low, interval.high)
