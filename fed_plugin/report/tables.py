"""The numbers of a table: means over seeds, intervals over queries, differences to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fed_plugin.cli.report.benchmark_folder import FinishedCell
from fed_plugin.retrieval.evaluation import drawn_together
from fed_plugin.retrieval.intervals import paired_bootstrap
from fed_plugin.retrieval.method_rows import MethodRow
from fed_plugin.retrieval.paired_tests import sign_flip_test
from fed_plugin.retrieval.result import Result
from fed_plugin.retrieval.seeds import summarize_seeds

COLUMNS = ("Rank-1", "Rank-5", "mAP", "mINP")


@dataclass(frozen=True)
class Number:
    """Hold a metric of a method, in per cent.

    Attributes:
        mean: over seeds.
        lowest: of the seeds.
        highest: of the seeds.
        low: lower end of the interval over queries of that mean; None if there is none.
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


def make_number(row: MethodRow, metric: str, groups: str) -> Number | None:
    """Summarize a metric; None if a seed lacks it.

    Args:
        row: of a method, with results.
        metric: a key of ``Result.metrics``.
        groups: what the interval draws, "query" or "identity".
    """
    seeds = row.summary(metric)
    if seeds is None:
        return None
    interval = row.over_queries(metric, groups)
    ends = (interval.low, interval.high) if interval else None
    if interval is None and seeds.count == 1:
        ends = row.results[0].metrics[metric].interval
    return Number(seeds.mean, seeds.lowest, seeds.highest, *(ends or ()))


def make_gap(
    row: MethodRow,
    baseline: MethodRow,
    metric: str,
    groups: str,
    seeds: Mapping[int, tuple[Result, Result]],
) -> Gap | None:
    """Compare a method with the baseline, query by query; None where queries are not the same.

    Args:
        row: of a method, with results.
        baseline: another one.
        metric: one that is a mean over queries.
        groups: what the interval draws and the test flips.
        seeds: results of the method and of the baseline, by seed, where both have one.
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
    interval = paired_bootstrap(ours, theirs, groups=people)
    test = sign_flip_test(ours, theirs, groups=people)
    pairs = [(a.metrics[metric].value, b.metrics[metric].value) for a, b in seeds.values()]
    spread = summarize_seeds([a - b for a, b in pairs]) if pairs else None
    return Gap(
        *(interval.mean, interval.low, interval.high, test.p_value, tuple(seeds)),
        lowest=spread and spread.lowest,
        highest=spread and spread.highest,
    )


def groups_of(rows: Sequence[MethodRow]) -> str:
    """Return "identity" if all results say whose queries they are, of two people or more."""
    people = [one.queries.pids for row in rows for one in row.results]
    known = people and all(one is not None and len(set(one.tolist())) > 1 for one in people)
    return "identity" if known else "query"
