from __future__ import annotations

import statistics

import numpy as np
import pytest
from scipy import stats

from fed_plugin.retrieval import summarize_seeds


def test_three_seeds_by_hand():
    summary = summarize_seeds([68.1, 66.9, 67.5])
    assert (summary.count, summary.lowest, summary.highest) == (3, 66.9, 68.1)
    assert summary.mean == pytest.approx(67.5)
    assert summary.sd == pytest.approx(0.6) == statistics.stdev([68.1, 66.9, 67.5])
    half = 4.3026527 * 0.6 / 3**0.5  # t of a table: two-sided 95 %, two degrees of freedom
    assert summary.interval.low == pytest.approx(67.5 - half)
    assert summary.interval.high == pytest.approx(67.5 + half)
    assert (summary.interval.mean, summary.interval.level) == (summary.mean, 0.95)


@pytest.mark.parametrize("level", [0.001, 0.5, 0.9, 0.95, 0.99, 0.9999])
@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 30, 999])
def test_the_interval_is_that_of_students_t(level, degrees):
    values = np.random.default_rng(degrees).normal(size=degrees + 1)
    interval = summarize_seeds(values, level=level).interval
    assert (interval.low, interval.high) == pytest.approx(
        stats.t.interval(level, degrees, values.mean(), stats.sem(values)), rel=1e-8
    )


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [summarize_seeds(rng.normal(5, 2, size=3)).interval for _ in range(600)]
    covered = np.mean([interval.low <= 5 <= interval.high for interval in intervals])
    assert 0.92 <= covered <= 0.98


def test_one_seed_has_a_mean_and_no_spread():
    summary = summarize_seeds([68.1])
    assert (summary.count, summary.mean, summary.lowest, summary.highest) == (1, 68.1, 68.1, 68.1)
    assert summary.sd is None and summary.interval is None


def test_equal_seeds_have_an_interval_of_no_width():
    interval = summarize_seeds([0.5, 0.5]).interval
    assert (interval.low, interval.high) == (0.5, 0.5)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, float("nan")]])
def test_values_that_are_no_list_of_numbers_are_refused(values):
    with pytest.raises(ValueError, match=r"values (has shape|holds NaN)"):
        summarize_seeds(values)


def test_a_level_that_is_no_share_is_refused_even_for_one_seed():
    with pytest.raises(ValueError, match="level=95: expected a share between 0 and 1"):
        summarize_seeds([1.0], level=95)
