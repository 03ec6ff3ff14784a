"""From rankings of covered queries to a robustness curve, and from two curves to a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.intervals import bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.query_curves import METRICS, QueryCurves
from fed_plugin.retrieval.ranking import RankingResult
from fed_plugin.retrieval.result import Metric
from fed_plugin.retrieval.robustness_curve import Level, RobustnessCurve

Condition = tuple[str, str, float]
"""Kind of occluder, side, visible share."""

_DECIMALS = 3  # of what is kept per query
_COMPARED = ("dataset", "queries", "seed", "occluders")


def summarize_rankings(
    names: Sequence[str],
    whole: RankingResult,
    covered: Mapping[Condition, RankingResult],
    **about: Any,
) -> RobustnessCurve:
    """Sum up rankings of the same V queries, whole and covered.

    Args:
        names: V file names, each with a right answer in the gallery.
        whole: ranking where nothing is pasted.
        covered: likewise for every kind, side and visible share.
        **about: the other fields of a :class:`RobustnessCurve`.

    Raises:
        KeyError: a condition is missing.
    """
    kinds, sides, shares = (list(dict.fromkeys(values)) for values in zip(*covered, strict=True))
    shares.sort(reverse=True)
    values = {
        kind: {
            metric: np.stack(
                [
                    _percentages(whole, metric),
                    *(
                        np.mean(
                            [_percentages(covered[kind, side, share], metric) for side in sides],
                            axis=0,
                        )
                        for share in shares
                    ),
                ]
            ).round(_DECIMALS)
            for metric in METRICS
        }
        for kind in kinds
    }
    rows = QueryCurves(tuple(names), (1.0, *shares), values)
    return RobustnessCurve(
        levels=tuple(
            Level(kind, side, share, _metrics_of(covered[kind, side, share]))
            for kind in kinds
            for side in sides
            for share in shares
        ),
        whole=_metrics_of(whole),
        area={name: _metric(rows.areas(name)) for name in METRICS},
        per_query=rows,
        **about,
    )


def mean_curve(
    curve: RobustnessCurve, metric: str, kind: str | None = None
) -> list[tuple[float, Metric]]:
    """Return (visible share, metric) from 1 down, in the mean over the sides.

    Args:
        curve: of one method.
        metric: one of ``METRICS``.
        kind: of occluder; None for the mean over all kinds.
    """
    rows = curve.per_query
    points = rows.percentages(metric, kind)
    return [
        (share, _metric(values)) for share, values in zip(rows.visible_shares, points, strict=True)
    ]


def compare_areas(
    curve: RobustnessCurve, baseline: RobustnessCurve, kind: str | None = None
) -> dict[str, Metric]:
    """Compute by how many points a method's areas are larger, paired over the same queries.

    Args:
        curve: of one method.
        baseline: of another method on the same covered queries.
        kind: of occluder; None for the mean over all kinds.

    Returns:
        ``curve - baseline`` by metric; an interval without zero is more than the draw of queries
        explains.

    Raises:
        ValueError: The queries, or what was pasted on them, are not the same.
    """
    check_comparable(curve, baseline)
    ours, theirs = curve.per_query, baseline.per_query
    return {
        name: _of_interval(paired_bootstrap(ours.areas(name, kind), theirs.areas(name, kind)))
        for name in METRICS
    }


def compare_whole(curve: RobustnessCurve, baseline: RobustnessCurve) -> dict[str, Metric]:
    """Compute by how many points a method is better on the whole queries, paired over them.

    Args:
        curve: of one method.
        baseline: of another method on the same queries.

    Returns:
        ``curve - baseline`` by metric.

    Raises:
        ValueError: The queries, or what was pasted on them, are not the same.
    """
    check_comparable(curve, baseline)
    return {
        name: _of_interval(
            paired_bootstrap(*(one.per_query.whole(name) for one in (curve, baseline)))
        )
        for name in METRICS
    }


def check_comparable(curve: RobustnessCurve, baseline: RobustnessCurve) -> None:
    """Refuse two curves that were not measured alike.

    Raises:
        ValueError: The queries, or what was pasted on them, are not the same.
    """
    ours, theirs = curve.per_query, baseline.per_query
    for field in _COMPARED:
        a, b = getattr(curve, field), getattr(baseline, field)
        if a != b:
            raise ValueError(
                f"{curve.method} and {baseline.method} do not compare: {field} is {a!r}, not "
                f"{b!r}; try measuring both by the same settings"
            )
    if (ours.names, ours.visible_shares, [*ours.values]) != (
        theirs.names,
        theirs.visible_shares,
        [*theirs.values],
    ):
        raise ValueError(
            f"{curve.method} and {baseline.method} do not compare: other queries, visible shares "
            "or kinds of occluders; try measuring both by the same settings"
        )


def _percentages(ranking: RankingResult, metric: str) -> NDArray[np.float64]:
    return 100 * (ranking.average_precisions if metric == "mAP" else ranking.hits_at(1))


def _metrics_of(ranking: RankingResult) -> dict[str, Metric]:
    return {name: _metric(_percentages(ranking, name)) for name in METRICS}


def _metric(values: NDArray[np.float64]) -> Metric:
    return _of_interval(bootstrap_interval(values))


def _of_interval(interval: Any) -> Metric:
    return Metric(interval.mean, interval.low, interval.high)
