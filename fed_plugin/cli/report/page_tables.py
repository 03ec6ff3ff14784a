"""Tables of the page; wide ones scroll by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from fed_plugin.cli.report import wording
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.tables import COLUMNS, Row
from fed_plugin.visualization.markup import Child, Markup, element, joined


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
