"""The tables of a report: one list of columns for HTML, Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from fed_plugin.costs.command import COLUMNS as COST_COLUMNS
from fed_plugin.costs.command import Costs, notes
from fed_plugin.report import tables
from fed_plugin.report.curves import ROBUSTNESS_COLUMNS, Robustness, Visible
from fed_plugin.report.tables import FinishedCell, Row, Table
from fed_plugin.retrieval.estimates import Column, Estimate

ROW_COLUMNS: list[Column[Row]] = [
    Column("method", "method", lambda row: row.method),
    Column("kind", "kind", lambda row: row.kind),
    Column("seeds", "seeds", lambda row: list(row.seeds)),
    Column("missing_seeds", "missing seeds", lambda row: list(row.missing)),
]
"""Columns about a method; all four files of a report have them, before the metrics."""

SMALL_PRINT = (
    "An interval over queries shows how other queries from the same cameras would change the "
    "number. The interval does not cover other training seeds; the range over seeds does, and "
    "three seeds are few.",
    "A difference is bold if its 95 % interval excludes 0: the draw of queries alone does not "
    "explain the difference. Of twenty comparisons of equal methods, one is expected to be bold "
    "by chance.",
    "p comes from a two-sided sign-flip test on the same queries, averaged over seeds. p is not "
    "corrected for the number of comparisons.",
    "A data set covers one place and one set of cameras. Drawn people (SynthOcc) show the effect "
    "of occlusion on a method; they do not show how well the method finds people in a real camera "
    "system.",
    "Methods with another protocol (input size, file lists, training sets, choice of the epoch, "
    "...) have tables of their own; the protocol cards list how each method was measured.",
)
AREA = (
    "Area: mean of the metric in per cent, if every visible share between the smallest one and the "
    "whole query were equally likely, with 95 % intervals over queries."
)
STRIPS = (
    "Left: the query. Right: the first answers, best first, without images of the query's person "
    "and camera. Solid frame and \u2713: the same person. Dashed frame and \u2717: another person. "
    "The number is the cosine similarity, or the distance of a method that is ranked by distance."
)


@dataclass(frozen=True)
class Cell:
    """Lines of one cell: a text, or the value, the range over seeds, the interval and p.

    A difference whose interval excludes 0 is bold. Lines from elsewhere are escaped, as they may
    hold markup. Config keys with values are code.
    """

    lines: Sequence[str]
    bold: bool = False
    escape: bool = True
    code: bool = False


@dataclass(frozen=True)
class Grid:
    """A table for people, with notes below; false without rows.

    The first column names the rows. A column without any content is left out.
    """

    caption: str
    columns: Sequence[Column[Any]]
    rows: Sequence[Any]
    notes: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)

    @property
    def visible(self) -> list[Column[Any]]:
        """Columns with content."""
        empty: tuple[Any, ...] = (None, "", [])
        return [one for one in self.columns if any(one.cell(row) not in empty for row in self.rows)]

    @property
    def header(self) -> list[str]:
        """Titles of the columns."""
        return [column.title for column in self.visible]

    @property
    def cells(self) -> list[list[Cell]]:
        """Cells of every row."""
        return [[_cell(column, row) for column in self.visible] for row in self.rows]


def _cell(column: Column[Any], row: Any) -> Cell:
    value = column.cell(row)
    if isinstance(value, Estimate):
        bold = column.spec.startswith("+") and value.is_marked
        return Cell(column.parts(row), bold, escape=False)
    if isinstance(value, list):
        return Cell([", ".join(map(str, value)) or "-"])
    if isinstance(value, Mapping):
        lines = [f"{key}: {json.dumps(value[key])}" for key in sorted(value)]
        return Cell(lines, code=True) if lines else Cell(["nothing"])
    return Cell([column.text(row)])


def _texts(caption: str, header: Sequence[str], rows: Sequence[Sequence[Any]], *notes: str) -> Grid:
    columns = [Column(title, title, itemgetter(place)) for place, title in enumerate(header)]
    return Grid(caption, columns, rows, notes)


def _differences(caption: str, names: Sequence[str], rows: Sequence[Any], note: str) -> Grid:
    columns = [ROW_COLUMNS[0], *(_metric(name, "gaps", "+.1f") for name in names)]
    return Grid(caption, columns, [row for row in rows if row.gaps], (note,))


def _metric(name: str, of: str = "numbers", spec: str = ".1f") -> Column[Any]:
    return Column(name, name, lambda row: getattr(row, of).get(name), spec)


def metrics(table: Table) -> Grid:
    """Return the main metrics of every method."""
    drawn = "people, each with all queries" if table.by_people else "queries, one by one"
    note = (
        "Per cent: mean over seeds; range over seeds; in brackets the 95 % bootstrap interval of "
        f"that mean over {drawn}."
    )
    columns = [*ROW_COLUMNS, *map(_metric, tables.COLUMNS)]
    return Grid(f"{table.dataset}: metrics", columns, table.rows, (note,))


def gaps(table: Table) -> Grid:
    """Return the differences to the baseline."""
    note = (
        f"Points above {table.baseline}, on the same queries, each in the mean over all its seeds; "
        "range over the seeds that both methods have; 95 % interval over queries; p of a sign-flip "
        "test. Bold: the interval excludes 0."
    )
    caption = f"{table.dataset}: difference to {table.baseline}"
    return _differences(caption, tables.COLUMNS, table.rows, note)


def more_metrics(table: Table) -> Grid:
    """Return the metrics that are not in the main grid."""
    note = (
        "TPR@FPR: share of right pairs above the threshold that accepts the given share of wrong "
        "pairs. DIR@FAR: share of searched people that are found at the threshold that accepts the "
        "given share of strangers. These intervals exist for one seed only."
    )
    columns = [ROW_COLUMNS[0], *map(_metric, table.more_metrics)]
    rows = table.rows if table.more_metrics else ()
    return Grid(f"{table.dataset}: more metrics", columns, rows, (note,))


def visible(visible: Visible, table: Table) -> Grid:
    """Return mAP by visible share, and the quality of estimated visibility."""
    columns: list[Column[str]] = [Column("method", "method", str)]
    for one in visible.bins:
        columns.append(
            Column(one.words, one.words, lambda name, of=one: of.values.get((name, "mAP")))
        )
    columns.append(Column("visibility_r", "visibility r", visible.estimates.get, ".2f"))
    note = (
        "visibility r: correlation of the estimated visibility with the visible share of the "
        "queries' parts, mean and range over seeds."
    )
    caption = f"{table.dataset}: mAP by visible share (number of queries)"
    return Grid(caption, columns, visible.methods, (note,) * bool(visible.estimates))


def areas(robustness: Robustness, table: Table) -> Grid:
    """Return the metrics of whole queries and the areas under the curves."""
    columns = [ROW_COLUMNS[0], ROW_COLUMNS[2], *map(_metric, ROBUSTNESS_COLUMNS)]
    caption = f"{table.dataset}: whole queries, and area under the robustness curves"
    return Grid(caption, columns, robustness.rows, (AREA,))


def area_gaps(robustness: Robustness, table: Table) -> Grid:
    """Return the differences of `areas` to the baseline."""
    caption = f"{table.dataset}: difference of robustness to {table.baseline}"
    note = "Differences are paired over queries; bold: the interval excludes 0."
    return _differences(caption, ROBUSTNESS_COLUMNS, robustness.rows, note)


def card(table: Table) -> Grid:
    """Return the protocol card of a table."""
    return _texts("What was measured, and how", ("field", "value"), tables.card_lines(table))


def cells(table: Table) -> Grid:
    """Return seed, config and time of every cell."""
    header = ("method", "seed", "kind", "config or dump", "time", "training", "ended", "machine")
    note = "Time of the last attempt, training and evaluation, beside other work of the machine."
    return _texts("One line per cell", header, tables.cell_lines(table), note)


def settings(cells: Sequence[FinishedCell]) -> Grid:
    """Return the config values of all methods, then of every method what not all share."""
    own = reversed(tables.own_settings(cells).items())
    rows = [("all methods", tables.shared_settings(cells)), *own]
    note = "Config keys that differ from fast-reid's defaults."
    caption = "Settings of all methods, then of single methods"
    return _texts(caption, ("method", "settings"), rows, note)


def costs(costs: Costs) -> Grid:
    """Return the costs of the methods."""
    return Grid("What methods cost", COST_COLUMNS, costs.rows, notes(costs).splitlines())
