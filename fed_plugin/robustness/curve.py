"""Robustness curves: the accuracy of a method while more and more of every query is covered.

A curve is JSON of the format "fed_plugin.robustness/1". A *visible share* is 1 minus the covered
share of the image's area. The *area* of a metric is the area under its curve from the smallest
visible share to 1, divided by the width of this range. All numbers are percentages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, TypedDict

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from fed_plugin.files import StoredAsJson, convert
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.ranking import RankingResult

# The percentages of every query, and the areas under its curves.
#
# Shape shorthand: ``V`` queries, ``L`` visible shares below 1.

METRICS = ("Rank-1", "mAP")
_Lists = TypedDict("_Lists", {"Rank-1": list[list[float]], "mAP": list[list[float]]})


@dataclass(frozen=True, eq=False)
class QueryCurves:
    """Curves of every query, each the mean over the sides.

    Args:
        names: V file names.
        visible_shares: 1, where nothing is pasted, then L falling shares above 0.
        values: (1 + L, V) percentages by kind and metric, arrays or lists of a file; the first rows
            of all kinds agree.

    Raises:
        ValueError: Names, shares, shapes or ranges do not fit.
    """

    names: tuple[str, ...]
    visible_shares: tuple[float, ...]
    values: Mapping[str, _Lists]

    def __post_init__(self) -> None:
        arrays = {}
        for kind, lists in self.values.items():
            arrays[kind] = {name: np.asarray(lists[name], np.float64) for name in METRICS}
        object.__setattr__(self, "values", arrays)
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
        for kind, metrics in arrays.items():
            for name, values in metrics.items():
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
    """Return (1 + L,) weights of a curve's points in its area; the sum is 1."""
    steps = -np.diff(np.asarray(visible_shares, dtype=np.float64))
    return (np.append(steps, 0) + np.append(0, steps)) / (2 * steps.sum())


# The curve of a method, and its file.

FORMAT = "fed_plugin.robustness/1"
Metrics = TypedDict("Metrics", {"Rank-1": Estimate, "mAP": Estimate})


@dataclass(frozen=True)
class Level:
    """Percentages by metric, with intervals, while one kind of occluder covers one side."""

    kind: str
    side: str
    visible_share: float
    metrics: Metrics


class _Head(Struct):
    """Keys that a file must have beside the fields of `RobustnessCurve` without a default."""

    format: Literal["fed_plugin.robustness/1"]
    count: int
    settings: dict[str, Any]


