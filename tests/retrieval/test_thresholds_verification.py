from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval import thresholds, verify_pairs

RATES = (1e-4, 1e-3, 1e-2)


def slow_verification(distmat, q_pids, g_pids, q_camids, g_camids, rate):
    """Return (TPR, FPR reached), trying every threshold there is."""
    right, wrong = [], []
    for q in range(len(q_pids)):
        for g in range(len(g_pids)):
            if q_pids[q] != g_pids[g]:
                wrong.append(float(distmat[q][g]))
            elif q_camids[q] != g_camids[g]:
                right.append(float(distmat[q][g]))
    if not right or not wrong:
        return None
    best = (0.0, 0.0)
    for threshold in (*right, *wrong):  # accepted: at most as far as it
        false = sum(d <= threshold for d in wrong)
        true = sum(d <= threshold for d in right)
        if Fraction(false, len(wrong)) <= Fraction(repr(rate)):
            best = max(best, (true / len(right), false / len(wrong)))
    return best


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_rates_are_those_of_a_slow_loop_over_the_definition(draw_case, dtype):
    case = draw_case(0, queries=12, gallery=30, pids=6, cameras=3, dtype=dtype)
    rates = (0, 0.003, 0.05, 0.5, 0.9)
    result = verify_pairs(*case, rates)
    slow = [slow_verification(*case, rate) for rate in rates]
    found = zip(result.true_positive_rates, result.reached_rates, strict=True)
    np.testing.assert_allclose(list(found), slow)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_small_case_with_ties_equals_the_slow_loop(small_cases, data):
    case = data.draw(small_cases)
    rate = data.draw(st.sampled_from([0.0, 0.1, 0.29, 1 / 3, 0.5, 0.75, 1.0]))
    slow = slow_verification(*case, rate)
    if slow is None:
        with pytest.raises(ValueError, match=r"right and .* wrong pairs"):
            verify_pairs(*case, (rate,))
        return
    result = verify_pairs(*case, (rate,))
    found = result.true_positive_rates[0], result.reached_rates[0]
    assert found == pytest.approx(slow, abs=1e-12)


def test_the_rates_are_those_of_the_curve_through_fast_reids_scores(host_roc, draw_case):
    from sklearn.metrics import roc_curve

    case = draw_case(1, queries=40, gallery=400, pids=30, cameras=4, steps=50)
    distances, is_wrong = host_roc.evaluate_roc_py(*case)
    fprs, tprs, _ = roc_curve(1 - is_wrong, -distances, drop_intermediate=False)
    rates = (1e-4, 1e-3, 1e-2, 0.1, 0.5)
    result = verify_pairs(*case, rates)
    np.testing.assert_allclose(
        result.true_positive_rates, [tprs[fprs <= rate].max() for rate in rates]
    )
    assert result.positive_pairs == (is_wrong == 0).sum()
    assert result.negative_pairs == (is_wrong == 1).sum()


def test_what_fast_reid_prints_under_this_name_has_right_and_wrong_exchanged(host_roc):
    from sklearn.metrics import roc_curve

    # 100 right pairs; 99 nearer than every wrong pair and one farther than all of them.
    distmat = np.linspace(0, 1, 200, dtype=np.float64)[None]
    g_pids = np.where((np.arange(200) < 99) | (np.arange(200) == 199), 1, 2)
    case = distmat, np.array([1]), g_pids, np.array([0]), np.ones(200, dtype=int)
    assert verify_pairs(*case, (1e-3,)).true_positive_rates[0] == 0.99
    distances, is_wrong = host_roc.evaluate_roc_py(*case)
    fprs, tprs, _ = roc_curve(is_wrong, distances)  # as the host's evaluator calls it
    assert tprs[np.argmin(np.abs(fprs - 1e-3))] == 0  # no wrong pair is refused


