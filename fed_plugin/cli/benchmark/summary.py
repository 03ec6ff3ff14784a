"""What a benchmark found: all results in one file, and a table of mean and range over seeds."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from fed_plugin.cli.benchmark.cells import Cell, CellState, read_record, read_result, write_json
from fed_plugin.cli.benchmark.plan import Plan
from fed_plugin.retrieval.protocol_card import Difference, ProtocolCard, protocol_differences
from fed_plugin.retrieval.result import Result

RESULTS = "results.json"
FORMAT = "fed_plugin.results/1"
COLUMNS = ("Rank-1", "mAP", "mINP")


@dataclass
class _Row:
    """A method on a data set: its results, one per seed that is finished."""

    dataset: str
    method: str
    results: list[Result]
    wanted: int = 0

    def cards(self) -> list[ProtocolCard]:
        """Cards of the results that have one."""
        return [ProtocolCard.from_json(one.card) for one in self.results if one.card]


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
                "resumed": record.get("resumed", False),
                "result": result.to_json(),
            }
        )
    path = plan.out / RESULTS
    write_json(path, {"format": FORMAT, "plan": plan.name, "cells": rows})
    return path


def results_tables(cells: Sequence[Cell]) -> str:
    """Return tables of mean and range over the seeds that are finished.

    A data set has one table, and further ones for methods that were measured under another
    protocol, with what keeps them apart.
    """
    rows = _rows(cells)
    tables = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        groups = _by_protocol([row for row in rows if row.dataset == dataset])
        for group in groups:
            title = dataset
            if group is not groups[0]:
                title += f", not to be compared with the above: {_apart(groups[0], group)}"
            tables.append(f"{title}\n{_table(group)}")
    return "\n\n".join(tables)


def _rows(cells: Sequence[Cell]) -> list[_Row]:
    """Return a row per method and data set; several if its seeds are of several protocols."""
    rows: dict[tuple[str, str], list[_Row]] = {}
    for cell in cells:
        result = read_result(cell.folder)
        new = _Row(cell.dataset, cell.method, [] if result is None else [result])
        same = rows.setdefault((cell.dataset, cell.method), [])
        for row in same:
            if not _differences([row], [new]):
                row.results += new.results
                break
        else:
            same.append(new)
    wanted = Counter((cell.dataset, cell.method) for cell in cells)
    for key, same in rows.items():
        for row in same:
            row.wanted = wanted[key]
    return [row for same in rows.values() for row in same]


def _by_protocol(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Put rows together that may stand in one table; one without results goes with any."""
    groups: list[list[_Row]] = []
    for row in rows:
        for group in groups:
            if not _differences(group, [row]):
                group.append(row)
                break
        else:
            groups.append([row])
    return groups


def _differences(group: Sequence[_Row], other: Sequence[_Row]) -> list[Difference]:
    ours, theirs = ([card for row in rows for card in row.cards()] for rows in (group, other))
    found = [one for a in ours for b in theirs for one in protocol_differences(a, b)]
    return list({one.field: one for one in found}.values())


def _apart(group: Sequence[_Row], other: Sequence[_Row]) -> str:
    return "; ".join(f"{one.field} {one.b}, not {one.a}" for one in _differences(group, other))


def _table(rows: Sequence[_Row]) -> str:
    lines = []
    for row in rows:
        seeds = f"{len(row.results)}/{row.wanted}"
        values = [_spread([one.metrics[name].value for one in row.results]) for name in COLUMNS]
        lines.append([row.method, seeds, *values])
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


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"
