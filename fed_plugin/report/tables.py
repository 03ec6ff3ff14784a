"""Tables of a benchmark: means over seeds, intervals over queries, differences to a baseline."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fed_plugin.benchmark.cells import FAILED, RESULT, Failure, read_record
from fed_plugin.benchmark.runner import clock
from fed_plugin.benchmark.summary import RESULTS, ResultRow, Results
from fed_plugin.files import decode
from fed_plugin.retrieval.card_files import group_by_protocol, worded, words_apart
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.evaluation import MethodRow, drawn_together, method_rows
from fed_plugin.retrieval.intervals import paired_bootstrap, sign_flip_test
from fed_plugin.retrieval.protocol_card import ProtocolCard, flat
from fed_plugin.retrieval.result import METRICS, Result

# The folder of a benchmark: finished cells, and the state of the others.


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedCell(ResultRow):
    """Row of ``results.json`` with its measured numbers, and the folder, None if there is none."""

    result: Result
    folder: Path | None

    def file(self, name: str) -> Path | None:
        """Return a file in the folder of the cell; None if the file does not exist."""
        path = self.folder and self.folder / name
        return path if path and path.is_file() else None


@dataclass(frozen=True)
class Benchmark:
    """Content of the folder of a benchmark, with the name of its plan.

    The results were joined at ``written``, in UTC. ``cells`` are finished and in the order of the
    plan; ``unfinished`` has one sentence for each cell that failed or did not end; ``wanted`` holds
    (data set, method, seed) of cells that have a folder or a result.
    """

    folder: Path
    plan: str
    written: datetime.datetime
    cells: tuple[FinishedCell, ...]
    unfinished: tuple[str, ...] = ()
    wanted: tuple[tuple[str, str, int], ...] = ()


def read_benchmark(folder: str | os.PathLike[str]) -> Benchmark:
    """Read ``results.json`` and the states of cells without a result.

    Raises:
        FileNotFoundError: The folder has no ``results.json``.
        ValueError: The file has other content, or holds no finished cell.
    """
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected the folder of a benchmark with a finished cell, try "
            "the last line that `fed-plugin benchmark PLAN.yml` prints"
        )
    records = dict(_records(path.parent))
    content = decode(path, Results, "the results of a benchmark")
    try:
        cells = tuple(_finished(row, records) for row in content.cells)
    except ValueError as error:
        raise ValueError(f"{path}: not the results of a benchmark: {error}") from error
    if not cells:
        raise ValueError(f"{path}: no cell is finished; expected at least one")
    done = {(cell.dataset, cell.method, cell.seed) for cell in cells}
    others = {key: place for key, place in records.items() if key not in done}
    unfinished = tuple(_became(key, place) for key, place in others.items())
    written = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return Benchmark(path.parent, content.plan, written, cells, unfinished, wanted=(*done, *others))


def _finished(row: ResultRow, records: Mapping[Any, Path]) -> FinishedCell:
    result = Result.from_json(row.result)
    if result.card:
        ProtocolCard.from_json(result.card)
    if row.seconds is not None and row.seconds < 0:
        raise ValueError(f"seconds is {row.seconds}: expected a time")
    folder = records.get((row.dataset, row.method, row.seed))
    return FinishedCell(**{**vars(row), "result": result, "folder": folder})


def _records(folder: Path) -> Iterator[tuple[tuple[str, str, int], Path]]:
    for path in sorted(folder.glob("*/*/seed*/cell.json")):
        with suppress(ValueError):
            record = read_record(path.parent)
            yield (record.dataset, record.method, record.seed), path.parent


def _became(key: tuple[str, str, int], folder: Path) -> str:
    name = f"{key[0]} / {key[1]} / seed {key[2]}"
    with suppress(OSError, ValueError):
        error = decode(folder / FAILED, Failure, "a failure").error
        return f"{name} failed: {error.strip().partition(chr(10))[0]}"
    if (folder / RESULT).is_file():
        return f"{name} has a result that the last call of `benchmark` did not join ({RESULTS})"
    return f"{name} is not finished"


COLUMNS = ("Rank-1", "Rank-5", "mAP", "mINP")


@dataclass(frozen=True)
class Row:
    """Line of a method, with one finished cell per seed.

    The kind is "trained", "untrained" or "dump", or empty if no seed is finished. Other methods of
    the data set have the ``missing`` seeds, the baseline has the ``shared`` ones. By metric,
    ``numbers`` are estimates and ``gaps`` points above the baseline; the baseline and a method of
    other queries have no gaps.
    """

    method: str
    kind: str
    cells: tuple[FinishedCell, ...]
    missing: tuple[int, ...]
    numbers: Mapping[str, Estimate]
    gaps: Mapping[str, Estimate]
    shared: tuple[int, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the numbers."""
        return tuple(cell.seed for cell in self.cells)


def make_gap(
    row: MethodRow,
    baseline: MethodRow,
    metric: str,
    groups: str,
    seeds: Mapping[int, tuple[Result, Result]],
) -> Estimate | None:
    """Compare a method with the baseline, query by query; None where the queries differ.

    The metric is a mean over queries. The interval draws and the test flips ``groups``, "query" or
    "identity". ``seeds`` holds results of method and baseline by seed, for seeds that both have.
    """
    ours, theirs = row.per_query(metric), baseline.per_query(metric)
    if ours is None or theirs is None:
        return None
    queries = row.results[0].queries
    place = {name: at for at, name in enumerate(baseline.results[0].queries.names)}
    if place.keys() != set(queries.names):
        return None
    theirs = theirs[[place[name] for name in queries.names]]
    people = drawn_together(queries, groups)
    gap = paired_bootstrap(ours, theirs, groups=people)
    test = sign_flip_test(ours, theirs, groups=people)
    ends = [a.metrics[metric].value - b.metrics[metric].value for a, b in seeds.values()]
    lowest, highest = min(ends, default=None), max(ends, default=None)
    return replace(gap, p=test.p_value, lowest=lowest, highest=highest)