def test_a_pair_is_accepted_if_it_is_nearer_than_the_threshold():
    distmat = [[0.1, 0.2, 0.3, 0.4, 0.5]]
    result = verify_pairs(distmat, [1], [1, 2, 1, 2, 1], [0], [1] * 5, (0, 0.5, 1))
    np.testing.assert_allclose(result.thresholds, [0.2, 0.4, np.inf])
    np.testing.assert_allclose(result.true_positive_rates, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(result.reached_rates, [0, 0.5, 1])
    assert (result.positive_pairs, result.negative_pairs) == (3, 2)


def test_ties_between_right_and_wrong_pairs_are_refused_together():
    result = verify_pairs(np.zeros((2, 4)), [1, 2], [1, 1, 2, 2], [0, 0], [1] * 4, (0.5, 1))
    np.testing.assert_array_equal(result.true_positive_rates, [0, 1])
    np.testing.assert_array_equal(result.reached_rates, [0, 1])


def test_an_image_of_the_querys_identity_and_camera_is_no_pair():
    result = verify_pairs([[0.0, 0.2, 0.3]], [1], [1, 1, 2], [0], [0, 1, 1], (0.0,))
    assert (result.positive_pairs, result.negative_pairs) == (1, 1)
    assert result.true_positive_rates[0] == 1


def test_a_query_without_a_right_answer_still_has_its_wrong_pairs():
    distmat, pids = [[0.2, 0.5], [0.1, 0.6]], [1, 2]
    alone = verify_pairs(distmat[:1], [1], pids, [0], [1, 1], (0.0,))
    both = verify_pairs(distmat, [1, 3], pids, [0, 0], [1, 1], (0.0,))
    assert (alone.true_positive_rates[0], both.true_positive_rates[0]) == (1, 0)
    assert both.negative_pairs == 3


@pytest.mark.parametrize(("rate", "count", "allowed"), [(0.29, 100, 29), (1e-4, 9999, 0)])
def test_a_rate_means_what_is_written(rate, count, allowed):
    assert thresholds.allowed_errors(rate, count) == allowed
    assert thresholds.allowed_errors(np.float64(rate), count) == allowed


def test_identities_may_be_names(draw_case):
    distmat, *labels = draw_case(2, queries=10, gallery=40, pids=5, cameras=3)
    named = [np.array([f"p{label}" for label in part]) for part in labels]
    assert_same(verify_pairs(distmat, *named), verify_pairs(distmat, *labels))


@pytest.mark.parametrize("rates", [(0.3, 0.001, 0.02), (0.02,), (0.0,), (1, 0.9)])
@pytest.mark.parametrize("steps", [0, 300, 5])
def test_the_size_of_a_block_changes_nothing(draw_case, monkeypatch, rates, steps):
    case = draw_case(3, queries=60, gallery=50, pids=9, cameras=3, steps=steps, dtype=np.float64)
    case = case[0] + 1000, *case[1:]  # far from zero and close together
    whole = verify_pairs(*case, rates)
    monkeypatch.setattr(thresholds, "_BLOCK_ELEMENTS", 100)
    assert_same(verify_pairs(*case, rates), whole)


def test_beside_its_input_it_holds_less_than_a_quarter_of_it(draw_case, monkeypatch):
    case = draw_case(4, queries=800, gallery=4000, pids=50, cameras=3)
    monkeypatch.setattr(thresholds, "_BLOCK_ELEMENTS", 40_000)
    tracemalloc.start()
    verify_pairs(*case, RATES)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < case[0].nbytes / 4


def test_the_distances_are_not_written_to(draw_case):
    case = draw_case(5, queries=10, gallery=40, pids=5, cameras=3)
    case[0].setflags(write=False)
    verify_pairs(*case)


@pytest.mark.parametrize(
    ("g_pids", "g_camids", "counts"), [([1, 1], [1, 1], "2 right and 0"), ([2, 1], [0, 0], "0 ri")]
)
def test_pairs_of_one_kind_alone_are_refused(g_pids, g_camids, counts):
    with pytest.raises(ValueError, match=f"{counts}.*expected at least one of each; try"):
        verify_pairs([[0.1, 0.2]], [1], g_pids, [0], g_camids)


@pytest.mark.parametrize("rates", [(), (-0.1,), (1.5,), (float("nan"),), 0.1])
def test_rates_that_are_no_shares_are_refused(rates, draw_case):
    case = draw_case(6, queries=4, gallery=9, pids=3, cameras=2)
    with pytest.raises(ValueError, match=r"false_positive_rates=.*expected shares between 0 and 1"):
        verify_pairs(*case, rates)


def test_a_nan_distance_and_missing_labels_are_refused(draw_case):
    distmat, q_pids, *others = draw_case(7, queries=4, gallery=9, pids=3, cameras=2)
    with pytest.raises(ValueError, match="q_pids has shape"):
        verify_pairs(distmat, q_pids[:-1], *others)
    distmat[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN in 1 of 4 rows, first in row 1"):
        verify_pairs(distmat, q_pids, *others)


def assert_same(a, b):
    np.testing.assert_array_equal(a.true_positive_rates, b.true_positive_rates)
    np.testing.assert_array_equal(a.reached_rates, b.reached_rates)
    np.testing.assert_array_equal(a.thresholds, b.thresholds)
