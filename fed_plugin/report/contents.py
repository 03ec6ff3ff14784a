"""What a report says, before anybody writes it down."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin import __version__
from fed_plugin.costs.command import FILE, FORMAT, costs_lines, notes
from fed_plugin.report.curves import Robustness, Visible, read_robustness, styles_of, visible_of
from fed_plugin.report.failures import Failures, find_failures, visible_shares
from fed_plugin.report.tables import Benchmark, Table, make_tables

# Cost columns of the report, from ``costs.json``.


@dataclass(frozen=True)
class Costs:
    """Hold the table of costs.

    Attributes:
        lines: a method each, under the header of ``costs_table``; empty if there are none.
        notes: what a reader has to know of it.
        content: of the file.
        why_not: a sentence if there are none.
    """

    lines: tuple[tuple[str, ...], ...] = ()
    notes: str = ""
    content: Mapping[str, Any] | None = None
    why_not: str = ""


def read_costs(folder: Path) -> Costs:
    """Read the costs that lie in a benchmark's folder."""
    path = folder / FILE
    if not path.is_file():
        return Costs(why_not=f"costs: no {FILE}; `fed-plugin costs` measures them")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT!r}")
        lines = tuple(map(tuple, costs_lines(content)))
        return Costs(lines, notes(content), content)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Costs(why_not=f"costs: {FILE} cannot be read ({error!r:.120})")


def _refuse(constant: str) -> None:
    raise ValueError(f"a number is {constant}")


TRY_ROBUSTNESS = "`fed-plugin robustness --benchmark OUT` measures them"


@dataclass(frozen=True)
class DatasetReport:
    """Hold what is said of a data set.

    Attributes:
        name: of the data set.
        tables: one per protocol.
        failures: as many.
        robustness: as many.
        visible: as many; results by visible share, empty where the set does not say it.
        styles: of methods in figures.
    """

    name: str
    tables: tuple[Table, ...]
    failures: tuple[Failures, ...]
    robustness: tuple[Robustness, ...]
    visible: tuple[Visible, ...]
    styles: Mapping[str, int]


@dataclass(frozen=True)
class Report:
    """Hold everything that the files say.

    Attributes:
        benchmark: it is about.
        datasets: in the plan's order.
        costs: of the methods.
        missing: sentences about what is not there.
        written: when the report was made, in UTC.
        written_by: version of the plugin and the machine that made the report.
    """

    benchmark: Benchmark
    datasets: tuple[DatasetReport, ...]
    costs: Costs
    missing: tuple[str, ...]
    written: datetime.datetime
    written_by: str


def make_report(benchmark: Benchmark, baseline: str | None = None) -> Report:
    """Compute what a report says.

    Args:
        benchmark: what is in a folder.
        baseline: method that differences are to; None leaves it to each table.

    Raises:
        ValueError: No method has the baseline's name.
    """
    methods = dict.fromkeys(cell.method for cell in benchmark.cells)
    if baseline is not None and baseline not in methods:
        raise ValueError(
            f"--baseline {baseline}: no finished cell is of that method; expected one of "
            f"{', '.join(methods)}"
        )
    missing = list(benchmark.unfinished)
    datasets = []
    for name in dict.fromkeys(cell.dataset for cell in benchmark.cells):
        tables = make_tables(benchmark, name, baseline)
        missing += _lacking_seeds(tables, benchmark)
        failures = tuple(find_failures(table) for table in tables)
        missing += dict.fromkeys(one.why_not for one in failures if one.why_not)
        robustness = tuple(read_robustness(table) for table in tables)
        missing += [sentence for one in robustness for sentence in one.left_out]
        if not any(one.rows for one in robustness):
            missing.append(f"{name}: no robustness curves ({TRY_ROBUSTNESS})")
        visible, words = _by_visible_share(name, tables)
        missing += words
        datasets.append(
            DatasetReport(name, tuple(tables), failures, robustness, visible, styles_of(tables))
        )
    costs = read_costs(benchmark.folder)
    missing += [costs.why_not] if costs.why_not else []
    return Report(
        benchmark,
        tuple(datasets),
        costs,
        tuple(missing),
        datetime.datetime.now(datetime.timezone.utc),
        f"fed_plugin {__version__}, Python {platform.python_version()} on {platform.machine()}",
    )


def _by_visible_share(dataset: str, tables: list[Table]) -> tuple[tuple[Visible, ...], list[str]]:
    """Return results by visible share of each table, and why not if the side file does not fit."""
    try:
        shares = visible_shares(dataset)
        return tuple(visible_of(table, shares) if shares else Visible() for table in tables), []
    except ValueError as error:
        why = f"{dataset}: no results by visible share: {error}"
        return tuple(Visible() for _ in tables), [why]


def _lacking_seeds(tables: list[Table], benchmark: Benchmark) -> list[str]:
    """Say which seeds a method lacks that others have, but for those that were begun."""
    lacking = {}
    for table in tables:
        for row in table.rows:
            begun = [(table.dataset, row.method, seed) in benchmark.wanted for seed in row.missing]
            seeds = [s for s, said in zip(row.missing, begun, strict=True) if not said]
            if seeds:
                lacking[table.dataset, row.method] = seeds
    return [
        f"{dataset} / {method}: seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, which "
        "other methods have"
        for (dataset, method), seeds in lacking.items()
    ]
