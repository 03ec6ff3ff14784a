"""The content of a report, before any file is written."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fed_plugin import __version__
from fed_plugin.costs.command import FILE, Costs, load_costs
from fed_plugin.report import grids
from fed_plugin.report.curves import Robustness, Visible, read_robustness, visible_of
from fed_plugin.report.failures import Failures, find_failures, visible_shares
from fed_plugin.report.grids import Grid
from fed_plugin.report.tables import Benchmark, Table, make_tables
from fed_plugin.visualization.lines import styles_of

TRY_ROBUSTNESS = "`fed-plugin robustness --benchmark OUT` measures them"


@dataclass(frozen=True)
class TableReport:
    """Everything about one table: the methods of a data set with one protocol.

    ``visible`` is empty where the data set has no visible shares; ``styles`` holds the style of
    every method of the benchmark.
    """

    table: Table
    failures: Failures
    robustness: Robustness
    visible: Visible
    styles: Mapping[str, int]

    @property
    def title(self) -> str:
        """Heading of the table."""
        return self.table.dataset + (", another protocol" if self.table.apart else "")

    @property
    def apart(self) -> str:
        """Sentence why the table stands by itself; empty for the first table of a data set."""
        why = "; ".join(self.table.apart)
        return f"Not to be compared with the first table: {why}." if why else ""

    @property
    def grids(self) -> list[Grid]:
        """The tables that a report without figures holds."""
        every = [grids.metrics(self.table), grids.gaps(self.table)]
        every.append(grids.visible(self.visible, self.table))
        every += [of(self.robustness, self.table) for of in (grids.areas, grids.area_gaps)]
        return [grid for grid in every if grid]


@dataclass(frozen=True)
class Report:
    """Content of a report about a benchmark, with sentences about missing parts.

    Tables are in the order of the plan, several per data set if protocols differ. Costs are None
    where not known. The report was ``written`` at a time in UTC, by a version of the plugin on a
    machine.
    """

    benchmark: Benchmark
    tables: tuple[TableReport, ...]
    costs: Costs | None
    missing: tuple[str, ...]
    written: datetime.datetime
    written_by: str

    @property
    def origin(self) -> str:
        """Sentence about the times of the measurement and of the report."""
        return (
            f"Measured until {self.benchmark.written:%Y-%m-%d %H:%M} UTC. Report of "
            f"{self.written:%Y-%m-%d %H:%M} UTC by {self.written_by}."
        )


def make_report(benchmark: Benchmark, baseline: str | None = None) -> Report:
    """Compute the content of a report; without a baseline, each table chooses its own.

    Raises:
        ValueError: No method has the name of the baseline.
    """
    methods = dict.fromkeys(cell.method for cell in benchmark.cells)
    if baseline is not None and baseline not in methods:
        raise ValueError(
            f"--baseline {baseline}: no finished cell is of that method; expected one of "
            f"{', '.join(methods)}"
        )
    missing = list(benchmark.unfinished)
    reports: list[TableReport] = []
    for dataset in dict.fromkeys(cell.dataset for cell in benchmark.cells):
        tables, absent = _dataset(benchmark, dataset, baseline)
        reports += tables
        missing += absent
    costs, why_not = read_costs(benchmark.folder)
    missing += filter(None, [why_not])
    now = datetime.datetime.now(datetime.UTC)
    by = f"fed_plugin {__version__}, Python {platform.python_version()} on {platform.machine()}"
    return Report(benchmark, tuple(reports), costs, tuple(missing), now, by)


def _dataset(
    benchmark: Benchmark, dataset: str, baseline: str | None
) -> tuple[list[TableReport], list[str]]:
    """Return the tables of a data set, and sentences about absent parts."""
    tables = make_tables(benchmark, dataset, baseline)
    missing = _lacking_seeds(tables, benchmark)
    failures = [find_failures(table) for table in tables]
    missing += dict.fromkeys(one.why_not for one in failures if one.why_not)
    robustness = [read_robustness(table) for table in tables]
    missing += [sentence for one in robustness for sentence in one.left_out]
    if not any(one.rows for one in robustness):
        missing.append(f"{dataset}: no robustness curves ({TRY_ROBUSTNESS})")
    visible = [Visible() for _ in tables]
    try:
        if shares := visible_shares(dataset):
            visible = [visible_of(table, shares) for table in tables]
    except ValueError as error:
        missing.append(f"{dataset}: no results by visible share: {error}")
    styles = styles_of(cell.method for cell in benchmark.cells)
    parts = zip(tables, failures, robustness, visible, strict=True)
    return [TableReport(*one, styles) for one in parts], missing


def read_costs(folder: Path) -> tuple[Costs | None, str]:
    """Read the costs in the folder of a benchmark; return a sentence too if there are none."""
    path = folder / FILE
    if not path.is_file():
        return None, f"costs: no {FILE}; `fed-plugin costs` measures them"
    try:
        return load_costs(path), ""
    except (OSError, ValueError) as error:
        return None, f"costs: {FILE} cannot be read ({error!s:.200})"


def _lacking_seeds(tables: list[Table], benchmark: Benchmark) -> list[str]:
    """Return sentences about seeds that other methods have; cells that were begun do not count."""
    lacking: dict[str, list[int]] = {}
    for table in tables:
        absent = [(table.dataset, row.method, seed) for row in table.rows for seed in row.missing]
        for dataset, method, seed in (cell for cell in absent if cell not in benchmark.wanted):
            lacking.setdefault(f"{dataset} / {method}", []).append(seed)
    sentences = []
    for name, seeds in lacking.items():
        which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        sentences.append(f"{name}: {which}, which other methods have")
    return sentences
