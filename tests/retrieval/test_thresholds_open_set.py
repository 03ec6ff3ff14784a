from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval import identify_open_set, leave_identities_out, rank, thresholds


def slow_open_set(order, distmat, q_pids, g_pids, q_camids, g_camids, rate, max_rank):
    """Return (DIR, FAR reached), trying every threshold there is."""
    mated, alarms = [], []
    for q in range(len(q_pids)):
        kept = order(q, distmat, q_pids, g_pids, q_camids, g_camids)
        answers = [place for place, g in enumerate(kept, start=1) if g_pids[g] == q_pids[q]]
        if answers:
            place = answers[0]
            mated.append((place, float(distmat[q][kept[place - 1]])))
        elif kept:
            alarms.append(float(distmat[q][kept[0]]))
    if not mated or not alarms:
        return None
    best = (0.0, 0.0)
    for threshold in (*alarms, *(distance for _, distance in mated)):  # accepted: at most as far
        raised = sum(d <= threshold for d in alarms)
        found = sum(place <= max_rank and d <= threshold for place, d in mated)
        if Fraction(raised, len(alarms)) <= Fraction(repr(rate)):
            best = max(best, (found / len(mated), raised / len(alarms)))
    return best


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_small_case_with_ties_equals_the_slow_loop(small_cases, slow_order, data):
    case = data.draw(small_cases)
    rate = data.draw(st.sampled_from([0.0, 0.1, 0.29, 0.5, 0.75, 1.0]))
    max_rank = data.draw(st.integers(1, 4))
    slow = slow_open_set(slow_order, *case, rate, max_rank)
    if slow is None:
        with pytest.raises(ValueError, match="queries with a right answer and"):
            identify_open_set(*case, (rate,), max_rank)
        return
    result = identify_open_set(*case, (rate,), max_rank)
    found = result.detection_rates[0], result.reached_rates[0]
    assert found == pytest.approx(slow, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("max_rank", [1, 5])
def test_the_rates_are_those_of_a_slow_loop_over_the_definition(
    draw_case, slow_order, dtype, max_rank
):
    distmat, *labels = draw_case(0, queries=60, gallery=40, pids=50, cameras=3)
    case = ((distmat - 0.2 * (labels[0][:, None] == labels[1])) * 1000).astype(dtype), *labels
    rates = (0, 0.02, 0.1, 0.5, 1)
    result = identify_open_set(*case, rates, max_rank)
    slow = [slow_open_set(slow_order, *case, rate, max_rank) for rate in rates]
    found = zip(result.detection_rates, result.reached_rates, strict=True)
    np.testing.assert_allclose(list(found), slow)


def test_four_queries_by_hand():
    # 1 is found at 0.1; 2 stands behind a stranger; 8 and 9 are not in the gallery.
    distmat = [[0.1, 0.9, 0.8], [0.2, 0.3, 0.9], [0.7, 0.4, 0.8], [0.05, 0.9, 0.9]]
    case = distmat, [1, 2, 8, 9], [1, 2, 3], [0] * 4, [1] * 3
    result = identify_open_set(*case, (0, 0.5, 1))
    np.testing.assert_array_equal(result.mated_queries, [0, 1])
    np.testing.assert_array_equal(result.unmated_queries, [2, 3])
    np.testing.assert_array_equal(result.thresholds, [0.05, 0.4, np.inf])
    np.testing.assert_array_equal(result.detection_rates, [0, 0.5, 0.5])
    np.testing.assert_array_equal(result.reached_rates, [0, 0.5, 1])
    np.testing.assert_array_equal(result.identified, [[0, 0], [1, 0], [1, 0]])
    second = identify_open_set(*case, (0, 0.5, 1), max_rank=2)
    np.testing.assert_array_equal(second.detection_rates, [0, 1, 1])


def test_where_every_alarm_is_allowed_the_rate_is_the_cmc(draw_case):
    case = draw_case(1, queries=80, gallery=60, pids=60, cameras=3, steps=6)
    for k in (1, 5):
        result = identify_open_set(*case, (1,), max_rank=k)
        assert result.detection_rates[0] == rank(*case).rank_at(k)
        np.testing.assert_array_equal(result.mated_queries, rank(*case).valid_queries)


def test_with_one_feature_for_every_image_nobody_is_detected():
    case = np.zeros((3, 4)), [1, 2, 9], [1, 2, 1, 2], [0] * 3, [1] * 4
    result = identify_open_set(*case, (0.1, 1))
    np.testing.assert_array_equal(result.detection_rates, [0, 0.5])  # 1 at 1: the order of files
    np.testing.assert_array_equal(result.reached_rates, [0, 1])


def test_a_query_whose_mates_are_all_from_its_own_camera_is_unmated_and_they_raise_no_alarm():
    distmat = [[0.5, 0.9, 0.9], [0.9, 0.1, 0.7]]
    result = identify_open_set(distmat, [1, 2], [1, 2, 3], [0, 0], [1, 0, 1], (0,))
    np.testing.assert_array_equal(result.unmated_queries, [1])
    assert result.thresholds[0] == 0.7
    assert result.detection_rates[0] == 1


def test_a_query_with_no_image_left_is_neither_mated_nor_unmated():
    distmat = [[0.5, 0.6], [0.1, 0.2], [0.1, 0.2]]
    result = identify_open_set(distmat, [2, 1, 3], [1, 1], [0, 1, 0], [0, 0], (0.0,))
    np.testing.assert_array_equal(result.mated_queries, [1])
    np.testing.assert_array_equal(result.unmated_queries, [0, 2])
    with pytest.raises(ValueError, match="1 queries with a right answer and 0 without"):
        identify_open_set(distmat[:2], [1, 1], [1, 1], [0, 1], [0, 0], (0.0,))


def test_the_size_of_a_block_changes_nothing(draw_case, monkeypatch):
    case = draw_case(2, queries=60, gallery=30, pids=50, cameras=3, steps=40)
    whole = identify_open_set(*case)
    monkeypatch.setattr(thresholds, "_BLOCK_ELEMENTS", 70)
    parts = identify_open_set(*case)
    np.testing.assert_array_equal(parts.identified, whole.identified)
    np.testing.assert_array_equal(parts.thresholds, whole.thresholds)


def test_leaving_identities_out_makes_their_queries_unmated_and_keeps_distractors():
    q_pids, g_pids = np.arange(10).repeat(2), np.arange(14).repeat(3)
    kept = leave_identities_out(q_pids, g_pids, share=0.3)
    gone = set(g_pids) - set(g_pids[kept])
    assert len(gone) == 3 and gone < set(range(10))
    assert all(kept[g_pids == pid].all() for pid in set(range(14)) - gone)
    distmat = np.random.default_rng(0).random((20, kept.sum()))
    result = identify_open_set(distmat, q_pids, g_pids[kept], [0] * 20, [1] * kept.sum())
    assert set(q_pids[result.unmated_queries]) == gone
    assert len(result.mated_queries) == 14


def test_the_seed_chooses_and_the_order_of_the_images_does_not():
    q_pids, g_pids = np.arange(50), np.arange(50)
    first = leave_identities_out(q_pids, g_pids, seed=1)
    assert (first == leave_identities_out(q_pids[::-1], g_pids, seed=1)).all()
    assert (first[::-1] == leave_identities_out(q_pids, g_pids[::-1], seed=1)).all()
    assert (first != leave_identities_out(q_pids, g_pids, seed=2)).any()


@pytest.mark.parametrize(("share", "kept"), [(0.001, 2), (0.999, 1)])
def test_one_identity_at_least_leaves_and_one_stays(share, kept):
    assert leave_identities_out([1, 2, 3], [1, 2, 3], share).sum() == kept


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_of_nobody_or_everybody_is_refused(share):
    with pytest.raises(ValueError, match=r"expected a share between 0 and 1; try 0.5"):
        leave_identities_out([1, 2], [1, 2], share)


def test_one_identity_in_both_cannot_be_left_out():
    with pytest.raises(ValueError, match="1 identities are in both query and gallery: expected at"):
        leave_identities_out([1, 2], [1, 3])


def test_a_set_without_unmated_queries_is_refused_and_says_what_to_try():
    with pytest.raises(ValueError, match=r"1 queries .* and 0 without.*try leave_identities_out"):
        identify_open_set([[0.1, 0.2]], [1], [1, 2], [0], [1, 1])


def test_rates_and_ranks_out_of_their_range_are_refused():
    case = [[0.1], [0.2]], [1, 2], [1], [0, 0], [1]
    with pytest.raises(ValueError, match=r"false_alarm_rates=.*expected shares between 0 and 1"):
        identify_open_set(*case, (2,))
    with pytest.raises(ValueError, match="max_rank=0: expected at least 1"):
        identify_open_set(*case, max_rank=0)
