from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval import RankingResult, evaluate_rank, rank


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_numbers_are_those_of_a_slow_loop_over_the_definition(slow_ranking, draw_case, dtype):
    case = draw_case(0, queries=60, gallery=300, pids=25, cameras=4, dtype=dtype)
    for ours, slow in zip(evaluate_rank(*case, max_rank=50), slow_ranking(*case, 50), strict=True):
        np.testing.assert_allclose(ours, slow, rtol=0, atol=1e-7)


def test_the_numbers_are_those_of_fast_reids_own_python(host_rank, draw_case):
    case = draw_case(1, queries=80, gallery=600, pids=40, cameras=5, dtype=np.float64)
    stock = host_rank.evaluate_py(*case, 50, False)
    ours = evaluate_rank(*case, max_rank=50)
    np.testing.assert_allclose(ours[0], stock[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[1], stock[1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(ours[2], stock[2], rtol=0, atol=1e-14)


def test_ties_keep_the_order_of_the_gallery(slow_ranking, draw_case):
    case = draw_case(2, queries=40, gallery=200, pids=12, cameras=3, steps=5)
    for ours, slow in zip(evaluate_rank(*case), slow_ranking(*case, 50), strict=True):
        np.testing.assert_allclose(ours, slow, rtol=0, atol=1e-7)


def test_ties_are_ranked_as_fast_reid_ranks_them_once_its_sort_is_made_stable(
    host_rank, draw_case, monkeypatch
):
    class StableNumPy:
        def __getattr__(self, name):
            return getattr(np, name)

        def argsort(self, values, axis):
            return np.argsort(values, axis=axis, kind="stable")

    monkeypatch.setattr(host_rank, "np", StableNumPy())
    case = draw_case(3, queries=40, gallery=200, pids=12, cameras=3, steps=5)
    stock = host_rank.evaluate_py(*case, 50, False)
    for ours, theirs in zip(evaluate_rank(*case), stock, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_the_order_of_a_gallery_decides_when_all_distances_are_equal():
    cmc, precisions, penalties = evaluate_rank(np.zeros((1, 4)), [7], [1, 7, 2, 7], [0], [1] * 4, 4)
    np.testing.assert_array_equal(cmc, [0, 1, 1, 1])
    assert precisions[0] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert penalties[0] == pytest.approx(2 / 4)


def test_an_image_of_the_querys_identity_and_camera_leaves_the_ranking():
    distmat = [[0.0, 0.1, 0.2, 0.3]]
    pids, camids = [5, 9, 5, 5], [0, 0, 0, 1]
    cmc, precisions, penalties = evaluate_rank(distmat, [5], pids, [0], camids, 3)
    np.testing.assert_array_equal(cmc, [0, 1, 1])  # 9 comes first, then the 5 of camera 1
    assert precisions[0] == penalties[0] == 0.5


def test_a_query_without_a_right_answer_is_left_out_of_every_mean():
    distmat = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]
    result = rank(distmat, [1, 3, 2], [1, 2], [0, 0, 0], [0, 1], 2)
    np.testing.assert_array_equal(result.valid_queries, [2])  # 1: same camera only; 3: not there
    np.testing.assert_array_equal(result.cmc, [0, 1])
    np.testing.assert_array_equal(result.average_precisions, [0.5])


def test_a_perfect_ranking_scores_one_everywhere(draw_case):
    _, q_pids, g_pids, _, _ = draw_case(4, queries=30, gallery=90, pids=6, cameras=1)
    distmat = (q_pids[:, None] != g_pids).astype(np.float32)
    cmc, precisions, penalties = evaluate_rank(distmat, q_pids, g_pids, [0] * 30, [1] * 90)
    assert cmc.min() == precisions.min() == penalties.min() == 1


def test_a_right_answer_in_last_place_scores_one_over_the_gallery():
    distmat = np.arange(40, dtype=np.float64)[None]
    cmc, precisions, penalties = evaluate_rank(distmat, [39], np.arange(40), [0], [1] * 40, 50)
    assert precisions[0] == penalties[0] == 1 / 40
    np.testing.assert_array_equal(cmc, [0] * 39 + [1] * 11)


def test_a_gallery_of_one_image_has_a_whole_curve():
    cmc, precisions, penalties = evaluate_rank([[0.3]], [1], [1], [0], [1])
    np.testing.assert_array_equal(cmc, np.ones(50))
    assert precisions[0] == penalties[0] == 1


def test_a_gallery_of_three_images_carries_its_last_value_on():
    distmat = [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]
    cmc, _, _ = evaluate_rank(distmat, [1, 1], [1, 2, 3], [0, 0], [1, 1, 1], max_rank=10)
    np.testing.assert_array_equal(cmc, [0.5, 0.5] + [1] * 8)


def test_a_gallery_shorter_than_the_curve_scores_as_fast_reid_where_fast_reid_can(
    host_rank, draw_case
):
    distmat, q_pids, g_pids, _, _ = draw_case(5, queries=20, gallery=8, pids=4, cameras=1)
    case = distmat, q_pids, g_pids, np.zeros(20, int), np.ones(8, int)
    stock = host_rank.evaluate_py(*case, 50, False)  # it shortens its curve to 8
    ours = evaluate_rank(*case, max_rank=50)
    np.testing.assert_allclose(ours[0], [*stock[0], *[stock[0][-1]] * 42], atol=1e-6)
    np.testing.assert_allclose(ours[1], stock[1], atol=1e-14)
    np.testing.assert_allclose(ours[2], stock[2], atol=1e-14)


def test_infinite_distances_are_ranked_last_in_gallery_order():
    inf = float("inf")
    _, precisions, _ = evaluate_rank([[inf, inf, 0.0]], [2], [1, 2, 3], [0], [1, 1, 1])
    assert precisions[0] == pytest.approx(1 / 3)


def test_tensors_lists_integers_and_column_major_arrays_are_taken(draw_case):
    case = draw_case(6, queries=10, gallery=50, pids=5, cameras=3)
    expected = evaluate_rank(*case)
    integers = np.argsort(np.argsort(case[0], axis=1), axis=1)
    for given_case in (
        [torch.from_numpy(part) for part in case],
        [part.tolist() for part in case],
        [np.asfortranarray(case[0]), *case[1:]],
        [integers, *[part.astype(str) for part in case[1:]]],
    ):
        for ours, same in zip(evaluate_rank(*given_case), expected, strict=True):
            np.testing.assert_allclose(ours, same, atol=1e-12)


def test_the_inputs_are_not_written_to(draw_case):
    case = draw_case(7, queries=10, gallery=50, pids=5, cameras=3)
    before = [part.copy() for part in case]
    for part in case:
        part.setflags(write=False)
    evaluate_rank(*case)
    for part, copy in zip(case, before, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_curve_and_values_have_the_promised_types(draw_case):
    cmc, precisions, penalties = evaluate_rank(*draw_case(8, 10, 50, 5, 3), max_rank=7)
    assert (cmc.shape, cmc.dtype) == ((7,), np.float32)
    assert precisions.dtype == penalties.dtype == np.float64
    assert precisions.shape == penalties.shape and precisions.ndim == 1


def test_the_result_says_what_the_plain_function_says(draw_case):
    case = draw_case(9, queries=40, gallery=200, pids=12, cameras=3)
    result, (cmc, precisions, penalties) = rank(*case), evaluate_rank(*case)
    assert isinstance(result, RankingResult)
    assert (result.rank1, result.rank5, result.rank10) == pytest.approx(tuple(cmc[[0, 4, 9]]))
    assert result.mAP == pytest.approx(precisions.mean())
    assert result.mINP == pytest.approx(penalties.mean())
    np.testing.assert_array_equal(result.hits_at(1), result.first_hits == 0)
    assert result.hits_at(1).mean() == pytest.approx(cmc[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.cmc = cmc


def test_an_empty_gallery_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 0\).*neither split is empty"):
        evaluate_rank(np.zeros((2, 0)), [1, 2], [], [0, 0], [])


@pytest.mark.parametrize("wrong", [1, 2, 3, 4])
def test_labels_of_another_length_are_refused_by_name(wrong, draw_case):
    case = list(draw_case(10, queries=4, gallery=6, pids=2, cameras=2))
    case[wrong] = case[wrong][:-1]
    name = ["", "q_pids", "g_pids", "q_camids", "g_camids"][wrong]
    with pytest.raises(ValueError, match=f"{name} has shape"):
        evaluate_rank(*case)


def test_a_nan_distance_is_refused_with_its_row(draw_case):
    case = draw_case(11, queries=4, gallery=6, pids=2, cameras=2)
    case[0][2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN in 1 of 4 rows, first in row 2"):
        evaluate_rank(*case)


def test_a_curve_of_no_length_is_refused(draw_case):
    with pytest.raises(ValueError, match="max_rank=0: expected at least 1"):
        evaluate_rank(*draw_case(12, 4, 6, 2, 2), max_rank=0)


def test_distances_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="expected real numbers"):
        evaluate_rank(np.array([["near", "far"]]), [1], [1, 2], [0], [1, 1])


def test_a_gallery_without_a_single_right_answer_is_refused_and_says_what_to_try():
    message = "all query identities do not appear in gallery.*none of 1 queries.*try checking"
    with pytest.raises(ValueError, match=message):
        evaluate_rank([[0.1, 0.2]], [1], [1, 2], [0], [0, 0])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_small_case_equals_the_slow_loop(slow_ranking, data):
    count_q, count_g = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 9))
    few = st.integers(0, 2)

    def draw_labels(count):
        return np.array(data.draw(st.lists(few, min_size=count, max_size=count)))

    q_pids, g_pids = draw_labels(count_q), draw_labels(count_g)
    q_camids, g_camids = draw_labels(count_q), draw_labels(count_g)
    steps = st.lists(st.integers(-2, 2), min_size=count_q * count_g, max_size=count_q * count_g)
    distmat = np.array(data.draw(steps), dtype=np.float32).reshape(count_q, count_g) / 2
    max_rank = data.draw(st.integers(1, 12))
    case = distmat, q_pids, g_pids, q_camids, g_camids, max_rank
    slow = slow_ranking(*case)
    if slow[1].size == 0:
        with pytest.raises(ValueError, match="do not appear in gallery"):
            evaluate_rank(*case)
        return
    for ours, expected in zip(evaluate_rank(*case), slow, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("change", [torch.Tensor.bfloat16, torch.Tensor.requires_grad_])
def test_a_tensor_of_distances_ranks_as_an_array(draw_case, change):
    distances, *labels = draw_case(3, queries=9, gallery=40, pids=5, cameras=3, steps=8)
    tensor = change(torch.from_numpy(np.asarray(distances, np.float32)))
    whole = rank(tensor.detach().float().numpy(), *labels)
    assert rank(tensor, *labels).mAP == whole.mAP


def test_distances_that_are_no_real_numbers_are_refused_as_tensors_too(draw_case):
    distances, *labels = draw_case(3, queries=9, gallery=40, pids=5, cameras=3)
    with pytest.raises(TypeError, match="expected real numbers"):
        rank(torch.from_numpy(np.asarray(distances, np.complex64)), *labels)
