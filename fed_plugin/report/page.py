"""The report as one page of HTML that needs no network, no script and no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fed_plugin.costs.command import HEADER
from fed_plugin.report import wording
from fed_plugin.report.contents import Costs, DatasetReport, Report
from fed_plugin.report.curves import (
    ROBUSTNESS_COLUMNS,
    Bin,
    Robustness,
    Visible,
    cmc_panel,
    robustness_panels,
    split_panels,
    too_many_bands,
    training_panels,
    visible_panels,
    with_few_bands,
)
from fed_plugin.report.failures import Failure, Failures
from fed_plugin.report.tables import (
    COLUMNS,
    FinishedCell,
    Row,
    Table,
    card_lines,
    cell_lines,
    own_settings,
    shared_settings,
)
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.visualization.canvas import Child, Markup, element, joined
from fed_plugin.visualization.lines import LINE_STYLE, Panel, line_figure
from fed_plugin.visualization.rankings import STRIP_STYLE, ranking_strip

# Tables of the page; wide ones scroll by themselves.


def numbers_table(table: Table) -> Markup:
    """Draw the table of metrics."""
    return grid(
        f"{table.dataset}: metrics",
        ("method", "seeds", *COLUMNS),
        [
            (row.method, wording.seeds_words(row), *(_number(row, name) for name in COLUMNS))
            for row in table.rows
        ],
        wording.how_read(table),
    )


def more_metrics(table: Table) -> Markup:
    """Draw the metrics that have no room in the main table, folded; nothing if there are none."""
    names = table.more_metrics
    if not names:
        return joined()
    rows = [(row.method, *(_number(row, name) for name in names)) for row in table.rows]
    note = (
        "TPR@FPR: right pairs accepted at the threshold that accepts the share of wrong pairs. "
        "DIR@FAR: searched people found at the threshold that lets the share of strangers through. "
        "Intervals of these are of one seed, and not shown for more."
    )
    return folded(
        "More metrics", grid(f"{table.dataset}: more metrics", ("method", *names), rows, note)
    )


def folded(summary: str, *children: Child) -> Markup:
    """Draw something that opens at a click."""
    return element("details", element("summary", summary), children)


def gaps_table(table: Table) -> Markup:
    """Draw the table of differences to the baseline; nothing if there is none."""
    rows = [row for row in table.rows if row.gaps]
    if not rows:
        return joined()
    return grid(
        f"{table.dataset}: difference to {table.baseline}",
        ("method", *COLUMNS),
        [(row.method, *(_gap(row, name) for name in COLUMNS)) for row in rows],
        wording.how_gaps_read(table),
    )


def grid(
    caption: str, header: Sequence[str], rows: Sequence[Sequence[Child]], note: str = ""
) -> Markup:
    """Draw a table whose first column names its rows.

    Args:
        caption: above it.
        header: of the columns.
        rows: cells; texts are escaped.
        note: how to read it, below.
    """
    table = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", [element("th", one, scope="col") for one in header])),
        element(
            "tbody",
            [
                element(
                    "tr",
                    element("th", first, scope="row"),
                    [element("td", cell) for cell in rest],
                )
                for first, *rest in rows
            ],
        ),
    )
    scrolls = element("div", table, class_="scrolls", role="region", aria_label=caption, tabindex=0)
    return joined(scrolls, element("p", note, class_="note") if note else None)


def _number(row: Row, metric: str) -> Markup:
    number = row.numbers.get(metric)
    if number is None:
        return joined("\u2013")
    return stacked(
        wording.plain(number.mean),
        wording.seeds_range(number, row),
        wording.interval(number.low, number.high),
    )


def _gap(row: Row, metric: str) -> Markup:
    gap = row.gaps.get(metric)
    if gap is None:
        return joined("\u2013")
    value = element("strong" if gap.excludes_zero else "span", wording.signed(gap.value))
    return stacked(
        value,
        wording.interval(gap.low, gap.high, sign=True),
        wording.gap_range(gap),
        wording.p_words(gap),
    )


def stacked(value: str, *small: str) -> Markup:
    """Draw a value, and small lines below it; empty ones are left out."""
    return joined(
        element("span", value, class_="value"),
        [element("small", text) for text in small if text],
    )


# What the page folds away: cards, cells, settings; and the table of costs.

_TIMES = "Time of the last attempt, training and evaluation, beside whatever else was running."


def table_details(table: Table) -> Markup:
    """Draw the table's protocol cards and its cells."""
    cards = card_lines(table)
    cells = cell_lines(table)
    header = ("method", "seed", "kind", "config or dump", "time", "training", "ended", "machine")
    return joined(
        folded("Protocol card", grid("What was measured, and how", ("field", "value"), cards))
        if cards
        else element("p", "No protocol card: what was measured is not known.", class_="note"),
        folded("Cells: seeds, configs, times", grid("One line per cell", header, cells, _TIMES))
        if cells
        else None,
    )


