from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval import bootstrap_interval, intervals, paired_bootstrap


def ones_among(count, total):
    return np.arange(total) < count


def test_the_interval_of_occluded_dukes_rank_1_is_the_binomial_1_9_points():
    interval = bootstrap_interval(ones_among(round(0.681 * 2210), 2210))
    assert interval.mean == pytest.approx(0.681, abs=3e-4)
    expected = 1.96 * np.sqrt(0.681 * 0.319 / 2210)  # 0.0194
    assert interval.high - interval.mean == pytest.approx(expected, rel=0.1)
    assert interval.mean - interval.low == pytest.approx(expected, rel=0.1)


def test_equal_values_have_an_interval_of_no_width():
    interval = bootstrap_interval([0.25] * 20)
    assert (interval.mean, interval.low, interval.high, interval.level) == (0.25, 0.25, 0.25, 0.95)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(0).random(50)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    drawn = [bootstrap_interval(rng.random(80) < 0.6, resamples=300) for _ in range(200)]
    covered = np.mean([interval.low <= 0.6 <= interval.high for interval in drawn])
    assert 0.89 <= covered <= 0.99


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(2).random(60)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_drawing_in_blocks_gives_the_same_interval(monkeypatch):
    values = np.random.default_rng(3).random(60)
    whole = bootstrap_interval(values)
    monkeypatch.setattr(intervals, "_BLOCK_ELEMENTS", 1000)
    assert bootstrap_interval(values) == whole


def test_pairs_stay_together_so_that_hard_queries_cancel_out():
    hard = np.random.default_rng(4).random(100)
    interval = paired_bootstrap(hard + 0.05, hard)
    assert interval.low == pytest.approx(0.05) and interval.high == pytest.approx(0.05)
    alone = bootstrap_interval(hard)
    assert alone.high - alone.low > 0.05


def test_the_difference_is_the_first_minus_the_second():
    interval = paired_bootstrap([1, 1, 1, 0], [0, 0, 1, 0])
    assert interval.mean == 0.5 and interval.low >= 0


def test_with_groups_whole_identities_are_drawn_as_in_a_slow_loop():
    values, groups = np.array([1.0, 0, 0, 1, 1, 0.5]), np.array(["b", "a", "b", "c", "c", "c"])
    drawn = np.random.default_rng(5).integers(3, size=(400, 3))
    means = [
        np.mean(np.concatenate([values[groups == "abc"[place]] for place in row])) for row in drawn
    ]
    interval = bootstrap_interval(values, groups=groups, resamples=400, seed=5)
    assert interval.mean == values.mean()
    np.testing.assert_allclose(
        [interval.low, interval.high], np.quantile(means, [0.025, 0.975]), rtol=0, atol=1e-12
    )


def test_groups_of_one_query_each_change_nothing():
    values = np.random.default_rng(6).random(60)
    alone = bootstrap_interval(values)
    each = bootstrap_interval(values, groups=np.arange(60))
    assert (each.low, each.high) == pytest.approx((alone.low, alone.high), abs=1e-12)


def test_for_alike_queries_of_one_identity_only_the_grouped_interval_keeps_its_promise():
    rng = np.random.default_rng(7)
    groups, covered = np.arange(40).repeat(5), {True: 0, False: 0}
    for _ in range(100):
        values = rng.normal(size=40).repeat(5)  # five queries that say the same
        for grouped in covered:
            interval = bootstrap_interval(values, groups=groups if grouped else None, resamples=300)
            covered[grouped] += interval.low <= 0 <= interval.high
    assert covered[True] >= 87 and covered[False] <= 75


@pytest.mark.parametrize(
    ("queries", "identities", "level", "ends"),
    [
        (10, None, 0.95, (38.616332500000006, 75.60848749999997)),
        (200, None, 0.9, (47.98008925, 54.55921625)),
        (200, 17, 0.95, (47.66384547817047, 55.03180016729081)),
        (2500, 300, 0.99, (49.54900027814127, 52.64088835964088)),
    ],
)
def test_an_interval_of_an_older_version_comes_again_to_the_last_digit(
    queries, identities, level, ends
):
    rng = np.random.default_rng(queries)
    values = (rng.random(queries) * 100).round(3)
    groups = None if identities is None else rng.integers(identities, size=queries)
    interval = bootstrap_interval(values, groups=groups, level=level, seed=3)
    assert (interval.low, interval.high) == ends


def test_one_query_has_an_interval_of_no_width():
    assert bootstrap_interval([0.5]).interval == (0.5, 0.5)


def test_pairs_are_grouped_too():
    difficulty = np.random.default_rng(8).normal(size=20).repeat(10)
    alone = paired_bootstrap(difficulty, np.zeros(200))
    together = paired_bootstrap(difficulty, np.zeros(200), groups=np.arange(20).repeat(10))
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert together.mean == alone.mean


def test_groups_that_do_not_fit_or_do_not_differ_are_refused():
    with pytest.raises(ValueError, match=r"groups has shape \(2,\): expected \(3,\), the identity"):
        bootstrap_interval([1, 2, 3], groups=[1, 2])
    with pytest.raises(
        ValueError, match=r"groups holds one group, .*expected at least 2.*try grou"
    ):
        bootstrap_interval([1, 2, 3], groups=[7, 7, 7])


def test_pairs_of_different_length_are_refused():
    with pytest.raises(ValueError, match="a has 3 queries and b 2: expected the same queries"):
        paired_bootstrap([1, 2, 3], [1, 2])


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_values_that_are_no_list_of_numbers_are_refused(values):
    with pytest.raises(ValueError, match=r"per_query_values has shape .*expected \(V,\)"):
        bootstrap_interval(values)


def test_a_nan_among_the_values_is_refused():
    with pytest.raises(ValueError, match="per_query_values holds NaN"):
        bootstrap_interval([0.5, float("nan")])


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(ValueError, match="expected a share between 0 and 1"):
        bootstrap_interval([1.0], level=level)


def test_no_resamples_are_refused():
    with pytest.raises(ValueError, match="resamples=0: expected at least 1"):
        bootstrap_interval([1.0], resamples=0)
