"""What a benchmark found: all results in one file, and a table of mean, range and interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from fed_plugin.benchmark.cells import Cell, CellState, read_record, read_result, write_json
from fed_plugin.benchmark.plan import Plan
from fed_plugin.retrieval.card_files import group_by_protocol, words_apart
from fed_plugin.retrieval.evaluation import MethodRow, method_rows

RESULTS = "results.json"
FORMAT = "fed_plugin.results/1"
NUMBERS = (
    "in per cent: mean over seeds (range over seeds) [95 % interval over queries of that mean]"
)
COLUMNS = ("Rank-1", "mAP", "mINP")


def join_results(plan: Plan, finished: Sequence[Cell]) -> Path:
    """Write ``OUT/results.json``: the results of finished cells, whole.

    Args:
        plan: they belong to.
        finished: cells, in order.
    """
    rows = []
    for cell in finished:
        result = read_result(cell.folder)
        if result is None:
            continue
        record = read_record(cell.folder)
        rows.append(
            {
                "dataset": cell.dataset,
                "method": cell.method,
                "seed": cell.seed,
                "kind": cell.kind,
                "source": cell.source,
                "settings": cell.settings,
                "seconds": record.get("seconds"),
                "ended": record.get("ended"),
                "machine": record.get("machine"),
                "resumed": record.get("resumed", False),
                "result": result.to_json(),
            }
        )
    path = plan.out / RESULTS
    write_json(path, {"format": FORMAT, "plan": plan.name, "cells": rows})
    return path


def results_tables(cells: Sequence[Cell]) -> str:
    """Return tables of the seeds that are finished: :data:`NUMBERS` says what a cell holds.

    A data set has one table, and further ones for methods that were measured under another
    protocol, with what keeps them apart.
    """
    rows = method_rows((cell.dataset, cell.method, read_result(cell.folder)) for cell in cells)
    tables = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        for group in group_by_protocol(
            [row for row in rows if row.dataset == dataset], lambda row: row.cards
        ):
            title = dataset
            if group.differences:
                why = "; ".join(words_apart(group.differences))
                title += f", not to be compared with the above: {why}"
            tables.append(f"{title}\n{_table(group.rows)}")
    return "\n\n".join(tables)


def _table(rows: Sequence[MethodRow]) -> str:
    lines = []
    for row in rows:
        seeds = f"{len(row.results)}/{row.wanted}"
        lines.append([row.method, seeds, *(_number(row, name) for name in COLUMNS)])
    header = ["method", "seeds", *COLUMNS]
    return tabulate(lines, headers=header, tablefmt="github", disable_numparse=True)


def states_table(cells: Sequence[Cell], states: Sequence[CellState]) -> str:
    """Return a line per cell: what is there of it."""
    rows = [
        [cell.dataset, cell.method, cell.seed, state.kind, _note(cell, state)]
        for cell, state in zip(cells, states, strict=True)
    ]
    header = ["data set", "method", "seed", "state", ""]
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)


def failures_table(failures: Mapping[str, str]) -> str:
    """Return a line per failed cell: the first one of its last words."""
    rows = [[name, error.partition("\n")[0]] for name, error in failures.items()]
    return tabulate(rows, headers=["failed", "last words"], tablefmt="github")


def _note(cell: Cell, state: CellState) -> str:
    if state.kind == "new":
        return cell.source
    return "; ".join(state.differences) or state.error.partition("\n")[0]


def _number(row: MethodRow, metric: str) -> str:
    seeds = row.summary(metric)
    if seeds is None:
        return "-"
    text = f"{seeds.mean:.1f}"
    if seeds.count > 1:
        text += f" ({seeds.lowest:.1f} to {seeds.highest:.1f})"
    interval = row.over_queries(metric)
    return text if interval is None else f"{text} [{interval.low:.1f}, {interval.high:.1f}]"