@dataclass(frozen=True, eq=False)
class RobustnessCurve(StoredAsJson):
    """Curve of one method on one data set.

    ``queries`` is the rule of their choice, ``occluders`` a description by kind. ``levels`` has one
    entry per kind, side and visible share below 1; ``area`` holds means over kinds and sides. The
    card is JSON, empty if unknown. ``settings`` include the hash of the weights; equal settings
    need no second measurement.

    Raises:
        ValueError: The levels are not the levels of the queries, or a level is missing.
    """

    CALLED = "a robustness curve"

    method: str
    dataset: str
    queries: str
    seed: int
    occluders: Mapping[str, str]
    levels: tuple[Level, ...]
    whole: Metrics
    area: Metrics
    per_query: QueryCurves
    card: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [(level.kind, level.side, level.visible_share) for level in self.levels]
        sides = dict.fromkeys(side for _, side, _ in given)
        expected = product(self.per_query.values, sides, self.per_query.visible_shares[1:])
        if not given or given != list(expected):
            raise ValueError(
                "levels: expected one for every kind, side and visible share of per_query, in this "
                f"order, got {len(given)}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        rows, values = self.per_query, {}
        for kind, metrics in self.per_query.values.items():
            values[kind] = {name: numbers.tolist() for name, numbers in metrics.items()}
        shares = list(rows.visible_shares)
        return {
            **{"format": FORMAT, "count": len(rows.names)},
            **{name: getattr(self, name) for name in ("method", "dataset", "queries", "seed")},
            **{name: dict(getattr(self, name)) for name in ("occluders", "settings", "card")},
            **{name: _as_json(getattr(self, name)) for name in ("whole", "area")},
            "levels": [{**vars(one), "metrics": _as_json(one.metrics)} for one in self.levels],
            "per_query": {"names": list(rows.names), "visible_shares": shares, "values": values},
        }

    @classmethod
    def from_json(cls, content: Any) -> RobustnessCurve:
        """Read the content of a file.

        Raises:
            ValueError: The content is something else; the message names the key.
        """
        head, curve = convert(content, _Head), convert(content, cls)
        names = curve.per_query.names
        if head.count != len(names):
            raise ValueError(
                f"count is {head.count}, expected {len(names)}, the number of names in per_query"
            )
        return curve


def _as_json(metrics: Metrics) -> dict[str, Any]:
    return {name: metric.to_json() for name, metric in metrics.items()}


# From rankings to a curve, and from two curves to a difference.

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
    """Make a curve from rankings of the same V queries, whole and by condition.

    Every query has a right answer in the gallery; ``about`` holds the other fields of the curve.

    Raises:
        KeyError: A condition is missing.
    """
    kinds, sides, shares = (list(dict.fromkeys(values)) for values in zip(*covered, strict=True))
    shares.sort(reverse=True)

    def rows_of(kind: str, metric: str) -> NDArray[np.float64]:
        means = [
            np.mean([_percentages(covered[kind, side, share], metric) for side in sides], axis=0)
            for share in shares
        ]
        return np.stack([_percentages(whole, metric), *means]).round(_DECIMALS)

    values = {kind: {metric: rows_of(kind, metric) for metric in METRICS} for kind in kinds}
    rows = QueryCurves(tuple(names), (1.0, *shares), values)
    levels = [Level(*one, _metrics_of(covered[one])) for one in product(kinds, sides, shares)]
    return RobustnessCurve(
        levels=tuple(levels),
        whole=_metrics_of(whole),
        area={name: bootstrap_interval(rows.areas(name)) for name in METRICS},
        per_query=rows,
        **about,
    )


def mean_curve(
    curve: RobustnessCurve, metric: str, kind: str | None = None
) -> list[tuple[float, Estimate]]:
    """Return (visible share, metric) from 1 down, means over the sides.

    None for the kind gives the mean over all kinds.
    """
    points = map(bootstrap_interval, curve.per_query.percentages(metric, kind))
    return list(zip(curve.per_query.visible_shares, points, strict=True))


def compare_areas(
    curve: RobustnessCurve, baseline: RobustnessCurve, kind: str | None = None
) -> dict[str, Estimate]:
    """Return by how many points a method's areas are larger, paired over the same queries.

    The result is ``curve - baseline`` by metric; None for the kind means all kinds. The draw of the
    queries does not explain a difference whose interval is without zero.

    Raises:
        ValueError: The queries, or what was pasted on them, are not the same.
    """
    check_comparable(curve, baseline)
    pairs = {n: [x.per_query.areas(n, kind) for x in (curve, baseline)] for n in METRICS}
    return {name: paired_bootstrap(*pair) for name, pair in pairs.items()}


def compare_whole(curve: RobustnessCurve, baseline: RobustnessCurve) -> dict[str, Estimate]:
    """Return ``curve - baseline`` by metric on the whole queries, as `compare_areas` does."""
    check_comparable(curve, baseline)
    pairs = {n: [x.per_query.whole(n) for x in (curve, baseline)] for n in METRICS}
    return {name: paired_bootstrap(*pair) for name, pair in pairs.items()}


def check_comparable(curve: RobustnessCurve, baseline: RobustnessCurve) -> None:
    """Refuse two curves with different queries or occluders.

    Raises:
        ValueError: The queries, or what was pasted on them, are not the same.
    """
    differences = []
    for name in _COMPARED:
        a, b = getattr(curve, name), getattr(baseline, name)
        differences += [f"{name} is {a!r}, not {b!r}"] if a != b else []
    rows = (curve.per_query, baseline.per_query)
    axes = [(one.names, one.visible_shares, [*one.values]) for one in rows]
    differences += ["other queries, visible shares or kinds of occluders"] * (axes[0] != axes[1])
    if differences:
        raise ValueError(
            f"{curve.method} and {baseline.method} do not compare: {differences[0]}; try measuring "
            "both by the same settings"
        )


def _percentages(ranking: RankingResult, metric: str) -> NDArray[np.float64]:
    return 100 * (ranking.average_precisions if metric == "mAP" else ranking.hits_at(1))


def _metrics_of(ranking: RankingResult) -> dict[str, Estimate]:
    return {name: bootstrap_interval(_percentages(ranking, name)) for name in METRICS}
