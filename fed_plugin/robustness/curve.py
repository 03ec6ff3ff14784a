"""Robustness: what a method is worth when a share of every query is covered.

JSON, format "fed_plugin.robustness/1". A *visible share* is 1 less the covered share of the image's
area. The *area* of a metric is that under its curve from the smallest visible share to 1, over the
width of that range: the mean metric, were every share equally likely. Percentages throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from fed_plugin.retrieval.json_files import StoredAsJson, reading
from fed_plugin.retrieval.query_curves import METRICS, QueryCurves
from fed_plugin.retrieval.result import Metric

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
    metrics: Mapping[str, Metric]


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
    whole: Mapping[str, Metric]
    area: Mapping[str, Metric]
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


def _metrics_to_json(metrics: Mapping[str, Metric]) -> dict[str, dict[str, float]]:
    return {name: dict(vars(metric)) for name, metric in metrics.items()}


def _metrics_from_json(content: Any) -> dict[str, Metric]:
    return {
        name: Metric(*(float(content[name][key]) for key in ("value", "low", "high")))
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
