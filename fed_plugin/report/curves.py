"""Figures of a table: CMC, trainings, robustness, results by visible share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.report.failures import load_dump
from fed_plugin.report.tables import Row, Table
from fed_plugin.retrieval.card_files import words_apart
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import bootstrap_interval
from fed_plugin.retrieval.protocol_card import ProtocolCard, protocol_differences
from fed_plugin.retrieval.result import by_visible_share, correlate_visibility
from fed_plugin.robustness.command import CURVE
from fed_plugin.robustness.curve import (
    METRICS,
    RobustnessCurve,
    check_comparable,
    compare_areas,
    compare_whole,
)
from fed_plugin.robustness.pictures import over_seeds, robustness_panel
from fed_plugin.visualization.lines import Curve, Panel


@dataclass(frozen=True)
class Figure:
    """Panels with one legend and a caption below them."""

    panels: Sequence[Panel]
    caption: str

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Style and label of every method."""
        return sorted({curve.style: curve.label for x in self.panels for curve in x.curves}.items())


LONGEST_CMC = 50
MOST_BANDS = 5
TRAINING = "metrics.json"
_TITLES = {
    "total_loss": "total loss",
    "lr": "learning rate",
    "Rank-1": "Rank-1, %",
    "mAP": "mAP, %",
}
_OF_A_TEST = re.compile(r"(?:.+/)?(?:Rank-1|mAP)")
_TABLE = re.compile(r"^\| Dataset +\|(.*)\|\n\|[-:|]+\|\n((?:\|.*\|\n)+)", re.MULTILINE)
"""Table that the host logs after an evaluation."""


def cmc(row: Row) -> NDArray[np.float64]:
    """Return (K,) shares of queries, in per cent, with a right answer among the first 1, 2, ... K.

    The curve is the mean over the finished cells of the row.
    """
    ranks = np.arange(LONGEST_CMC)
    hits = [cell.result.queries.first_hits for cell in row.cells]
    return np.mean([100 * (one[:, None] <= ranks).mean(axis=0) for one in hits], axis=0)


def cmc_figure(table: Table, styles: Mapping[str, int]) -> Figure | None:
    """Draw the CMC of every method of a table; None if no method is finished."""
    ranks = list(range(1, LONGEST_CMC + 1))
    rows = [row for row in table.rows if row.cells]
    curves = [Curve(row.method, styles[row.method], ranks, cmc(row).tolist()) for row in rows]
    caption = (
        "Cumulative matching: the share of queries with a right answer among the first k gallery "
        "images, mean over seeds. The axis of ranks is logarithmic."
    )
    panel = Panel("Right answer found, %", "among the first k", curves, True)
    return Figure([panel], caption) if curves else None


def training_figures(table: Table, styles: Mapping[str, int]) -> list[Figure]:
    """Draw what the cells of a table logged, a line per seed; empty if nothing was logged.

    Returns:
        The sum of the losses, the rate and the accuracy, then the single losses if there are any.
    """
    runs = []
    for cell in table.cells:
        path = cell.file(TRAINING)
        if cell.kind == "trained" and path:
            runs.append((cell.method, styles[cell.method], read_training(path)))
    panels = training_panels(runs)
    first = [panel for panel in panels if panel.title in _TITLES.values()]
    rest = [panel for panel in panels if panel not in first]
    captions = (
        "What fast-reid logged while training, a line per seed. Losses of different methods are "
        "sums of different terms: do not compare them.",
        "The terms of the losses, with the weights of their configs.",
    )
    groups = [first, rest] if first else [rest]
    return [Figure(one, words) for one, words in zip(groups, captions, strict=False) if one]


