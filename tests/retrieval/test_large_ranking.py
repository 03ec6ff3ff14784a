from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fed_plugin.retrieval import cosine_distance, euclidean_distance, large_ranking, rank
from fed_plugin.retrieval.large_ranking import (
    _METRICS,
    blocks_of_rows,
    even_share,
    give_back_pages,
    rank_features,
)

DISTANCES = {"cosine": cosine_distance, "euclidean": euclidean_distance}
FIELDS = (
    "cmc",
    "average_precisions",
    "inverse_negative_penalties",
    "first_hits",
    "valid_queries",
)


def draw(seed, queries=37, gallery=211, dimensions=16, pids=30, cameras=3):
    """Return features and labels, some queries without a right answer."""
    rng = np.random.default_rng(seed)
    query, others = (
        rng.standard_normal((n, dimensions)).astype(np.float32) for n in (queries, gallery)
    )
    labels = (
        rng.integers(0, high, n)
        for high, n in (
            (pids, queries),
            (pids - 5, gallery),
            (cameras, queries),
            (cameras, gallery),
        )
    )
    return query, others, *labels


def assert_same(a, b):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("rows", [1, 7, 100, 1000])
@pytest.mark.parametrize("metric", DISTANCES)
def test_the_ranks_are_those_of_all_distances_at_once(metric, rows):
    for seed in range(3):
        query, gallery, *labels = draw(seed, gallery=40 if rows == 1 else 211)
        whole = rank(DISTANCES[metric](query, gallery), *labels)
        blocks = rank_features(query, gallery, *labels, metric=metric, rows_at_once=rows)
        assert_same(blocks, whole)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_equal_distances_keep_the_gallerys_order(rows):
    query, gallery, *labels = draw(0)
    query, gallery = np.sign(query), np.sign(gallery)  # D = 16: lengths and products are exact
    whole = rank(cosine_distance(query, gallery), *labels)
    assert len(np.unique(cosine_distance(query, gallery))) < 20
    assert_same(rank_features(query, gallery, *labels, rows_at_once=rows), whole)


@pytest.mark.parametrize("rows", [7, 64, 1000])
@pytest.mark.parametrize("metric", DISTANCES)
def test_copies_of_images_rank_as_in_the_blocks_own_distances(metric, rows):
    query, gallery, *labels = draw(1)
    gallery = gallery[np.random.default_rng(0).integers(0, 20, len(gallery))]
    prepare, distances = _METRICS[metric]
    step = even_share(len(gallery), rows)
    blocks = [gallery[top : top + step] for top in range(0, len(gallery), step)]
    others = labels[2][:, None] != labels[3]
    answered = ((labels[0][:, None] == labels[1]) & others).any(axis=1)
    whole = np.hstack([distances(prepare(query[answered]), prepare(block)) for block in blocks])
    ranked = rank(whole, labels[0][answered], labels[1], labels[2][answered], labels[3])
    found = rank_features(query, gallery, *labels, metric=metric, rows_at_once=rows)
    for name in FIELDS[:-1]:
        np.testing.assert_array_equal(getattr(found, name), getattr(ranked, name))


@pytest.mark.parametrize("change", [Tensor.float, Tensor.bfloat16, Tensor.requires_grad_])
def test_a_tensor_is_as_good_as_an_array_and_stays_as_it_was(change):
    query, gallery, *labels = draw(3)
    tensor = change(torch.from_numpy(gallery.copy()))
    before = tensor.detach().clone()
    whole = rank_features(query, tensor.detach().float().numpy().copy(), *labels)
    assert_same(rank_features(query, tensor, *labels, rows_at_once=50), whole)
    assert torch.equal(tensor.detach(), before)
    assert_same(
        rank_features(query.tolist(), gallery.tolist(), *labels),
        rank_features(query, gallery, *labels),
    )


def test_tiles_of_queries_change_nothing(monkeypatch):
    query, gallery, *labels = draw(2)
    whole = rank_features(query, gallery, *labels)
    monkeypatch.setattr(large_ranking, "_QUERY_ROWS", 5)
    assert_same(rank_features(query, gallery, *labels, rows_at_once=50), whole)


def test_distances_that_round_otherwise_when_computed_alone_are_counted_again(monkeypatch):
    query, gallery, *labels = draw(3)
    whole, passes = rank_features(query, gallery, *labels), []
    alone, count = large_ranking.NearerImages._alone, large_ranking.NearerImages._count

    def off(self):
        return np.nextafter(alone(self), np.float32(9)) + np.float32(0.01)

    def counted(self, *args):
        passes.append(args[2].sum())
        return count(self, *args)

    monkeypatch.setattr(large_ranking.NearerImages, "_alone", off)
    monkeypatch.setattr(large_ranking.NearerImages, "_count", counted)
    assert_same(rank_features(query, gallery, *labels), whole)
    assert len(passes) == 2


