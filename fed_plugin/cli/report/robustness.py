"""Robustness of a table's methods: curves averaged over seeds, areas, differences of areas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fed_plugin.cli.cards.wording import worded
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.robustness import CURVE
from fed_plugin.cli.robustness_pictures import robustness_panel
from fed_plugin.retrieval.intervals import bootstrap_interval
from fed_plugin.retrieval.protocol_card import ProtocolCard, protocol_differences
from fed_plugin.retrieval.query_curves import METRICS
from fed_plugin.retrieval.result import Metric
from fed_plugin.retrieval.robustness_curve import RobustnessCurve
from fed_plugin.retrieval.robustness_summary import (
    check_comparable,
    compare_areas,
    compare_whole,
)
from fed_plugin.visualization.line_figure import Panel

COLUMNS = tuple(f"{what}, {name}" for what in ("whole", "area") for name in METRICS)


@dataclass(frozen=True)
class RobustnessRow:
    """Hold a method's curve.

    Attributes:
        method: its name.
        seeds: behind the curve.
        curve: mean over the seeds, query by query.
        numbers: by column, with intervals over queries.
        gaps: points above the baseline, by column; empty for the baseline.
    """

    method: str
    seeds: tuple[int, ...]
    curve: RobustnessCurve
    numbers: Mapping[str, Metric]
    gaps: Mapping[str, Metric]


@dataclass(frozen=True)
class Robustness:
    """Hold what a table's cells say.

    Attributes:
        rows: that compare.
        left_out: sentences about those that do not.
    """

    rows: tuple[RobustnessRow, ...] = ()
    left_out: tuple[str, ...] = ()


def read_robustness(table: Table) -> Robustness:
    """Read the curves of a table's cells; curves that were measured otherwise are left out."""
    curves: dict[str, dict[int, RobustnessCurve]] = {}
    left_out = []
    absent: dict[str, list[str]] = {}
    order = sorted(table.rows, key=lambda row: row.method != table.baseline)
    reference = None
    for row in order:
        for cell in row.cells:
            path = cell.file(CURVE)
            if path is None:
                if cell.kind != "dump":
                    absent.setdefault(row.method, []).append(str(cell.seed))
                continue
            try:
                curve = RobustnessCurve.load(path)
                reference = reference or curve
                _refuse_other_protocol(curve, reference)
            except (OSError, ValueError) as error:
                left_out.append(f"{cell.name}: its robustness curve is left out: {error}")
                continue
            curves.setdefault(row.method, {})[cell.seed] = curve
    means = {method: average(method, seeds) for method, seeds in curves.items()}
    base = means.get(table.baseline)
    rows = []
    for method in (row.method for row in table.rows if row.method in means):
        curve = means[method]
        gaps = _gaps(curve, base) if base and method != table.baseline else {}
        rows.append(RobustnessRow(method, tuple(curves[method]), curve, _numbers(curve), gaps))
    if curves and absent:
        words = "; ".join(f"{method}, seed {' and '.join(s)}" for method, s in absent.items())
        left_out.append(f"{table.dataset}: no robustness curve of {words}")
    return Robustness(tuple(rows), tuple(left_out))


def average(method: str, seeds: Mapping[int, RobustnessCurve]) -> RobustnessCurve:
    """Average curves over seeds, query by query."""
    first = next(iter(seeds.values()))
    values = {
        kind: {
            name: np.mean([one.per_query.values[kind][name] for one in seeds.values()], axis=0)
            for name in METRICS
        }
        for kind in first.per_query.values
    }
    return replace(first, method=method, per_query=replace(first.per_query, values=values))


def robustness_panels(robustness: Robustness, styles: Mapping[str, int]) -> list[Panel]:
    """Draw a panel per metric and kind of occluder, with intervals over queries."""
    curves = [row.curve for row in robustness.rows]
    kinds = curves[0].per_query.values if curves else ()
    return [
        _styled(robustness_panel(curves, metric, kind), styles)
        for metric in METRICS
        for kind in kinds
    ]


def _styled(panel: Panel, styles: Mapping[str, int]) -> Panel:
    """Return a panel in which methods look as in the other figures of the page."""
    curves = [replace(curve, style=styles[curve.label]) for curve in panel.curves]
    return replace(panel, curves=curves, title=f"{panel.title}, %", falling_x=True)


def as_json(robustness: Robustness) -> dict[str, Any]:
    """Return numbers and differences, as JSON has them."""
    return {
        "left_out": list(robustness.left_out),
        "rows": [
            {
                "method": row.method,
                "seeds": list(row.seeds),
                "metrics": {name: vars(one) for name, one in row.numbers.items()},
                "differences": {name: vars(one) for name, one in row.gaps.items()},
            }
            for row in robustness.rows
        ],
    }


def _numbers(curve: RobustnessCurve) -> dict[str, Metric]:
    """Return what becomes of whole queries, and the areas."""
    rows = curve.per_query
    values = [rows.whole(name) for name in METRICS] + [rows.areas(name) for name in METRICS]
    found = [bootstrap_interval(one) for one in values]
    return {
        column: Metric(one.mean, one.low, one.high)
        for column, one in zip(COLUMNS, found, strict=True)
    }


def _gaps(curve: RobustnessCurve, baseline: RobustnessCurve) -> dict[str, Metric]:
    found = [*compare_whole(curve, baseline).values(), *compare_areas(curve, baseline).values()]
    return dict(zip(COLUMNS, found, strict=True))


def _refuse_other_protocol(curve: RobustnessCurve, reference: RobustnessCurve) -> None:
    """Refuse a curve that does not compare with the first one.

    Raises:
        ValueError: it says why.
    """
    check_comparable(curve, reference)
    if not (curve.card and reference.card):
        return
    cards = (ProtocolCard.from_json(one.card) for one in (curve, reference))
    for one in protocol_differences(*cards):
        a, b = worded(one.field, one.a), worded(one.field, one.b)
        raise ValueError(f"{one.field} is {a}, not {b}")
