"""Figures of the page, and the words below them."""

from __future__ import annotations

from collections.abc import Mapping

from fed_plugin.cli.report import wording
from fed_plugin.cli.report.curves import (
    cmc_panel,
    split_panels,
    too_many_bands,
    training_panels,
    with_few_bands,
)
from fed_plugin.cli.report.page_tables import folded, grid, stacked
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.robustness import COLUMNS, Robustness, robustness_panels
from fed_plugin.cli.report.visible import Bin, Visible, visible_panels
from fed_plugin.retrieval.result import Metric
from fed_plugin.visualization.line_figure import Panel, line_figure
from fed_plugin.visualization.markup import Markup, element, joined


def cmc_figure(table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw the table's CMC curves."""
    panel = cmc_panel(table, styles)
    if panel is None:
        return joined()
    caption = (
        "Cumulative matching: the share of queries with a right answer among the first k gallery "
        "images, mean over seeds. Ranks grow by factors."
    )
    return joined(element("h3", "CMC"), line_figure([panel], caption))


def training_figure(table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw what the trainings logged."""
    panels = training_panels(table, styles)
    if not panels:
        return joined()
    caption = (
        "What fast-reid logged while training, a line per seed. Losses of different methods are "
        "sums of different terms: that one is lower says nothing."
    )
    shown, rest = split_panels(panels)
    single = "The terms of the losses, as their configs weigh them."
    return joined(
        element("h3", "Training"),
        line_figure(shown, caption),
        folded("Single losses", line_figure(rest, single)) if rest else None,
    )


def robustness_section(robustness: Robustness, table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw robustness curves and the areas below them; nothing if there are none."""
    if not robustness.rows:
        return joined()
    curve = robustness.rows[0].curve
    covered = "; ".join(f"{kind}: {words}" for kind, words in curve.occluders.items())
    caption = (
        f"Part of every query is covered. {curve.queries} ({len(curve.per_query.names)} queries.) "
        f"Pasted at every side in turn; {covered}. Mean over sides and seeds; bands are 95 % "
        "bootstrap intervals over queries."
    )
    lines = [
        (
            row.method,
            ", ".join(map(str, row.seeds)),
            *(_metric(one) for one in row.numbers.values()),
            *(_gap(row.gaps.get(name)) for name in row.numbers),
        )
        for row in robustness.rows
    ]
    header = ["method", "seeds", *COLUMNS]
    header += [f"{name} against {table.baseline}" for name in COLUMNS]
    note = f"{wording.AREA} Differences are paired over queries; bold: the interval leaves out 0."
    return joined(
        element("h3", "Robustness to occlusion"),
        _banded(robustness_panels(robustness, styles), table, caption),
        grid(
            f"{table.dataset}: whole queries, and area under the robustness curves",
            header,
            lines,
            note,
        ),
    )


def visible_section(visible: Visible, table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw results by visible share; nothing if the data set does not say it."""
    bins = visible.bins
    if not bins:
        return joined()
    caption = (
        "Queries by the share of the person that can be seen, as the data set says it. A point per "
        "range, at its middle; bands: range over seeds, or the 95 % interval over the range's "
        "queries where there is one seed."
    )
    methods = dict.fromkeys(method for one in bins for method, _ in one.values)
    lines = [(method, *(_share_cell(one, method) for one in bins)) for method in methods]
    title = f"{table.dataset}: mAP by visible share (number of queries)"
    return joined(
        element("h3", "By visible share"),
        _banded(visible_panels(bins, styles), table, caption),
        folded("Numbers", grid(title, ("method", *(one.words for one in bins)), lines)),
        _estimates(visible, table),
    )


def _estimates(visible: Visible, table: Table) -> Markup:
    """Say how well methods estimate what can be seen."""
    lines = [
        (method, stacked(f"{mean:.2f}", f"({low:.2f} to {high:.2f})"))
        for method, (mean, low, high) in visible.estimates.items()
    ]
    title = f"{table.dataset}: estimated visibility of the queries' parts"
    header = ("method", "correlation with what can be seen (range over seeds)")
    return grid(title, header, lines) if lines else joined()


def _banded(panels: list[Panel], table: Table, caption: str) -> Markup:
    """Draw curves with bands; of many methods, with those of the baseline and the best alone."""
    ranked = [row for row in table.rows if "mAP" in row.numbers]
    best = max(ranked, key=lambda row: row.numbers["mAP"].mean, default=table.rows[0]).method
    kept = list(dict.fromkeys((table.baseline, best)))
    if too_many_bands(panels):
        caption += f" To keep lines visible, only those of {' and '.join(kept)} are drawn."
    return line_figure(with_few_bands(panels, kept), caption)


def _share_cell(one: Bin, method: str) -> Markup:
    if (method, "mAP") not in one.values:
        return joined("\u2013")
    mean, low, high = one.values[method, "mAP"]
    return stacked(wording.plain(mean), wording.interval(low, high))


def _metric(metric: Metric) -> Markup:
    return stacked(wording.plain(metric.value), wording.interval(metric.low, metric.high))


def _gap(metric: Metric | None) -> Markup:
    if metric is None:
        return joined("\u2013")
    sure = metric.low > 0 or metric.high < 0
    value = element("strong" if sure else "span", wording.signed(metric.value))
    return stacked(value, wording.interval(metric.low, metric.high, sign=True))
