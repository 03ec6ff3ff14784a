"""What a benchmark found: all results in one file, and a table of mean and range over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from fed_plugin.cli.benchmark.cells import Cell, CellState, read_record, read_result, write_json
from fed_plugin.cli.benchmark.plan import Plan

RESULTS = "results.json"
FORMAT = "fed_plugin.results/1"
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
                "resumed": record.get("resumed", False),
                "result": result.to_json(),
            }
        )
    path = plan.out / RESULTS
    write_json(path, {"format": FORMAT, "plan": plan.name, "cells": rows})
    return path


def results_table(cells: Sequence[Cell]) -> str:
    """Return a table of data sets x methods: mean and range over the seeds that are finished."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    wanted: dict[tuple[str, str], int] = {}
    for cell in cells:
        key = (cell.dataset, cell.method)
        wanted[key] = wanted.get(key, 0) + 1
        result = read_result(cell.folder)
        found.setdefault(key, []).extend([] if result is None else [result.metrics])
    rows = []
    for dataset, method in sorted(found, key=lambda key: list(found).index(key)):
        metrics = found[dataset, method]
        seeds = f"{len(metrics)}/{wanted[dataset, method]}"
        values = [_spread([one[name].value for one in metrics]) for name in COLUMNS]
        rows.append([dataset, method, seeds, *values])
    header = ["data set", "method", "seeds", *COLUMNS]
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)


def states_table(cells: Sequence[Cell], states: Sequence[CellState]) -> str:
    """Return a line per cell: what is there of it."""
    rows = [
        [cell.dataset, cell.method, cell.seed, state.kind, _note(cell, state)]
        for cell, state in zip(cells, states, strict=True)
    ]
    header = ["data set", "method", "seed", "state", ""]
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)


def failures_table(failures: Mapping[str, str]) -> str:
    """Return a line per failed cell: its last words."""
    return tabulate(list(failures.items()), headers=["failed", "last words"], tablefmt="github")


def _note(cell: Cell, state: CellState) -> str:
    if state.kind == "new":
        return cell.source
    return "; ".join(state.differences) or state.error


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.1f} to {max(values):.1f})"
