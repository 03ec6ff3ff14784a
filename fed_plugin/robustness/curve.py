"""Robustness: what a method is worth when a share of every query is covered.

JSON, format "fed_plugin.robustness/1". A *visible share* is 1 less the covered share of the image's
area. The *area* of a metric is that under its curve from the smallest visible share to 1, over the
width of that range: the mean metric, were every share equally likely. Percentages throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import StoredAsJson, reading
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.ranking import RankingResult

# What becomes of every query as it is covered, and the area under what becomes of it.
#
# Shape shorthand: ``V`` queries, ``L`` visible shares below 1.

METRICS = ("Rank-1", "mAP")


@dataclass(frozen=True, eq=False)
class QueryCurves:
    """What became of every query, in the mean over the sides.

    Args:
        names: V file names.
        visible_shares: 1, where nothing is pasted, then L falling shares above 0.
        values: (1 + L, V) percentages by kind and metric; the first rows of all kinds agree.

    Raises:
        ValueError: names, shares, shapes or ranges do not fit.
    """

    names: tuple[str, ...]
    visible_shares: tuple[float, ...]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]

    def __post_init__(self) -> None:
        shares, count = np.asarray(self.visible_shares, dtype=np.float64), len(self.names)
        if not count or len(set(self.names)) != count:
            raise ValueError(f"per_query.names has {count} names: expected some, each once")
        falls = shares.ndim == 1 and shares.size > 1 and bool((np.diff(shares) < 0).all())
        if not (falls and shares[0] == 1 and shares[-1] > 0):
            raise ValueError(
                f"per_query.visible_shares is {list(self.visible_shares)}: expected 1, then shares "
                "in (0, 1) that fall"
            )
        if not self.values:
            raise ValueError("per_query.values: expected a kind of occluder or more, got none")
        for kind, metrics in self.values.items():
            for name in METRICS:
                values = metrics[name]
                if values.shape != (shares.size, count):
                    raise ValueError(
                        f"per_query.values.{kind}.{name} has shape {values.shape}: expected "
                        f"{(shares.size, count)}"
                    )
                if not ((values >= 0).all() and (values <= 100).all()):
                    raise ValueError(f"per_query.values.{kind}.{name}: expected percentages")

    def percentages(self, metric: str, kind: str | None = None) -> NDArray[np.float64]:
        """Return (1 + L, V) percentages of one kind of occluder, or their mean over the kinds."""
        kinds = self.values if kind is None else [kind]
        return np.mean([self.values[one][metric] for one in kinds], axis=0)

    def whole(self, metric: str) -> NDArray[np.float64]:
        """Return (V,) percentages where nothing is pasted."""
        return self.percentages(metric)[0]

    def areas(self, metric: str, kind: str | None = None) -> NDArray[np.float64]:
        """Return (V,) areas in [0, 100], whose mean is the area of the mean curve."""
        return area_weights(self.visible_shares) @ self.percentages(metric, kind)


def area_weights(visible_shares: Sequence[float]) -> NDArray[np.float64]:
    """Return (1 + L,) weights of a curve's points in its area; they sum to 1.

    Args:
        visible_shares: 1 and L falling shares.
    """
    steps = -np.diff(np.asarray(visible_shares, dtype=np.float64))
    return (np.append(steps, 0) + np.append(0, steps)) / (2 * steps.sum())


FORMAT = "fed_plugin.robustness/1"


@dataclass(frozen=True)
class Level:
    """What is left when one kind of occluder covers one side.

    Args:
        kind: of occluder, ``"objects"`` or ``"people"``.
        side: that is covered.
        visible_share: of the image's area, in (0, 1).
        metrics: percentages by name, with intervals over the queries.
    """

    kind: str
    side: str
    visible_share: float
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class RobustnessCurve(StoredAsJson):
    """One method's curve on one data set.

    Args:
        method: what stands in a table's first column.
        dataset: whose people are searched for.
        queries: how they were chosen, in one sentence.
        seed: chooses what is pasted on which query.
        occluders: what each kind of occluder is, by kind.
        levels: one per kind, side and visible share below 1.
        whole: metrics by name where nothing is pasted.
        area: likewise under the curves, in the mean over kinds and sides.
        per_query: what the curves are means of.
        card: the protocol card, as JSON has it; empty if unknown.
        settings: what was asked for and of which weights; a run that asks for the same may be
            left out.

    Raises:
        ValueError: the levels are not those of the queries, or one is missing.
    """

    CALLED = "a robustness curve"

    method: str
    dataset: str
    queries: str
    seed: int
    occluders: Mapping[str, str]
    levels: tuple[Level, ...]
    whole: Mapping[str, Estimate]
    area: Mapping[str, Estimate]
    per_query: QueryCurves
    card: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [(level.kind, level.side, level.visible_share) for level in self.levels]
        sides = dict.fromkeys(side for _, side, _ in found)
        wanted = product(self.per_query.values, sides, self.per_query.visible_shares[1:])
        if not found or found != list(wanted):
            raise ValueError(
                "levels: expected one for every kind, side and visible share of per_query, in this "
                f"order, got {len(found)}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds, as JSON has it."""
        rows = self.per_query
        return {
            "format": FORMAT,
            "method": self.method,
            "dataset": self.dataset,
            "queries": self.queries,
            "count": len(rows.names),
            "seed": self.seed,
            "occluders": dict(self.occluders),
            "settings": dict(self.settings),
            "whole": _metrics_to_json(self.whole),
            "area": _metrics_to_json(self.area),
            "levels": [
                {**vars(level), "metrics": _metrics_to_json(level.metrics)} for level in self.levels
            ],
            "per_query": {
                "names": list(rows.names),
                "visible_shares": list(rows.visible_shares),
                "values": {
                    kind: {name: values.tolist() for name, values in metrics.items()}
                    for kind, metrics in rows.values.items()
                },
            },
            "card": dict(self.card),
        }

    @classmethod
    def from_json(cls, content: Any) -> RobustnessCurve:
        """Read what :meth:`to_json` returns.

        Raises:
            ValueError: It is something else.
        """
        with reading(content, FORMAT):
            rows = _queries_from_json(content["per_query"])
            if content["count"] != len(rows.names):
                raise ValueError(
                    f"count is {content['count']!r:.20}, expected {len(rows.names)}, as per_query "
                    "has"
                )
            return cls(
                method=str(content["method"]),
                dataset=str(content["dataset"]),
                queries=str(content["queries"]),
                seed=int(content["seed"]),
                occluders=dict(content["occluders"]),
                levels=tuple(_level_from_json(level) for level in content["levels"]),
                whole=_metrics_from_json(content["whole"]),
                area=_metrics_from_json(content["area"]),
                per_query=rows,
                card=dict(content["card"]),
                settings=dict(content["settings"]),
            )