def groups_of(rows: Sequence[MethodRow]) -> str:
    """Return "identity" if all results hold identities, of two people or more; else "query"."""
    people = [one.queries.pids for row in rows for one in row.results]
    known = people and all(one is not None and len(set(one.tolist())) > 1 for one in people)
    return "identity" if known else "query"


# Tables of a data set, one per protocol.


@dataclass(frozen=True)
class Table:
    """Rows with one protocol on a data set, in the order of the plan.

    ``apart`` has one sentence per field that differs from the first table of the data set.
    ``baseline`` is the method for differences; ``by_people`` tells whether intervals draw
    identities instead of single queries.
    """

    dataset: str
    apart: tuple[str, ...]
    baseline: str
    rows: tuple[Row, ...]
    by_people: bool

    @property
    def cells(self) -> list[FinishedCell]:
        """Cells of all rows."""
        return [cell for row in self.rows for cell in row.cells]

    @property
    def more_metrics(self) -> list[str]:
        """Metrics of any row beside ``COLUMNS``."""
        names = dict.fromkeys(name for row in self.rows for name in row.numbers)
        return [name for name in names if name not in COLUMNS]


def make_tables(benchmark: Benchmark, dataset: str, baseline: str | None) -> list[Table]:
    """Return the tables of a data set, one per protocol.

    A table without the ``baseline``, the method for differences, chooses its own.
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
    tables = []
    for group in group_by_protocol(rows, lambda row: row.cards):
        first = choose_baseline([row.method for row in group.rows if row.results], baseline)
        against = next((row for row in group.rows if row.method == first), None)
        groups = groups_of(group.rows)
        made = []
        for row in group.rows:
            missing = tuple(seed for seed in seeds if (row.method, seed) not in results)
            made.append(_row(row, against, groups, cells, missing))
        apart = tuple(words_apart(group.differences))
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
    numbers = {name: row.estimate(name, groups) for name in names}
    gaps, seeds = {}, {}
    if baseline is not None and row is not baseline and ours:
        theirs = {cells[id(one)].seed: one for one in baseline.results}
        seeds = {c.seed: (c.result, theirs[c.seed]) for c in ours if c.seed in theirs}
        known = [name for name in METRICS if numbers.get(name) and baseline.summary(name)]
        gaps = {name: make_gap(row, baseline, name, groups, seeds) for name in known}
    return Row(
        method=row.method,
        kind=ours[0].kind if ours else "",
        cells=ours,
        missing=() if ours and ours[0].kind == "dump" else missing,  # a dump has no seeds
        numbers={name: number for name, number in numbers.items() if number},
        gaps={name: gap for name, gap in gaps.items() if gap},
        shared=tuple(seeds),
    )


def choose_baseline(methods: Sequence[str], asked: str | None) -> str:
    """Return the chosen method, else one with "baseline" in its name, else the first."""
    if asked in methods:
        return str(asked)
    named = [method for method in methods if "baseline" in method.lower()]
    return (named or list(methods) or [""])[0]


# Origin of the numbers: protocol cards, settings, seeds, times.

OWN = ("SEED", "OUTPUT_DIR")  # settings of one seed or folder


def card_lines(table: Table) -> list[tuple[str, str]]:
    """Return every field of the cards; values that differ stand with their owners."""
    cards, lines = {}, []
    for cell in [cell for cell in table.cells if cell.result.card]:
        cards[f"{cell.method}, seed {cell.seed}"] = flat(ProtocolCard.from_json(cell.result.card))
    for name in next(iter(cards.values()), ()):
        owners: dict[str, list[str]] = {}
        for owner, card in cards.items():
            owners.setdefault(worded(name, card[name]), []).append(owner)
        values = list(owners)
        if len(values) > 1 and name != "seed":
            values = [f"{value} ({', '.join(who)})" for value, who in owners.items()]
        lines.append((name, "; ".join(values)))
    return lines


def cell_lines(table: Table) -> list[tuple[str, ...]]:
    """Return method, seed, kind, config, time, end and machine of every cell."""
    lines = []
    for cell in table.cells:
        seconds = "not known" if cell.seconds is None else clock(cell.seconds)
        how = "stopped and resumed" if cell.resumed else "in one go"
        ended = (cell.ended or "not known", cell.machine or "not known")
        lines.append((cell.method, str(cell.seed), cell.kind, cell.source, seconds, how, *ended))
    return lines


def shared_settings(cells: Sequence[FinishedCell]) -> dict[str, Any]:
    """Return config values that all trained and untrained cells share."""
    every = [cell.settings for cell in cells if cell.kind != "dump"] or [{}]
    return {
        key: value
        for key, value in every[0].items()
        if key not in OWN and all(other.get(key, ...) == value for other in every)
    }


def own_settings(cells: Sequence[FinishedCell]) -> dict[str, dict[str, Any]]:
    """Return the config values of every method that not all methods share."""
    hidden, own = {*shared_settings(cells), *OWN}, {}
    for cell in reversed(cells):
        own[cell.method] = {key: one for key, one in cell.settings.items() if key not in hidden}
    return own
