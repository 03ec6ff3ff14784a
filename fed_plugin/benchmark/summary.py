"""Results of a benchmark: one file of all results, and tables of mean, range and interval."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import msgspec

from fed_plugin.benchmark.cells import Cell, CellState, NamedCell, read_record, read_result
from fed_plugin.benchmark.plan import Plan
from fed_plugin.files import decode, write_json
from fed_plugin.retrieval.card_files import group_by_protocol, words_apart
from fed_plugin.retrieval.estimates import Column, as_text
from fed_plugin.retrieval.evaluation import MethodRow, method_rows

RESULTS = "results.json"
FORMAT = "fed_plugin.results/1"
NUMBERS = (
    "in per cent: mean over seeds (range over seeds) [95 % interval over queries of that mean]"
)
COLUMNS = ("Rank-1", "mAP", "mINP")


@dataclass(frozen=True, kw_only=True, eq=False)
class ResultRow(NamedCell):
    """Row of ``results.json``: a finished cell with its result; older rows have fewer keys.

    The others are fields of `CellRecord`.
    """

    kind: str
    source: str
    settings: dict[str, Any]
    seconds: float | None = None
    ended: str | None = None
    machine: str | None = None
    resumed: bool = False
    result: dict[str, Any]


class Results(msgspec.Struct, kw_only=True):
    """Content of ``results.json``."""

    format: Literal["fed_plugin.results/1"] = "fed_plugin.results/1"
    plan: str
    cells: list[ResultRow]


def join_results(plan: Plan, cells: Sequence[Cell]) -> Path:
    """Write ``OUT/results.json`` with the results of the finished cells."""
    rows = []
    for cell in cells:
        result = read_result(cell.folder)
        if result is not None:
            record = read_record(cell.folder)
            about = {one.name: getattr(record, one.name, None) for one in fields(ResultRow)}
            rows.append(ResultRow(**{**about, "result": result.to_json()}))
    path = plan.out / RESULTS
    write_json(path, msgspec.to_builtins(Results(plan=plan.name, cells=rows)))
    return path


def methods_of(folder: str | os.PathLike[str]) -> list[str]:
    """Return the methods in ``results.json``, in the order of the plan; none without the file."""
    path = Path(folder) / RESULTS
    cells = decode(path, Results, "the results of a benchmark").cells if path.is_file() else []
    return list(dict.fromkeys(cell.method for cell in cells))


def results_tables(cells: Sequence[Cell]) -> str:
    """Return tables over the finished seeds; :data:`NUMBERS` explains the numbers.

    A data set has one table per protocol; the title of a further table names the differences.
    """
    rows = method_rows((cell.dataset, cell.method, read_result(cell.folder)) for cell in cells)
    tables = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        own = [row for row in rows if row.dataset == dataset]
        for group in group_by_protocol(own, lambda row: row.cards):
            title = dataset
            if group.differences:
                why = "; ".join(words_apart(group.differences))
                title += f", not to be compared with the above: {why}"
            tables.append(f"{title}\n{as_text(METHOD_COLUMNS, group.rows)}")
    return "\n\n".join(tables)


METHOD_COLUMNS: list[Column[MethodRow]] = [
    Column("method", "method", lambda row: row.method),
    Column("seeds", "seeds", lambda row: f"{len(row.results)}/{row.wanted}"),
    *(Column(name, name, lambda row, name=name: row.estimate(name)) for name in COLUMNS),
]
STATE_COLUMNS: list[Column[tuple[Cell, CellState]]] = [
    Column("dataset", "data set", lambda row: row[0].dataset),
    Column("method", "method", lambda row: row[0].method),
    Column("seed", "seed", lambda row: row[0].seed),
    Column("state", "state", lambda row: row[1].kind),
    Column("note", "", lambda row: _note(*row)),
]
FAILURE_COLUMNS: list[Column[tuple[str, str]]] = [
    Column("cell", "failed", lambda row: row[0]),
    Column("error", "last lines", lambda row: row[1].partition("\n")[0]),
]


def _note(cell: Cell, state: CellState) -> str:
    if state.kind == "new":
        return cell.source
    return "; ".join(state.differences) or state.error.partition("\n")[0]