def _metrics_to_json(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


def _metrics_from_json(content: Any) -> dict[str, Estimate]:
    return {
        name: Estimate(*(float(content[name][key]) for key in ("value", "low", "high")))
        for name in METRICS
    }


def _level_from_json(content: Any) -> Level:
    return Level(
        str(content["kind"]),
        str(content["side"]),
        float(content["visible_share"]),
        _metrics_from_json(content["metrics"]),
    )


def _queries_from_json(content: Any) -> QueryCurves:
    return QueryCurves(
        tuple(map(str, content["names"])),
        tuple(map(float, content["visible_shares"])),
        {
            str(kind): {name: np.asarray(metrics[name], dtype=np.float64) for name in METRICS}
            for kind, metrics in content["values"].items()
        },
    )


# From rankings of covered queries to a robustness curve, and from two curves to a difference.

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
) -> list[tuple[float, Estimate]]:
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
) -> dict[str, Estimate]:
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


def compare_whole(curve: RobustnessCurve, baseline: RobustnessCurve) -> dict[str, Estimate]:
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
    for name in _COMPARED:
        a, b = getattr(curve, name), getattr(baseline, name)
        if a != b:
            raise ValueError(
                f"{curve.method} and {baseline.method} do not compare: {name} is {a!r}, not "
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


def _metrics_of(ranking: RankingResult) -> dict[str, Estimate]:
    return {name: _metric(_percentages(ranking, name)) for name in METRICS}


def _metric(values: NDArray[np.float64]) -> Estimate:
    return _of_interval(bootstrap_interval(values))


def _of_interval(interval: Any) -> Estimate:
    return interval