def settings_details(cells: Sequence[FinishedCell]) -> Markup:
    """Draw the config values that differ from fast-reid's defaults."""
    own = [
        (method, _settings(values) if values else "nothing")
        for method, values in own_settings(cells).items()
    ]
    return folded(
        "Settings",
        grid(
            "What a method sets and not all do",
            ("method", "settings"),
            own[::-1],
            "Config keys that differ from fast-reid's defaults.",
        ),
        element("p", "All methods set:"),
        _settings(shared_settings(cells)) or element("p", "nothing"),
    )


def costs_section(costs: Costs) -> Markup:
    """Draw the table of costs; nothing if there are none."""
    if costs.why_not:
        return joined()
    return element(
        "section",
        element("h2", "Costs"),
        grid("What methods cost", HEADER, costs.lines),
        [element("p", line, class_="note") for line in costs.notes.splitlines()],
    )


def _settings(values: Mapping[str, Any]) -> Markup:
    return joined(
        [
            element("div", element("code", f"{key}: {json.dumps(value)}"))
            for key, value in sorted(values.items())
        ]
    )


# Failures on the page: ranking lists with right and wrong answers marked.

_NOTE = (
    "Left the query, right what comes first, best first, without images of the query's person and "
    "camera. Solid frame and \u2713: the same person. Dashed frame and \u2717: somebody else. The "
    "number is the cosine similarity, or the distance of a method that is ranked by distance."
)


def failures_section(failures: Failures) -> Markup:
    """Draw the worst queries, then those on which the methods differ most."""
    if failures.why_not:
        return joined()
    return joined(
        element("h3", "Worst failures"),
        element("p", f"{failures.words} {_NOTE}", class_="note"),
        _strips(failures.worst),
        element("h3", "Where the methods differ most") if failures.apart else None,
        _strips(failures.apart),
    )


def _strips(failures: Sequence[Failure]) -> Markup:
    strips = [ranking_strip(one.query, one.caption, one.lists) for one in failures]
    return element("div", strips, class_="strips")


# Figures of the page, and the words below them.


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
            *(_figure_gap(row.gaps.get(name)) for name in row.numbers),
        )
        for row in robustness.rows
    ]
    header = ["method", "seeds", *ROBUSTNESS_COLUMNS]
    header += [f"{name} against {table.baseline}" for name in ROBUSTNESS_COLUMNS]
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


def _metric(metric: Estimate) -> Markup:
    return stacked(wording.plain(metric.value), wording.interval(metric.low, metric.high))


def _figure_gap(metric: Estimate | None) -> Markup:
    if metric is None:
        return joined("\u2013")
    sure = metric.low > 0 or metric.high < 0
    value = element("strong" if sure else "span", wording.signed(metric.value))
    return stacked(value, wording.interval(metric.low, metric.high, sign=True))


