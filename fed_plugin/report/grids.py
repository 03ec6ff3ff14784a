"""The tables of a report as grids of cells, and the words below them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fed_plugin.costs.command import HEADER
from fed_plugin.report.curves import ROBUSTNESS_COLUMNS, Robustness, Visible
from fed_plugin.report.tables import (
    COLUMNS,
    FinishedCell,
    Gap,
    Row,
    Table,
    card_lines,
    cell_lines,
    own_settings,
    shared_settings,
)
from fed_plugin.retrieval.result import Metric

MINUS = "\u2212"

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
    """A number of a grid and the lines below it.

    Attributes:
        lines: The number, then its range, interval and p.
        bold: Whether the interval of a difference excludes 0.
    """

    lines: tuple[str, ...]
    bold: bool = False


ABSENT = Cell(("\u2013",))


@dataclass(frozen=True)
class Grid:
    """A table whose first column names the rows.

    Attributes:
        caption: Words above the table.
        header: Titles of the columns.
        rows: As many cells as titles in every row: texts, numbers or config values by key.
        notes: Sentences below the table.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    notes: Sequence[str] = ()


def metrics(table: Table) -> Grid:
    """Return the main metrics of every method."""
    drawn = "people, each with all queries" if table.by_people else "queries, one by one"
    note = (
        "Per cent: mean over seeds; range over seeds; in brackets the 95 % bootstrap interval of "
        f"that mean over {drawn}."
    )
    rows = [
        (row.method, _seeds(row), *(_number(row, metric) for metric in COLUMNS))
        for row in table.rows
    ]
    return Grid(f"{table.dataset}: metrics", ("method", "seeds", *COLUMNS), rows, (note,))


def gaps(table: Table) -> Grid | None:
    """Return the differences to the baseline; None if there are none."""
    rows = [
        (row.method, *(_gap(row.gaps.get(metric)) for metric in COLUMNS))
        for row in table.rows
        if row.gaps
    ]
    note = (
        f"Points above {table.baseline}, on the same queries, each in the mean over all its seeds; "
        "95 % interval over queries; range over the seeds that both methods have; p of a sign-flip "
        "test. Bold: the interval excludes 0."
    )
    caption = f"{table.dataset}: difference to {table.baseline}"
    return Grid(caption, ("method", *COLUMNS), rows, (note,)) if rows else None


def more_metrics(table: Table) -> Grid | None:
    """Return the metrics that are not in the main grid; None if there are none."""
    names = table.more_metrics
    rows = [(row.method, *(_number(row, name) for name in names)) for row in table.rows]
    note = (
        "TPR@FPR: share of right pairs above the threshold that accepts the given share of wrong "
        "pairs. DIR@FAR: share of searched people that are found at the threshold that accepts the "
        "given share of strangers. These intervals exist for one seed only."
    )
    caption = f"{table.dataset}: more metrics"
    return Grid(caption, ("method", *names), rows, (note,)) if names else None


def visible(visible: Visible, table: Table) -> Grid | None:
    """Return mAP by visible share, and the quality of estimated visibility; None without bins."""
    rows = []
    for method in visible.methods:
        found = [one.values.get((method, "mAP")) for one in visible.bins]
        cells = [_cell(_decimal(x[0]), _ends("[{}, {}]", *x[1:])) if x else ABSENT for x in found]
        if visible.estimates:
            r = visible.estimates.get(method)
            cells += [_cell(f"{r[0]:.2f}", f"({r[1]:.2f} to {r[2]:.2f})") if r else ABSENT]
        rows.append([method, *cells])
    header = ["method", *(one.words for one in visible.bins)]
    header += ["visibility r"] * bool(visible.estimates)
    caption = f"{table.dataset}: mAP by visible share (number of queries)"
    note = (
        "visibility r: correlation of the estimated visibility with the visible share of the "
        "queries' parts, mean and range over seeds."
    )
    return Grid(caption, header, rows, (note,) * bool(visible.estimates)) if rows else None


