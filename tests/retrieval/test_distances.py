from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fed_plugin.retrieval import cosine_distance, distances, euclidean_distance

METRICS = [cosine_distance, euclidean_distance]


def draw_features(seed=0, queries=7, gallery=11, width=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(queries, width)), rng.normal(size=(gallery, width))


def slow_cosine(a, b):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return 1 - product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def slow_euclidean(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


@pytest.mark.parametrize(
    ("metric", "slow"), [(cosine_distance, slow_cosine), (euclidean_distance, slow_euclidean)]
)
def test_every_distance_equals_a_slow_loop(metric, slow):
    query, gallery = draw_features()
    expected = [[slow(q, g) for g in gallery] for q in query]
    np.testing.assert_allclose(metric(query, gallery), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_a_tensor_of_any_float_type_gives_a_float32_array(metric):
    query, gallery = (torch.from_numpy(part).requires_grad_() for part in draw_features())
    expected = metric(*draw_features())
    assert expected.dtype == np.float32 and expected.shape == (7, 11)
    for dtype, bound in ((torch.float64, 1e-6), (torch.float32, 1e-6), (torch.bfloat16, 0.1)):
        found = metric(query.to(dtype), gallery.to(dtype))
        assert isinstance(found, np.ndarray) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("metric", METRICS)
def test_the_features_are_not_written_to(metric):
    query, gallery = (part.astype(np.float32) for part in draw_features())
    query.setflags(write=False)
    gallery.setflags(write=False)
    metric(query, gallery)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    query, gallery = draw_features(queries=23, gallery=31, width=3)
    whole = euclidean_distance(query, gallery)
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 12)
    np.testing.assert_allclose(euclidean_distance(query, gallery), whole, rtol=0, atol=1e-7)


def test_the_cosine_does_not_know_lengths():
    query, gallery = draw_features()
    scaled = cosine_distance(query * 1e30, gallery * 1e-30)
    np.testing.assert_allclose(scaled, cosine_distance(query, gallery), rtol=0, atol=1e-6)


def test_right_angles_opposites_and_zeros_have_their_cosine_distances():
    query, gallery = [[1.0, 0.0]], [[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [0.0, 0.0]]
    np.testing.assert_array_equal(cosine_distance(query, gallery), [[0, 1, 2, 1]])


def test_a_small_distance_between_long_vectors_is_not_lost():
    long = np.full((1, 3), 1000, dtype=np.float32)
    near = long + np.float32(0.0625)
    found = euclidean_distance(long, near)
    assert found[0, 0] == pytest.approx(0.0625 * math.sqrt(3), rel=1e-5)
    assert euclidean_distance(long, long)[0, 0] == 0


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_feature_is_refused_with_its_row(metric, value):
    query, gallery = draw_features()
    gallery[4, 2] = value
    with pytest.raises(ValueError, match=r"gallery features hold NaN or infinity.*row 4"):
        metric(query, gallery)


@pytest.mark.parametrize("metric", METRICS)
def test_features_of_different_width_are_refused(metric):
    with pytest.raises(ValueError, match="query features have 3 numbers each, gallery features 4"):
        metric(np.ones((2, 3)), np.ones((2, 4)))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(3,), (0, 3), (2, 3, 4)])
def test_features_that_are_no_matrix_are_refused(metric, shape):
    with pytest.raises(ValueError, match=r"query features have shape .*expected \(images, D\)"):
        metric(np.ones(shape), np.ones((2, 3)))
