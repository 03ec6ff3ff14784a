"""Numbers of tables: means over seeds, intervals over people, differences that are paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.report.tables import choose_baseline, make_tables
from fed_plugin.retrieval.intervals import paired_bootstrap
from fed_plugin.retrieval.result import Queries


@pytest.fixture
def cells(benchmark):
    return {(cell.method, cell.seed): cell for cell in benchmark.cells}


@pytest.fixture
def tables(benchmark):
    return make_tables(benchmark, "SynthOcc", None)


def test_numbers_are_means_and_ranges_over_seeds(tables, cells):
    number = tables[0].rows[1].numbers["mAP"]
    values = [cells["FED", seed].result.metrics["mAP"].value for seed in range(3)]
    assert number.mean == pytest.approx(np.mean(values))
    assert (number.lowest, number.highest) == (min(values), max(values))
    assert number.low < number.mean < number.high


def test_a_difference_pairs_queries_averaged_over_seeds_and_draws_people(tables, cells, benchmark):
    gap = tables[0].rows[1].gaps["mAP"]
    ours, theirs = (
        np.mean([cells[name, s].result.queries.percentages("mAP") for s in range(3)], axis=0)
        for name in ("FED", "ViT baseline")
    )
    people = np.repeat(np.arange(8), 2)
    expected = paired_bootstrap(ours, theirs, groups=people)
    assert tables[0].by_people
    assert (gap.value, gap.low, gap.high) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    assert gap.excludes_zero and gap.p < 0.05 and tables[0].rows[1].shared == (0, 1, 2)
    assert gap.lowest <= gap.value <= gap.highest


def test_a_method_is_compared_on_the_seeds_that_both_have(tables):
    row = tables[0].rows[2]
    assert row.seeds == (0, 1) and row.missing == (2,) and row.shared == (0, 1)


def test_the_baseline_has_no_difference_to_itself(tables):
    assert tables[0].baseline == "ViT baseline" and not tables[0].rows[0].gaps
    assert tables[1].baseline == "large" and not tables[1].rows[0].gaps


def test_the_order_of_queries_does_not_matter(benchmark, cells):
    cell = cells["FED", 1]
    queries = cell.result.queries
    turned = Queries(**{key: values[::-1] for key, values in vars(queries).items()})
    other = replace(cell, result=replace(cell.result, queries=turned))
    changed = replace(
        benchmark, cells=tuple(other if one is cell else one for one in benchmark.cells)
    )
    a, b = (make_tables(one, "SynthOcc", None)[0].rows[1] for one in (benchmark, changed))
    assert a.gaps["mAP"] == b.gaps["mAP"] and a.numbers["mAP"] == b.numbers["mAP"]


def test_other_queries_give_no_difference(benchmark, cells):
    cell = cells["FED", 1]
    names = ("another.jpg", *cell.result.queries.names[1:])
    queries = replace(cell.result.queries, names=names)
    other = replace(cell, result=replace(cell.result, queries=queries))
    changed = replace(
        benchmark, cells=tuple(other if one is cell else one for one in benchmark.cells)
    )
    row = make_tables(changed, "SynthOcc", None)[0].rows[1]
    assert not row.gaps and row.numbers["mAP"].low is None


@pytest.mark.parametrize(
    ("methods", "asked", "chosen"),
    [
        (["A", "My Baseline", "C"], None, "My Baseline"),
        (["A", "My Baseline", "C"], "C", "C"),
        (["A", "B"], "elsewhere", "A"),
        ([], None, ""),
    ],
)
def test_the_baseline_of_a_table(methods, asked, chosen):
    assert choose_baseline(methods, asked) == chosen


def test_results_that_do_not_say_whose_queries_they_are_draw_queries(benchmark):
    cells = []
    for cell in benchmark.cells:
        queries = replace(cell.result.queries, pids=None)
        cells.append(replace(cell, result=replace(cell.result, queries=queries)))
    old = make_tables(replace(benchmark, cells=tuple(cells)), "SynthOcc", None)[0]
    new = make_tables(benchmark, "SynthOcc", None)[0]
    assert new.by_people and not old.by_people
    a, b = (table.rows[1].gaps["mAP"] for table in (old, new))
    assert a.value == pytest.approx(b.value) and a.low != b.low