def training_panels(
    runs: Sequence[tuple[str, int, Mapping[str, Sequence[tuple[float, float]]]]],
) -> list[Panel]:
    """Draw a panel per quantity: the sum of losses, the rate, the accuracy, the single losses.

    ``runs`` holds label, style and logged values (`read_training`) of every training.
    """
    names = {name for _, _, logged in runs for name in logged}
    first, panels = [name for name in _TITLES if name in names], []
    for name in (*first, *sorted(names - set(first))):
        curves = [
            Curve(label, style, *zip(*logged[name], strict=True))
            for label, style, logged in runs
            if logged.get(name)
        ]
        panels.append(Panel(_TITLES.get(name, name.replace("_", " ")), "iteration", curves))
    return panels


def banded_figure(panels: Sequence[Panel], table: Table, caption: str) -> Figure:
    """Draw curves with bands; of many methods, only the baseline and the best keep their bands."""
    if all(len(panel.curves) <= MOST_BANDS for panel in panels):
        return Figure(panels, caption)
    ranked = [row for row in table.rows if "mAP" in row.numbers]
    best = max(ranked, key=lambda row: row.numbers["mAP"].mean, default=table.rows[0]).method
    kept = list(dict.fromkeys((table.baseline, best)))
    few = []
    for panel in panels:
        curves = [c if c.label in kept else replace(c, low=(), high=()) for c in panel.curves]
        few.append(replace(panel, curves=curves))
    return Figure(few, f"{caption} To keep lines visible, only {' and '.join(kept)} have bands.")