# Colours and layout of the page: light and dark, paper, and the width of a phone.

STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --soft: #5a5f66;
  --line: #d5d8dc; --panel: #f5f6f8; --warn: #8a3b00; --right: #0072b2; --wrong: #c24e00;
  --s1: #0072b2; --s2: #c24e00; --s3: #007f5f; --s4: #b0568c; --s5: #946200; --s6: #2f7fae;
  --s7: #4a4a4a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #15181c; --soft: #a5abb3;
  --line: #3a4048; --panel: #1f242a; --warn: #ffb27a; --right: #56b4e9; --wrong: #ff9550;
  --s1: #4fa8e0; --s2: #ff8a3d; --s3: #2fc79b; --s4: #e79ac6; --s5: #e6b422; --s6: #9ad3f5;
  --s7: #c8c8c8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1, h2, h3 { line-height: 1.25; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; border-top: 1px solid var(--line);
  padding-top: 1.2rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 0.4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
.note, small, figcaption { color: var(--soft); font-size: 0.85rem; }
.warning { color: var(--warn); border-left: 4px solid currentColor; padding-left: 0.7rem; }
.scrolls { overflow-x: auto; max-width: 100%; margin: 0.8rem 0 0.3rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.2rem 0; }
caption span { display: block; position: sticky; left: 0; max-width: calc(100vw - 2rem); }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.9rem 0.4rem 0;
  border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--soft); font-size: 0.85rem; }
tbody th { font-weight: 500; min-width: 8.5rem; max-width: 16rem; overflow-wrap: anywhere; }
td small { display: block; white-space: nowrap; line-height: 1.35; }
.value { font-size: 1.02rem; }
figure { margin: 0.8rem 0 1.4rem; }
details { margin: 0.6rem 0; } summary { cursor: pointer; font-weight: 600; }
"""
PRINT_STYLE = """
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  .scrolls { overflow: visible; } tr, figure.ranking, svg { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .panels, .panels.pairs, .strips { grid-template-columns: 1fr 1fr; }
  .ranking img { height: 3.4rem; } }
"""
STYLE += LINE_STYLE + STRIP_STYLE + PRINT_STYLE  # the last rule counts


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""


def as_page(report: Report) -> str:
    """Return the whole page."""
    plan = report.benchmark.plan
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{plan}: report"),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", plan),
            element(
                "p",
                f"Measured until {report.benchmark.written:%Y-%m-%d %H:%M} UTC. Report of "
                f"{report.written:%Y-%m-%d %H:%M} UTC by {report.written_by}.",
                class_="note",
            ),
        ),
        element(
            "main",
            [_dataset(dataset) for dataset in report.datasets],
            costs_section(report.costs),
            settings_details(report.benchmark.cells),
            _missing(report),
            _small_print(),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _dataset(dataset: DatasetReport) -> Markup:
    parts = []
    for place, table in enumerate(dataset.tables):
        parts.append(element("h2", wording.title(table)))
        if table.apart:
            parts.append(element("p", wording.apart_words(table), class_="warning"))
        parts += [numbers_table(table), gaps_table(table), more_metrics(table)]
        parts += [cmc_figure(table, dataset.styles)]
        parts += [failures_section(dataset.failures[place])]
        parts += [visible_section(dataset.visible[place], table, dataset.styles)]
        parts += [robustness_section(dataset.robustness[place], table, dataset.styles)]
        parts += [training_figure(table, dataset.styles), table_details(table)]
    return element("section", parts)


def _missing(report: Report) -> Markup:
    if not report.missing:
        return joined()
    return element(
        "section",
        element("h2", "What is missing"),
        element("ul", [element("li", sentence) for sentence in report.missing]),
    )


def _small_print() -> Markup:
    return element(
        "section",
        element("h2", "What this does not say"),
        element("ul", [element("li", sentence) for sentence in wording.SMALL_PRINT]),
        class_="note",
    )
