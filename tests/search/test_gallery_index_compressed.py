"""Compressed descriptors: what they find, what they keep, what they refuse. Nothing is timed."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.search import gallery_index as blocks
from fed_plugin.search.gallery_index import (
    MOST_CANDIDATES,
    CompressedDescriptors,
    ExactDescriptors,
    GalleryIndex,
    best_of_blocks,
    compress,
)


def crowd(people=300, images=10, width=256, seed=0, power=1.0):
    """Return descriptors of length 1 whose variance falls with the axis, as a model's does."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.arange(1, width + 1) ** power
    drawn = np.repeat(rng.standard_normal((people, width)) * spread, images, axis=0)
    drawn += 0.7 * rng.standard_normal(drawn.shape) * spread
    turned = drawn @ np.linalg.qr(rng.standard_normal((width, width)))[0]
    units = turned / np.linalg.norm(turned, axis=1, keepdims=True)
    return rng.permutation(units.astype(np.float32))


def exactly(descriptors):
    made = ExactDescriptors(descriptors.shape[1])
    made.add(descriptors)
    return made


def recall_of(compressed, exact, top, queries):
    """Return the share of exactly the right rows that a search finds."""
    asking = exact.restored(slice(0, None, len(exact) // queries))
    pairs = zip(exact.search(asking, top)[1], compressed.search(asking, top)[1], strict=True)
    return np.mean([np.isin(right, found) for right, found in pairs])


@pytest.fixture(scope="module")
def gallery():
    return crowd()


@pytest.fixture
def compressed(gallery):
    made = CompressedDescriptors.trained(gallery)
    made.add(gallery)
    return made


def test_nearly_all_of_the_most_similar_are_found_in_an_eighth_of_the_bytes(gallery, compressed):
    assert recall_of(compressed, exactly(gallery), top=50, queries=100) >= 0.98
    per_image = compressed.scanned.nbytes + compressed.codes.nbytes
    assert per_image <= gallery.nbytes / 8
    assert compressed.nbytes == per_image + 4 * (96 * 256 + 2 * 88)


def test_a_search_looks_further_where_descriptors_vary_along_many_directions(gallery):
    few, recall = compress(exactly(gallery))
    assert few.candidates == 8 and recall >= 0.99
    flat = exactly(crowd(power=0.25))
    usual = CompressedDescriptors.trained(flat.restored(slice(None)))
    usual.add(flat.restored(slice(None)))
    before = recall_of(usual, flat, top=10, queries=50)
    many, recall = compress(flat, top=10, queries=50)
    assert 8 < many.candidates <= MOST_CANDIDATES
    assert recall_of(many, flat, top=10, queries=50) > before + 0.05
    assert abs(recall - recall_of(many, flat, top=10, queries=50)) < 0.02


def test_which_of_many_copies_is_found_is_all_one():
    rng = np.random.default_rng(0)
    copies = np.repeat(crowd(people=30, images=1), 100, axis=0)
    copies += 1e-4 * rng.standard_normal(copies.shape, np.float32)
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    assert compress(exactly(copies))[1] == 1.0


def test_what_is_unlike_the_gallery_says_how_much_it_loses(gallery, tmp_path):
    index = GalleryIndex(256, 0, {"model": {}})
    names = [f"{i}.jpg" for i in range(len(gallery))]
    assert index.add(names[:2000], gallery[:2000]) == 0.0
    index.compress()
    assert 0 < index.stored.lost < 0.1
    alike = index.add(names[2000:], gallery[2000:])
    assert alike < 2 * index.stored.lost
    others = crowd(seed=1)[:100]  # other axes
    assert index.add([f"o{i}" for i in range(100)], others) > 0.3
    index.save(tmp_path / "a.npz")
    assert GalleryIndex.load(tmp_path / "a.npz").stored.lost == index.stored.lost


def test_a_search_looks_at_no_more_than_there_is():
    flat = exactly(crowd(people=10, power=0.0))
    assert compress(flat, top=50, queries=20)[0].candidates == 8  # 100 descriptors, two per answer
    whole, recall = compress(flat, top=1, queries=20)
    assert whole.candidates == 8 and recall == 1.0


def test_similarities_are_those_of_what_is_restored_and_close_to_the_exact(gallery, compressed):
    asked = gallery[:20]
    similarities, rows = compressed.search(asked, 10)
    restored = compressed.restored(rows.ravel()).reshape(20, 10, -1)
    np.testing.assert_allclose(
        similarities, np.einsum("qd,qkd->qk", asked, restored), rtol=0, atol=1e-5
    )
    exact = np.einsum("qd,qkd->qk", asked, gallery[rows])
    np.testing.assert_allclose(similarities, exact, rtol=0, atol=0.04)  # a copy's loses most
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert (rows[:, 0] == np.arange(20)).all()


def test_what_is_kept_is_restored_to_half_a_step_of_a_byte(gallery, compressed):
    turned = (gallery - compressed.restored(slice(None))) @ compressed.axes.T
    assert np.abs(turned[:, :8]).max() < 1e-5
    assert (np.abs(turned[:, 8:]) <= compressed.step / 2 + 1e-5).all()


def test_what_is_left_out_is_not_found_and_files_keep_everything(gallery, tmp_path):
    index = GalleryIndex(256, 2, {"model": {}})
    names = [f"{i}.jpg" for i in range(len(gallery))]
    index.add(names, gallery, np.ones((len(gallery), 2)))
    assert not index.is_compressed
    assert index.compress(top=20, queries=30) >= 0.98 and index.is_compressed
    with pytest.raises(ValueError, match="compressed already"):
        index.compress()
    index.remove(["3.jpg", "17.jpg"])
    _, rows = index.search(gallery[[3, 18]], 1)
    assert index.names[rows[1, 0]] == "18.jpg" and index.names[rows[0, 0]] != "3.jpg"
    index.add(["3.jpg"], gallery[3:4], np.ones((1, 2)))
    assert index.names[index.search(gallery[3:4], 1)[1][0, 0]] == "3.jpg"
    index.save(tmp_path / "a.npz")
    again = GalleryIndex.load(tmp_path / "a.npz")
    assert again.is_compressed and again.names == index.names
    for ours, theirs in zip(
        again.search(gallery[:9], 5), index.search(gallery[:9], 5), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    seen = np.ones((1, 2), np.float32)
    assert index.names[again.search(gallery[40:41], 1, seen)[1][0, 0]] == "40.jpg"


def test_few_or_broken_descriptors_are_refused(gallery, tmp_path):
    with pytest.raises(ValueError, match="63 descriptors of 256 numbers: expected 64 or more"):
        compress(exactly(gallery[:63]))
    made = CompressedDescriptors.trained(gallery[:64])
    made.add(gallery[:10])
    for name, broken in (
        ("codes", made.codes.astype(np.int16)),
        ("codes", made.codes[:9]),
        ("axes", made.axes[:-1]),
        ("step", made.step[:, None]),
        ("low", made.low * np.nan),
        ("low", made.low[0]),
        ("scanned", made.scanned.astype(str)),
        ("scanned", made.scanned[0]),
        ("candidates", np.array(0)),
        ("candidates", np.array([8])),
        ("candidates", np.array("8")),
        ("lost", np.array([0.1, 0.2])),
        ("step", -made.step),
        ("axes", 2 * made.axes),
    ):
        with pytest.raises(ValueError, match="expected"):
            CompressedDescriptors.from_arrays({**made.arrays(), name: broken})
    path = tmp_path / "a.npz"
    arrays = {**made.arrays(), "names": np.array(["a"]), "about": np.array("{}")}
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"a\.npz: not a gallery index: .* got \(1,\) and \(10,"):
        GalleryIndex.load(path)
    del arrays["step"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="holds no array 'step'"):
        GalleryIndex.load(path)


@pytest.mark.parametrize("kind", ["any", "copies", "rising"])
@pytest.mark.parametrize(("count", "best"), [(30, 30), (30, 3), (1000, 40), (1001, 1001), (51, 50)])
def test_the_best_of_blocks_are_the_best_of_all(monkeypatch, kind, count, best):
    monkeypatch.setattr(blocks, "_PRODUCTS", 350)  # 50 vectors
    monkeypatch.setattr(blocks, "_QUERIES", 7)
    rng = np.random.default_rng(0)
    queries, vectors = (rng.standard_normal((n, 8)).astype(np.float32) for n in (20, count))
    if kind == "copies":
        vectors[:] = vectors[0]
    if kind == "rising":  # every block is better than all before it
        vectors = vectors[np.argsort(vectors @ queries[0])]
    rows, products = best_of_blocks(queries, vectors, best), queries @ vectors.T
    assert all(len(set(row)) == best and sorted(row) == list(row) for row in rows)
    found = np.sort(np.take_along_axis(products, rows, axis=1), axis=1)
    np.testing.assert_allclose(found, np.sort(products, axis=1)[:, -best:], atol=1e-5)