def read_training(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Read the host's metrics file: a JSON object per line; the last line may be incomplete.

    If a resumed training logged an iteration again, the last value counts.

    Returns:
        (iteration from 1 on, value) by name, for losses, the learning rate, Rank-1 and mAP.
    """
    logged: dict[str, dict[float, float]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            iteration = int(entry["iteration"]) + 1
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        for name, value in entry.items():
            with suppress(TypeError, OverflowError):
                if (name == "lr" or "loss" in name or _OF_A_TEST.fullmatch(name)) and (
                    math.isfinite(value)
                ):
                    logged.setdefault(name, {})[iteration] = float(value)
    last = max((max(values) for values in logged.values()), default=0.0)
    for name, number in _last_evaluation(path.with_name("log.txt")).items():
        logged.setdefault(name, {}).setdefault(last, number)
    return {name: sorted(values.items()) for name, values in logged.items()}


def _last_evaluation(log: Path) -> dict[str, float]:
    """Read the evaluation that ends a training; the host writes the others into the metrics file.

    Names are those of the metrics file.
    """
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    tables = list(_TABLE.finditer(text.rpartition("Overall training speed")[0]))
    if not tables:
        return {}
    names = [name.strip() for name in tables[-1][1].split("|")]
    lines, found = tables[-1][2].splitlines(), {}
    for line in lines:
        dataset, *numbers = map(str.strip, line.strip("| ").split("|"))
        for name, number in zip(names, numbers, strict=False):
            if _OF_A_TEST.fullmatch(name):
                with suppress(ValueError):
                    found[f"{dataset}/{name}" if len(lines) > 1 else name] = float(number)
    return found


# Robustness of the methods of a table: curves averaged over seeds, areas, differences.

ROBUSTNESS_COLUMNS = tuple(f"{what}, {name}" for what in ("whole", "area") for name in METRICS)


@dataclass(frozen=True)
class RobustnessRow:
    """Robustness curve of a method, the mean over its seeds, query by query.

    By column, ``numbers`` are estimates with intervals over queries; ``gaps`` are points above the
    baseline, empty for the baseline.
    """

    method: str
    seeds: tuple[int, ...]
    curve: RobustnessCurve
    numbers: Mapping[str, Estimate]
    gaps: Mapping[str, Estimate]


@dataclass(frozen=True)
class Robustness:
    """Robustness of the methods of a table with comparable curves; sentences about other curves."""

    rows: tuple[RobustnessRow, ...] = ()
    left_out: tuple[str, ...] = ()


def read_robustness(table: Table) -> Robustness:
    """Read the curves of the cells of a table; leave out curves with another protocol."""
    curves: dict[str, dict[int, RobustnessCurve]] = {}
    left_out = []
    absent: dict[str, list[str]] = {}
    reference = None
    for row in sorted(table.rows, key=lambda row: row.method != table.baseline):
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
        curve, gaps = means[method], {}
        values = [*map(curve.per_query.whole, METRICS), *map(curve.per_query.areas, METRICS)]
        numbers = dict(zip(ROBUSTNESS_COLUMNS, map(bootstrap_interval, values), strict=True))
        if base and method != table.baseline:
            whole, area = compare_whole(curve, base), compare_areas(curve, base)
            gaps = dict(zip(ROBUSTNESS_COLUMNS, (*whole.values(), *area.values()), strict=True))
        rows.append(RobustnessRow(method, tuple(curves[method]), curve, numbers, gaps))
    if curves and absent:
        words = "; ".join(f"{method}, seed {' and '.join(s)}" for method, s in absent.items())
        left_out.append(f"{table.dataset}: no robustness curve of {words}")
    return Robustness(tuple(rows), tuple(left_out))


def average(method: str, seeds: Mapping[int, RobustnessCurve]) -> RobustnessCurve:
    """Average curves over seeds, query by query."""
    first, values = next(iter(seeds.values())), {}
    for kind in first.per_query.values:
        percentages = [one.per_query.values[kind] for one in seeds.values()]
        values[kind] = {name: np.mean([x[name] for x in percentages], axis=0) for name in METRICS}
    return replace(first, method=method, per_query=replace(first.per_query, values=values))


def robustness_figure(
    robustness: Robustness, table: Table, styles: Mapping[str, int]
) -> Figure | None:
    """Draw a panel per metric and kind of occluder; None if there are no curves."""
    if not robustness.rows:
        return None
    curves = [row.curve for row in robustness.rows]
    first = curves[0]
    panels = []
    for metric, kind in product(METRICS, first.per_query.values):
        panel = robustness_panel(curves, metric, kind, styles)
        panels += [replace(panel, title=f"{panel.title}, %", falling_x=True)]
    covered = "; ".join(f"{kind}: {words}" for kind, words in first.occluders.items())
    caption = (
        f"Part of every query is covered. {first.queries} ({len(first.per_query.names)} queries.) "
        f"Pasted at every side in turn; {covered}. Mean over sides and seeds; bands are 95 % "
        "bootstrap intervals over queries."
    )
    return banded_figure(panels, table, caption)


def robustness_as_json(robustness: Robustness) -> dict[str, Any]:
    """Return numbers and differences, as JSON has them."""
    rows = []
    for row in robustness.rows:
        metrics = {name: one.to_json() for name, one in row.numbers.items()}
        gaps = {name: one.to_json() for name, one in row.gaps.items()}
        about = {"method": row.method, "seeds": list(row.seeds)}
        rows.append({**about, "metrics": metrics, "differences": gaps})
    return {"left_out": list(robustness.left_out), "rows": rows}


def _refuse_other_protocol(curve: RobustnessCurve, reference: RobustnessCurve) -> None:
    """Refuse a curve with another protocol than the first curve."""
    check_comparable(curve, reference)
    if curve.card and reference.card:
        cards = (ProtocolCard.from_json(one.card) for one in (reference, curve))
        for sentence in words_apart(protocol_differences(*cards)):
            raise ValueError(sentence)


# Results by visible share of the query, for data sets with a side file.


@dataclass(frozen=True)
class Bin:
    """The ``count`` queries of a range of visible shares, from ``low`` to ``high``.

    Estimates by method and metric have the interval over these queries for one seed, and the range
    over seeds for more.
    """

    low: float
    high: float
    count: int
    values: Mapping[tuple[str, str], Estimate]

    @property
    def words(self) -> str:
        """The range and its number of queries."""
        return f"{100 * self.low:.0f} to {100 * self.high:.0f} % ({self.count})"


@dataclass(frozen=True)
class Visible:
    """Results of the methods of a table by visible share.

    The ranges begin with the least visible; a data set without visible shares has none. By method,
    ``estimates`` correlate the estimated visibility with the visible share of the queries' parts.
    """

    bins: tuple[Bin, ...] = ()
    estimates: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Methods with a result in any range."""
        return list(dict.fromkeys(method for one in self.bins for method, _ in one.values))


def visible_of(table: Table, shares: Mapping[str, tuple[float, ...]]) -> Visible:
    """Summarise the methods of a table by visible share.

    ``shares`` holds the share of the person, then those of the parts, by name of the query.

    Raises:
        ValueError: A query has no share.
    """
    bins = tuple(bins_of(table, {name: one[0] for name, one in shares.items()}))
    estimates = {row.method: _estimate(row, shares) for row in table.rows}
    return Visible(bins, {method: one for method, one in estimates.items() if one})


def visible_share_as_json(visible: Visible) -> dict[str, Any]:
    """Return bins and estimates, as JSON has them."""
    bins = []
    for one in visible.bins:
        values = [
            {"method": method, "metric": metric, **_mean_and_ends(estimate)}
            for (method, metric), estimate in one.values.items()
        ]
        bins.append({"low": one.low, "high": one.high, "count": one.count, "values": values})
    estimates = {method: _mean_and_ends(one) for method, one in visible.estimates.items()}
    return {"bins": bins, "visibility_correlation": estimates}


def _mean_and_ends(estimate: Estimate) -> dict[str, float | None]:
    """Return the value with its interval, or with its range over seeds where there is none."""
    low, high = estimate.interval or (estimate.lowest, estimate.highest)
    return {"mean": estimate.value, "low": low, "high": high}


def bins_of(table: Table, shares: Mapping[str, float]) -> list[Bin]:
    """Return the results of a table by visible share, from the least visible range on.

    ``shares`` holds the share of the person by name of the query.

    Raises:
        ValueError: A query has no share.
    """
    results: dict[tuple[float, float, int], dict[tuple[str, str], Estimate]] = {}
    for row in table.rows:
        seeds = [by_visible_share(cell.result.queries, shares) for cell in row.cells]
        for parts in zip(*seeds, strict=True):
            held = results.setdefault((parts[0].low, parts[0].high, parts[0].count), {})
            for metric in METRICS:
                held[row.method, metric] = over_seeds([part.metrics[metric] for part in parts])
    return [Bin(*place, values) for place, values in sorted(results.items())]


def visible_figure(visible: Visible, table: Table, styles: Mapping[str, int]) -> Figure | None:
    """Draw a panel per metric, a point per range at its middle; None without ranges."""
    if not visible.bins:
        return None
    panels = []
    for metric in METRICS:
        curves = []
        for method in visible.methods:
            held = [one for one in visible.bins if (method, metric) in one.values]
            x = [50 * (one.low + one.high) for one in held]
            y = [_mean_and_ends(one.values[method, metric]).values() for one in held]
            curves.append(Curve(method, styles[method], x, *map(list, zip(*y, strict=True))))
        panels.append(Panel(f"{metric}, %", "visible share of the query, %", curves))
    caption = (
        "Queries by the visible share of the person, from the side file of the data set. A point "
        "per range, at its middle. Bands: range over seeds; for one seed, the 95 % interval over "
        "the queries of the range."
    )
    return banded_figure(panels, table, caption)


def _estimate(row: Row, shares: Mapping[str, tuple[float, ...]]) -> Estimate | None:
    """Correlate estimated with true visibility, seed by seed; None without estimates."""
    correlations = []
    for cell in row.cells:
        dump = load_dump(cell)
        names = [] if dump is None else [str(name) for name in dump.names[dump.query]]
        if dump is None or dump.visibility is None or not set(names) <= shares.keys():
            return None
        true = np.array([shares[name][1:] for name in names])
        predicted = dump.visibility[dump.query]
        if predicted.shape != true.shape:
            return None  # another number of parts
        correlations.append(correlate_visibility(predicted, true))
    if not correlations:
        return None
    ends = {"lowest": min(correlations), "highest": max(correlations)}
    return Estimate(float(np.mean(correlations)), **ends)
