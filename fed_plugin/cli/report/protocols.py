"""Tables of a data set: rows of one protocol each, and what keeps the tables apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fed_plugin.cli.cards.wording import worded
from fed_plugin.cli.report.benchmark_folder import Benchmark, FinishedCell
from fed_plugin.cli.report.tables import COLUMNS, Row, groups_of, make_gap, make_number
from fed_plugin.retrieval.method_rows import MethodRow, method_rows
from fed_plugin.retrieval.protocol_groups import group_by_protocol
from fed_plugin.retrieval.result import METRICS

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

    @property
    def more_metrics(self) -> list[str]:
        """Metrics of any row that are not among ``COLUMNS``."""
        names = dict.fromkeys(name for row in self.rows for name in row.numbers)
        return [name for name in names if name not in COLUMNS]


def make_tables(benchmark: Benchmark, dataset: str, baseline: str | None) -> list[Table]:
    """Make a data set's tables, one per protocol.

    Args:
        benchmark: all that is known.
        dataset: tested on.
        baseline: method that was asked for; a table without it chooses its own.
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
        first = choose_baseline([row.method for row in group.rows if row.results], baseline)
        against = next((row for row in group.rows if row.method == first), None)
        groups = groups_of(group.rows)
        made = [_row(row, against, groups, cells, missing[row.method]) for row in group.rows]
        apart = tuple(
            f"{one.field} is {worded(one.field, one.b)}, not {worded(one.field, one.a)}"
            for one in group.differences
        )
        tables.append(Table(dataset, apart, first, tuple(made), groups == "identity"))
    return tables


def _row(
    row: MethodRow,
    baseline: MethodRow | None,
    groups: str,
    cells: Mapping[int, FinishedCell],
    missing: tuple[int, ...],
) -> Row:
    ours = tuple(cells[id(one)] for one in row.results)
    names = dict.fromkeys((*COLUMNS, *(name for one in row.results for name in one.metrics)))
    numbers = {name: make_number(row, name, groups) for name in names}
    gaps = {}
    if baseline is not None and row is not baseline and ours:
        theirs = {cells[id(one)].seed: one for one in baseline.results}
        seeds = {c.seed: (c.result, theirs[c.seed]) for c in ours if c.seed in theirs}
        known = [name for name in METRICS if numbers.get(name) and baseline.summary(name)]
        gaps = {name: make_gap(row, baseline, name, groups, seeds) for name in known}
    return Row(
        method=row.method,
        kind=ours[0].kind if ours else "",
        cells=ours,
        missing=() if ours and ours[0].kind == "dump" else missing,  # a file has no seeds
        numbers={name: number for name, number in numbers.items() if number},
        gaps={name: gap for name, gap in gaps.items() if gap},
    )


def choose_baseline(methods: Sequence[str], asked: str | None) -> str:
    """Return the method asked for, else one with "baseline" in its name, else the first."""
    if asked in methods:
        return str(asked)
    named = [method for method in methods if BASELINE in method.lower()]
    return (named or list(methods) or [""])[0]
