"""Intervals of TPR@FPR and DIR@FAR: resampled identity by identity, the threshold chosen anew."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval import identify_open_set, leave_identities_out, thresholds
from fed_plugin.retrieval.thresholds import (
    Pairs,
    open_set_intervals,
    verification_intervals,
    verify_pairs,
)

RATES = (0.02, 0.1, 0.5)


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(thresholds, "RESAMPLES", 20)
    return 20


def slow_share(errors, hits, rate):
    """Return the largest share of hits at any threshold that accepts so few errors, by trying."""
    best = 0.0
    for threshold in (*errors, *hits):  # accepted: at most as far as it
        if np.mean(np.array(errors) <= threshold) <= rate + 1e-12:
            best = max(best, np.mean(np.array(hits) <= threshold))
    return best


def drawn(generator, count, resamples):
    return generator.multinomial(count, np.full(count, 1 / count), resamples)


def ends(values):
    return pytest.approx(tuple(np.quantile(values, [0.025, 0.975])), abs=1e-12)


@pytest.mark.parametrize("steps", [0, 12])
def test_verification_equals_a_slow_loop_over_resamples(draw_case, few_resamples, steps):
    case = draw_case(0, queries=15, gallery=40, pids=6, cameras=3, steps=steps)
    distmat, q_pids, g_pids, q_camids, g_camids = case
    names = np.unique(q_pids)
    right, wrong = {}, {}
    for name in names:
        rows = [(q, g) for q in np.flatnonzero(q_pids == name) for g in range(40)]
        wrong[name] = [distmat[q, g] for q, g in rows if g_pids[g] != name]
        right[name] = [
            distmat[q, g] for q, g in rows if g_pids[g] == name and q_camids[q] != g_camids[g]
        ]
    found = {rate: [] for rate in RATES}
    for times in drawn(np.random.default_rng(3), len(names), few_resamples):
        some = [name for name, count in zip(names, times, strict=True) for _ in range(count)]
        for rate in RATES:
            pools = ([d for name in some for d in side[name]] for side in (wrong, right))
            found[rate].append(slow_share(*pools, rate))
    intervals = verification_intervals(Pairs(*case), RATES, seed=3)
    for rate, interval in zip(RATES, intervals, strict=True):
        assert interval == ends(found[rate])
        (value,) = verify_pairs(*case, [rate]).true_positive_rates
        assert interval[0] <= value <= interval[1]


@pytest.mark.parametrize("max_rank", [1, 3])
def test_an_open_set_equals_a_slow_loop_over_resamples(draw_case, few_resamples, max_rank):
    case = list(draw_case(1, queries=30, gallery=60, pids=8, cameras=3, steps=20))
    kept = leave_identities_out(case[1], case[2])
    case = case[0][:, kept], case[1], case[2][kept], case[3], case[4][kept]
    result = identify_open_set(*case, RATES, max_rank)
    q_pids = case[1]
    generator = np.random.default_rng(0)
    sides = []
    for rows, distances in (
        (result.unmated_queries, result.alarm_distances),
        (result.mated_queries, result.answer_distances),
    ):
        names = np.unique(q_pids[rows])
        pools = [distances[q_pids[rows] == name].tolist() for name in names]
        times = drawn(generator, len(names), few_resamples)
        sides.append([[d for p, n in zip(pools, row, strict=True) for d in p * n] for row in times])
    intervals = open_set_intervals(result, q_pids)
    for rate, value, interval in zip(RATES, result.detection_rates, intervals, strict=True):
        shares = [slow_share(alarms, answers, rate) for alarms, answers in zip(*sides, strict=True)]
        assert interval == ends(shares)
        assert interval[0] - 1e-9 <= value <= interval[1] + 1e-9


def test_the_distances_of_an_open_set_are_those_behind_its_rates(draw_case):
    case = draw_case(2, queries=30, gallery=60, pids=40, cameras=2)
    result = identify_open_set(*case, RATES)
    assert np.isinf(result.answer_distances).any(), "a first image that is wrong is no answer"
    for threshold, identified, reached in zip(
        result.thresholds, result.identified, result.reached_rates, strict=True
    ):
        np.testing.assert_array_equal(result.answer_distances < threshold, identified)
        assert np.mean(result.alarm_distances < threshold) == pytest.approx(reached)


def test_a_thinned_list_of_thresholds_stays_close(draw_case, monkeypatch):
    case = draw_case(4, queries=60, gallery=200, pids=12, cameras=3)
    case = (case[0] - 0.3 * (case[1][:, None] == case[2]), *case[1:])
    (exact,) = verification_intervals(Pairs(*case), [0.1])
    monkeypatch.setattr(thresholds, "_THRESHOLDS", 200)
    (thinned,) = verification_intervals(Pairs(*case), [0.1])
    assert thinned != exact
    assert thinned == pytest.approx(exact, abs=0.01)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(thresholds, "RESAMPLES", 200)
    rng = np.random.default_rng(5)
    covered = []
    for _ in range(100):
        people = np.repeat(np.arange(40), 3)
        quality = np.repeat(rng.normal(0, 0.5, 40), 3)  # the queries of one person are alike
        gallery = np.arange(40)
        distmat = rng.normal(size=(120, 40))
        distmat[people[:, None] == gallery] -= (2 + quality).astype(float)
        case = distmat, people, gallery, np.zeros(120, int), np.ones(40, int)
        ((low, high),) = verification_intervals(Pairs(*case), [0.1])
        # right: N(-2, 1.25) below the 0.1 quantile of N(0, 1), -1.2816
        covered.append(low <= 0.7395 <= high)
    assert 0.86 <= np.mean(covered) <= 1


def test_one_identity_has_no_interval(draw_case):
    distmat, _, g_pids, _, g_camids = draw_case(6, queries=4, gallery=40, pids=3, cameras=2)
    case = distmat, np.zeros(4, int), g_pids, np.full(4, 9), g_camids
    assert verification_intervals(Pairs(*case), RATES) == [None] * 3
    pids = np.array([0, 0, 50, 51])
    result = identify_open_set(distmat, pids, g_pids, case[3], g_camids, RATES)
    assert open_set_intervals(result, pids) == [None] * 3


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(draw_case):
    pairs = Pairs(*draw_case(7, queries=30, gallery=60, pids=8, cameras=3))
    first = verification_intervals(pairs, [0.1])
    assert verification_intervals(pairs, [0.1]) == first
    assert verification_intervals(pairs, [0.1], seed=1) != first


def test_equal_distances_are_not_kept_one_by_one(draw_case, monkeypatch):
    kept = []
    distances = thresholds.Distances
    monkeypatch.setattr(thresholds, "Distances", lambda *a: kept.append(distances(*a)) or kept[-1])
    distmat, *labels = draw_case(8, queries=30, gallery=60, pids=8, cameras=3)
    assert verification_intervals(Pairs(distmat * 0, *labels), [0.1]) == [(0.0, 0.0)]
    right, wrong = kept
    assert wrong.values.size == 0 and wrong.totals.sum() == (labels[0][:, None] != labels[1]).sum()
    assert right.values.size == right.totals.sum() > 0
