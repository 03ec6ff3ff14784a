"""The numbers of a table: means over seeds, intervals over queries, differences to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.cli.report.benchmark_folder import FinishedCell
from fed_plugin.retrieval.intervals import bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.method_rows import MethodRow
from fed_plugin.retrieval.paired_tests import sign_flip_test
from fed_plugin.retrieval.seeds import summarize_seeds

COLUMNS = ("Rank-1", "Rank-5", "mAP", "mINP")


@dataclass(frozen=True)
class Number:
    """Hold a metric of a method, in per cent.

    Attributes:
        mean: over seeds.
        lowest: of the seeds.
        highest: of the seeds.
        low: lower end of the interval over queries of the mean; None if the seeds' queries differ.
        high: its upper end.
    """

    mean: float
    lowest: float
    highest: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Gap:
    """Hold how many points a method is above its table's baseline.

    Attributes:
        value: mean over seeds and queries.
        low: lower end of the interval over queries.
        high: its upper end.
        p_value: of the sign-flip test.
        seeds: those that both methods have.
        lowest: smallest difference of one seed; None if no seed is shared.
        highest: largest one.
    """

    value: float
    low: float
    high: float
    p_value: float
    seeds: tuple[int, ...] = ()
    lowest: float | None = None
    highest: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the draw of queries does not explain the difference."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Row:
    """Hold a method's line.

    Attributes:
        method: its name.
        kind: "trained", "untrained" or "dump"; empty if no seed is finished.
        cells: finished, one per seed.
        missing: seeds that other methods of the data set have and this one lacks.
        numbers: by metric.
        gaps: by metric; empty for the baseline and for other queries than its.
    """

    method: str
    kind: str
    cells: tuple[FinishedCell, ...]
    missing: tuple[int, ...]
    numbers: Mapping[str, Number]
    gaps: Mapping[str, Gap]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds behind the numbers."""
        return tuple(cell.seed for cell in self.cells)


@dataclass(frozen=True)
class PerQuery:
    """What the seeds of a method say of each query, in the mean over seeds.

    Attributes:
        names: of the queries, V of them.
        values: (V,) percentages by metric.
        people: (V,) identities that queries are drawn by; None draws every query by itself.
    """

    names: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    people: NDArray[np.int64] | None = None


def per_query(cells: Sequence[FinishedCell], people: Mapping[str, int]) -> PerQuery | None:
    """Average what became of each query over seeds.

    Args:
        cells: of one method and protocol.
        people: identities by name of the query; those of any query missing, none is used.

    Returns:
        None if the seeds ranked different queries.
    """
    names = cells[0].result.queries.names
    orders = []
    for cell in cells:
        place = {name: row for row, name in enumerate(cell.result.queries.names)}
        if place.keys() != set(names):
            return None
        orders.append(np.array([place[name] for name in names]))
    values = {
        metric: np.mean(
            [
                cell.result.queries.percentages(metric)[order]
                for cell, order in zip(cells, orders, strict=True)
            ],
            axis=0,
        )
        for metric in COLUMNS
    }
    known = [people[name] for name in names if name in people]
    grouped = len(known) == len(names) and len(set(known)) > 1
    return PerQuery(names, values, np.array(known) if grouped else None)


def make_number(row: MethodRow, metric: str, queries: PerQuery | None) -> Number | None:
    """Summarize a metric; None if a seed lacks it."""
    seeds = row.summary(metric)
    if seeds is None:
        return None
    if queries is None:
        return Number(seeds.mean, seeds.lowest, seeds.highest)
    interval = bootstrap_interval(queries.values[metric], groups=queries.people)
    return Number(seeds.mean, seeds.lowest, seeds.highest, interval.low, interval.high)


def make_gap(
    ours: Sequence[FinishedCell],
    theirs: Sequence[FinishedCell],
    metric: str,
    queries: PerQuery,
    baseline: PerQuery,
) -> Gap | None:
    """Compare a method with the baseline on the same queries; None where they are not the same."""
    place = {name: row for row, name in enumerate(baseline.names)}
    if place.keys() != set(queries.names):
        return None
    a = queries.values[metric]
    b = baseline.values[metric][[place[name] for name in queries.names]]
    interval = paired_bootstrap(a, b, groups=queries.people)
    test = sign_flip_test(a, b, groups=queries.people)
    values = {cell.seed: cell.result.metrics[metric].value for cell in theirs}
    by_seed = {
        cell.seed: cell.result.metrics[metric].value - values[cell.seed]
        for cell in ours
        if cell.seed in values
    }
    seeds = summarize_seeds(list(by_seed.values())) if by_seed else None
    return Gap(
        *(interval.mean, interval.low, interval.high, test.p_value, tuple(by_seed)),
        lowest=seeds and seeds.lowest,
        highest=seeds and seeds.highest,
    )
