"""Tables of a data set: rows of one protocol each, and what keeps the tables apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fed_plugin.cli.cards.wording import worded
from fed_plugin.cli.report.benchmark_folder import Benchmark, FinishedCell
from fed_plugin.cli.report.tables import COLUMNS, Row, make_gap, make_number, per_query
from fed_plugin.retrieval.method_rows import MethodRow, method_rows
from fed_plugin.retrieval.protocol_groups import group_by_protocol

BASELINE = "baseline"


@dataclass(frozen=True)
class Table:
    """Hold rows that may be compared.

    Attributes:
        dataset: tested on.
        apart: sentences, one per field that keeps it from the data set's first table.
        baseline: method that differences are to.
        rows: in the plan's order.
        by_people: whether intervals draw identities, not single queries.
    """

    dataset: str
    apart: tuple[str, ...]
    baseline: str
    rows: tuple[Row, ...]
    by_people: bool


def make_tables(
    benchmark: Benchmark, dataset: str, baseline: str | None, people: Mapping[str, int]
) -> list[Table]:
    """Make a data set's tables, one per protocol.

    Args:
        benchmark: all that is known.
        dataset: tested on.
        baseline: method that was asked for; a table without it chooses its own.
        people: identities by name of the query, empty if not known.
    """
    cells = {id(cell.result): cell for cell in benchmark.cells if cell.dataset == dataset}
    results = {(cell.method, cell.seed): cell.result for cell in cells.values()}
    wanted = [(method, seed) for which, method, seed in benchmark.wanted if which == dataset]
    seeds = sorted({seed for _, seed in wanted})
    methods = [cell.method for cell in cells.values()] + sorted(method for method, _ in wanted)
    rows = method_rows(
        (dataset, method, results.get((method, seed)))
        for method in dict.fromkeys(methods)
        for seed in seeds
    )
    missing = {
        method: tuple(seed for seed in seeds if (method, seed) not in results)
        for method in dict.fromkeys(methods)
    }
    tables = []
    for group in group_by_protocol(rows, lambda row: row.cards):
        apart = tuple(
            f"{one.field} is {worded(one.field, one.b)}, not {worded(one.field, one.a)}"
            for one in group.differences
        )
        tables.append(_table(dataset, apart, group.rows, cells, missing, baseline, people))
    return tables


def _table(
    dataset: str,
    apart: tuple[str, ...],
    rows: Sequence[MethodRow],
    cells: Mapping[int, FinishedCell],
    missing: Mapping[str, tuple[int, ...]],
    asked: str | None,
    people: Mapping[str, int],
) -> Table:
    finished = {row.method: [cells[id(one)] for one in row.results] for row in rows}
    queries = {m: per_query(ours, people) if ours else None for m, ours in finished.items()}
    first = choose_baseline([row.method for row in rows if row.results], asked)
    made = []
    for row in rows:
        ours, own, base = finished[row.method], queries[row.method], queries.get(first)
        numbers = {name: make_number(row, name, own) for name in COLUMNS}
        gaps = {}
        if own and base and row.method != first:
            gaps = {
                name: make_gap(ours, finished[first], name, own, base)
                for name in COLUMNS
                if numbers[name]
            }
        made.append(
            Row(
                method=row.method,
                kind=ours[0].kind if ours else "",
                cells=tuple(ours),
                missing=missing[row.method],
                numbers={name: number for name, number in numbers.items() if number},
                gaps={name: gap for name, gap in gaps.items() if gap},
            )
        )
    grouped = any(own is not None and own.people is not None for own in queries.values())
    return Table(dataset, apart, first, tuple(made), grouped)


def choose_baseline(methods: Sequence[str], asked: str | None) -> str:
    """Return the method asked for, else one with "baseline" in its name, else the first."""
    if asked in methods:
        return str(asked)
    named = [method for method in methods if BASELINE in method.lower()]
    return (named or list(methods) or [""])[0]
