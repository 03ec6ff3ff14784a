from __future__ import annotations

import importlib.machinery
import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval.reranking import jaccard_distance


def slow_jaccard(features, k1, k2):
    """Return (N, N) distances, from the definition with nothing but sets and loops, in float64."""
    features = np.asarray(features, np.float64)
    count, k1 = len(features), min(k1, len(features))
    squared = ((features[:, None] - features) ** 2).sum(axis=-1)
    nearest = squared.argsort(axis=1, kind="stable")

    def mutual(image, k):
        return {j for j in nearest[image, :k] if image in nearest[j, :k]}

    half = min(int(np.around(k1 / 2)) + 1, k1)
    encoding = np.zeros((count, count))
    for i in range(count):
        first = mutual(i, k1)
        members = set(first)
        for j in first:
            near = mutual(j, half)
            if len(near & first) > 2 / 3 * len(near):
                members |= near
        for j in members:
            encoding[i, j] = np.exp(-squared[i, j])
        encoding[i] /= encoding[i].sum()
    encoding = np.stack([encoding[nearest[i, : min(k2, k1)]].mean(axis=0) for i in range(count)])
    minima = np.minimum(encoding[:, None], encoding).sum(axis=-1)
    maxima = np.maximum(encoding[:, None], encoding).sum(axis=-1)
    return 1 - minima / maxima


def crowd_of(seed, people=8, images=6, dimensions=16, spread=0.6):
    """Return (N, D) features of length 1 and their identities."""
    rng = np.random.default_rng(seed)
    centers = np.repeat(rng.standard_normal((people, dimensions)), images, axis=0)
    drawn = centers + spread * rng.standard_normal(centers.shape)
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    order = rng.permutation(len(drawn))
    return drawn[order], np.repeat(np.arange(people), images)[order]


def crowd(*args, **kwargs):
    return crowd_of(*args, **kwargs)[0]


@pytest.fixture(scope="module")
def host():
    """Return the host's module as it was shipped."""
    package = importlib.util.find_spec("fastreid.utils")
    spec = importlib.machinery.PathFinder.find_spec(
        "fastreid.utils.compute_dist", package.submodule_search_locations
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 3), (6, 1), (1, 1), (3, 6), (100, 6)])
def test_the_distances_are_those_of_a_slow_loop_over_the_definition(k1, k2):
    features = crowd(0)
    np.testing.assert_allclose(
        jaccard_distance(features, k1, k2), slow_jaccard(features, k1, k2), atol=1e-6
    )


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (7, 3), (6, 1)])
def test_the_distances_are_those_of_the_hosts_own_cpu_branch(host, k1, k2):
    features = crowd(1, people=20)
    stock = host.compute_jaccard_distance(torch.from_numpy(features), k1, k2, search_option=3)
    np.testing.assert_allclose(jaccard_distance(features, k1, k2), stock, atol=1e-6)


def test_queries_by_gallery_is_a_corner_of_all_distances():
    features = crowd(2)
    corner = jaccard_distance(torch.from_numpy(features), 8, 3, num_query=5)
    np.testing.assert_array_equal(corner, jaccard_distance(features, 8, 3)[:5, 5:])
    assert corner.dtype == np.float32


def test_an_image_is_at_distance_0_from_itself_and_at_1_from_another_crowd():
    near, far = crowd(3, people=1, images=9), crowd(4, people=1, images=9)
    distances = jaccard_distance(np.concatenate((near, 5 + far)), 6, 3)
    np.testing.assert_allclose(np.diag(distances), 0, atol=1e-6)
    np.testing.assert_array_equal(distances[:9, 9:], 1)
    np.testing.assert_allclose(distances, distances.T, atol=1e-6)


def test_re_ranking_finds_more_of_a_person():
    features, pids = crowd_of(5, people=30, images=8, spread=1.0)
    before, after = -features @ features.T, jaccard_distance(features, 8, 3)
    assert _precision(after, pids) > _precision(before, pids) + 0.02


def _precision(distances, pids):
    first = distances.argsort(axis=1)[:, :8]
    return (pids[first] == pids[:, None]).mean()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_copies_and_the_smallest_sets_stay_in_their_range(data):
    rows = data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=7))
    k1, k2 = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    distances = jaccard_distance(np.eye(3, dtype=np.float32)[rows], k1, k2)
    assert distances.shape == (len(rows), len(rows))
    assert (distances >= 0).all() and (distances <= 1).all()


def test_what_cannot_be_re_ranked_is_refused():
    features = crowd(0)
    with pytest.raises(ValueError, match="k1=0, k2=6: expected at least 1 of each; try 20 and 6"):
        jaccard_distance(features, k1=0)
    with pytest.raises(ValueError, match="num_query=48: expected at least 1, and fewer than the"):
        jaccard_distance(features, num_query=48)
    features[3, 1] = np.nan
    with pytest.raises(ValueError, match="images' features hold NaN or infinity in 1 of 48 rows"):
        jaccard_distance(features)


@pytest.mark.parametrize("size", [1e19, 3e38])
def test_features_too_large_for_their_squares_are_refused(size):
    features = np.full((40, 8), size, np.float32)
    with pytest.raises(ValueError, match=r"features reach .*: expected numbers whose squared"):
        jaccard_distance(features, 20, 6)
