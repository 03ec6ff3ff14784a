"""Results by visible share of the query, where a data set says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fed_plugin.cli.report.failures import load_dump
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.tables import Row
from fed_plugin.retrieval.visible_share import by_visible_share, correlate_visibility
from fed_plugin.visualization.line_figure import Curve, Panel

METRICS = ("Rank-1", "mAP")


@dataclass(frozen=True)
class Bin:
    """Hold the queries of a range of visible shares.

    Attributes:
        low: lower end of the range.
        high: upper end.
        count: queries in it.
        values: (mean, lower end, upper end) by method and metric; the ends are those of the
            interval over these queries for one seed, the range over seeds for more.
    """

    low: float
    high: float
    count: int
    values: Mapping[tuple[str, str], tuple[float, float, float]]

    @property
    def words(self) -> str:
        """The range and how many queries it holds."""
        return f"{100 * self.low:.0f} to {100 * self.high:.0f} % ({self.count})"


@dataclass(frozen=True)
class Visible:
    """Hold what visible shares tell of a table's methods.

    Attributes:
        bins: from the least visible on; empty where the data set does not say it.
        estimates: (mean, lowest, highest over seeds) by method: how the visibility that it
            estimates of the queries' parts correlates with what can be seen of them.
    """

    bins: tuple[Bin, ...] = ()
    estimates: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


def visible_of(table: Table, shares: Mapping[str, tuple[float, ...]]) -> Visible:
    """Sum up a table's methods by what can be seen of queries.

    Args:
        table: of a data set.
        shares: of the person, then of its parts, by name of the query.

    Raises:
        ValueError: a query has no share.
    """
    bins = tuple(bins_of(table, {name: one[0] for name, one in shares.items()}))
    estimates = {row.method: _estimate(row, shares) for row in table.rows}
    return Visible(bins, {method: found for method, found in estimates.items() if found})


def as_json(visible: Visible) -> dict[str, Any]:
    """Return bins and estimates, as JSON has them."""
    keys = ("mean", "low", "high")
    return {
        "bins": [
            {
                **{"low": one.low, "high": one.high, "count": one.count},
                "values": [
                    {"method": method, "metric": metric, **dict(zip(keys, ends, strict=True))}
                    for (method, metric), ends in one.values.items()
                ],
            }
            for one in visible.bins
        ],
        "visibility_correlation": {
            method: dict(zip(keys, found, strict=True))
            for method, found in visible.estimates.items()
        },
    }


def bins_of(table: Table, shares: Mapping[str, float]) -> list[Bin]:
    """Sum up a table's methods by visible share, from the least visible on.

    Args:
        table: of a data set.
        shares: by name of the query.

    Raises:
        ValueError: a query has no share.
    """
    found: dict[tuple[float, float, int], dict[tuple[str, str], tuple[float, float, float]]] = {}
    for row in table.rows:
        for place, values in _method(row, shares).items():
            found.setdefault(place, {}).update(values)
    return [Bin(*place, values) for place, values in sorted(found.items())]


def visible_panels(bins: Sequence[Bin], styles: Mapping[str, int]) -> list[Panel]:
    """Draw a panel per metric, a point per range at its middle."""
    methods = dict.fromkeys(method for one in bins for method, _ in one.values)
    panels = []
    for metric in METRICS:
        curves = []
        for method in methods:
            held = [one for one in bins if (method, metric) in one.values]
            x = [50 * (one.low + one.high) for one in held]
            ends = zip(*(one.values[method, metric] for one in held), strict=True)
            curves.append(Curve(method, styles[method], x, *map(list, ends)))
        panels.append(Panel(f"{metric}, %", "visible share of the query, %", curves))
    return panels


def _estimate(
    row: Row, shares: Mapping[str, tuple[float, ...]]
) -> tuple[float, float, float] | None:
    """Correlate estimated with true visibility, seed by seed; None where nothing is estimated."""
    found = []
    for cell in row.cells:
        dump = load_dump(cell)
        names = [] if dump is None else [str(name) for name in dump.names[dump.query]]
        if dump is None or dump.visibility is None or not set(names) <= shares.keys():
            return None
        true = np.array([shares[name][1:] for name in names])
        predicted = dump.visibility[dump.query]
        if predicted.shape != true.shape:
            return None  # another number of parts
        found.append(correlate_visibility(predicted, true))
    return (float(np.mean(found)), min(found), max(found)) if found else None


def _method(
    row: Row, shares: Mapping[str, float]
) -> dict[tuple[float, float, int], dict[tuple[str, str], tuple[float, float, float]]]:
    """Return a method's numbers by range and number of queries."""
    seeds = [by_visible_share(cell.result.queries, shares) for cell in row.cells]
    found: dict[tuple[float, float, int], dict[tuple[str, str], tuple[float, float, float]]] = {}
    for parts in zip(*seeds, strict=True):
        place = parts[0].low, parts[0].high, parts[0].count
        for metric in METRICS:
            values = [part.metrics[metric].value for part in parts]
            ends = (min(values), max(values))
            if len(parts) == 1:
                ends = parts[0].metrics[metric].interval or ends
            found.setdefault(place, {})[row.method, metric] = (float(np.mean(values)), *ends)
    return found