def areas(robustness: Robustness, table: Table) -> Grid | None:
    """Return the metrics of whole queries and the areas under the curves; None without curves."""
    rows = [
        (row.method, ", ".join(map(str, row.seeds)), *map(_metric, row.numbers.values()))
        for row in robustness.rows
    ]
    caption = f"{table.dataset}: whole queries, and area under the robustness curves"
    return Grid(caption, ("method", "seeds", *ROBUSTNESS_COLUMNS), rows, (AREA,)) if rows else None


def area_gaps(robustness: Robustness, table: Table) -> Grid | None:
    """Return the differences of `areas` to the baseline; None if there are none."""
    rows = [
        (row.method, *(_gap(row.gaps.get(name)) for name in ROBUSTNESS_COLUMNS))
        for row in robustness.rows
        if row.gaps
    ]
    caption = f"{table.dataset}: difference of robustness to {table.baseline}"
    note = "Differences are paired over queries; bold: the interval excludes 0."
    return Grid(caption, ("method", *ROBUSTNESS_COLUMNS), rows, (note,)) if rows else None


def card(table: Table) -> Grid | None:
    """Return the protocol card of a table; None if no result has a card."""
    rows = card_lines(table)
    return Grid("What was measured, and how", ("field", "value"), rows) if rows else None


def cells(table: Table) -> Grid | None:
    """Return seed, config and time of every cell; None if no cell is finished."""
    header = ("method", "seed", "kind", "config or dump", "time", "training", "ended", "machine")
    note = "Time of the last attempt, training and evaluation, beside other work of the machine."
    rows = cell_lines(table)
    return Grid("One line per cell", header, rows, (note,)) if rows else None


def settings(cells: Sequence[FinishedCell]) -> Grid:
    """Return the config values of every method that not all methods share."""
    own = own_settings(cells)
    rows = [("all methods", shared_settings(cells)), *reversed(own.items())]
    note = "Config keys that differ from fast-reid's defaults."
    return Grid(
        "What all methods set, then what a method sets", ("method", "settings"), rows, (note,)
    )


def costs(lines: Sequence[Sequence[str]], notes: str) -> Grid | None:
    """Return the costs of the methods; None if there are none."""
    return Grid("What methods cost", HEADER, lines, notes.splitlines()) if lines else None


# Cells: a number, then its range over seeds, its interval and p.


def _decimal(value: float) -> str:
    return f"{value:.1f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Return a number of points with its sign."""
    text = f"{abs(value):.1f}"
    return text if text == "0.0" else ("+" if value > 0 else MINUS) + text


def _seeds(row: Row) -> str:
    seeds = ", ".join(map(str, row.seeds)) or "none"
    return f"{seeds} (missing: {', '.join(map(str, row.missing))})" if row.missing else seeds


def _number(row: Row, metric: str) -> Cell:
    number = row.numbers.get(metric)
    if number is None:
        return ABSENT
    seeds = "({} to {})" if len(row.cells) > 1 else ""
    return _cell(
        _decimal(number.mean),
        _ends(seeds, number.lowest, number.highest),
        _ends("[{}, {}]", number.low, number.high),
    )


def _gap(gap: Gap | Metric | None) -> Cell:
    if gap is None:
        return ABSENT
    lines = [_ends("[{}, {}]", gap.low, gap.high, signed)]
    if isinstance(gap, Gap):
        seeds = "({} to {})" if len(gap.seeds) > 1 else ""
        lines += [_ends(seeds, gap.lowest, gap.highest, signed)]
        lines += ["p < 0.001" if gap.p_value < 0.001 else f"p = {gap.p_value:.3f}"]
    return _cell(signed(gap.value), *lines, bold=gap.low > 0 or gap.high < 0)


def _metric(metric: Metric) -> Cell:
    return _cell(_decimal(metric.value), _ends("[{}, {}]", metric.low, metric.high))


def _cell(*lines: str, bold: bool = False) -> Cell:
    return Cell(tuple(filter(None, lines)), bold)


def _ends(
    form: str, low: float | None, high: float | None, text: Callable[[float], str] = _decimal
) -> str:
    return "" if low is None or high is None else form.format(text(low), text(high))