def test_a_machine_that_never_gives_the_same_distances_is_refused(monkeypatch):
    query, gallery, *labels = draw(3)
    rng = np.random.default_rng(0)

    def noisy(a, b):
        return rng.random((len(a), len(b)), dtype=np.float32)

    monkeypatch.setitem(_METRICS, "cosine", (np.asarray, noisy))
    with pytest.raises(RuntimeError, match="differ each time they are computed: expected"):
        rank_features(query, gallery, *labels)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_small_case_equals_the_ranking_of_its_distances(data):
    counts = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    few = [st.lists(st.integers(0, 2), min_size=n, max_size=n).map(np.array) for n in counts]
    labels = [data.draw(few[0]), data.draw(few[1]), data.draw(few[0]), data.draw(few[1])]
    signs = st.sampled_from([-1.0, 1.0])
    features = [
        np.array(data.draw(st.lists(signs, min_size=4 * n, max_size=4 * n)), np.float32)
        for n in counts
    ]
    query, gallery = (x.reshape(-1, 4) for x in features)
    rows = data.draw(st.integers(1, 7))
    try:
        whole = rank(cosine_distance(query, gallery), *labels)
    except ValueError as error:
        with pytest.raises(ValueError, match="all query identities do not appear in gallery"):
            rank_features(query, gallery, *labels, rows_at_once=rows)
        assert "do not appear" in str(error)
    else:
        assert_same(rank_features(query, gallery, *labels, rows_at_once=rows), whole)


def test_a_gallery_in_a_file_is_read_in_blocks_and_progress_is_said(tmp_path):
    query, gallery, *labels = draw(4)
    assert [even_share(211, 100), even_share(211, 1000), even_share(200, 100)] == [71, 211, 100]
    np.save(tmp_path / "gallery.npy", gallery.astype(np.float16))
    mapped, said = np.load(tmp_path / "gallery.npy", mmap_mode="r"), []
    found = rank_features(
        query, mapped, *labels, rows_at_once=100, progress=lambda *args: said.append(args)
    )
    assert_same(found, rank_features(query, gallery.astype(np.float16), *labels))
    assert said[:3] == [(71, 211), (142, 211), (211, 211)]


def test_an_interruption_ends_the_ranking_and_its_threads():
    query, gallery, *labels = draw(4)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rank_features(query, gallery, *labels, rows_at_once=50, progress=interrupt)
    assert not [t for t in threading.enumerate() if t.name.startswith("ThreadPoolExecutor")]


def kilobytes_held(path):
    """Return how much of a mapped file this process has in memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    of_file = [next(x for x in lines if x.startswith("Rss:")) for line in lines if path in line]
    return sum(int(line.split()[1]) for line in of_file)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_no_page_of_a_mapped_file_is_held_longer_than_its_block(tmp_path):
    path = tmp_path / "gallery.npy"
    np.save(path, np.ones((4096, 256), np.float32))
    mapped = np.load(path, mmap_mode="r")
    for _, block in blocks_of_rows("gallery", mapped[:4000], 1000):
        assert block.shape == (1000, 256) and not np.shares_memory(block, mapped)
    assert kilobytes_held(str(path)) == 0
    assert mapped[::64].sum() == 64 * 256 and kilobytes_held(str(path)) > 0
    give_back_pages(mapped)
    assert kilobytes_held(str(path)) == 0 and mapped[77, 3] == 1


def test_inputs_are_not_modified():
    query, gallery, *labels = draw(5)
    before = query.copy(), gallery.copy()
    rank_features(query, gallery, *labels)
    np.testing.assert_array_equal(query, before[0])
    np.testing.assert_array_equal(gallery, before[1])


def test_what_cannot_be_ranked_is_refused():
    query, gallery, *labels = draw(6)
    broken = gallery.copy()
    broken[150, 2] = np.nan
    with pytest.raises(ValueError, match="infinity in 1 of 20 rows, first in row 150"):
        rank_features(query, broken, *labels, rows_at_once=20)
    with pytest.raises(ValueError, match=r"shape \(211, 15\): expected \(images, 16\)"):
        rank_features(query, gallery[:, :15], *labels)
    with pytest.raises(ValueError, match="metric 'l1': expected one of cosine, euclidean"):
        rank_features(query, gallery, *labels, metric="l1")
    with pytest.raises(ValueError, match="rows_at_once=0: expected at least 1"):
        rank_features(query, gallery, *labels, rows_at_once=0)
    with pytest.raises(ValueError, match=r"g_pids has shape \(3,\): expected \(211,\)"):
        rank_features(query, gallery, labels[0], labels[1][:3], *labels[2:])
