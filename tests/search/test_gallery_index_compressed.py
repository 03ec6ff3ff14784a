"""Compressed descriptors: what they find, what they keep, what they refuse. Nothing is timed."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.search.gallery_index import (
    MOST_CANDIDATES,
    CompressedDescriptors,
    ExactDescriptors,
    GalleryIndex,
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
    per_image = compressed.scanned.vectors.nbytes + compressed.codes.nbytes
    assert per_image <= gallery.nbytes / 8
    arrays = compressed.arrays()
    assert sum(x.nbytes for x in arrays.values()) == per_image + 4 * (96 * 256 + 2 * 88) + 16


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
    assert index.compress() >= 0.98 and isinstance(index.stored, CompressedDescriptors)
    with pytest.raises(ValueError, match="compressed already"):
        index.compress()
    index.remove(["3.jpg", "17.jpg"])
    _, rows = index.search(gallery[[3, 18]], 1)
    assert index.names[rows[1, 0]] == "18.jpg" and index.names[rows[0, 0]] != "3.jpg"
    index.add(["3.jpg"], gallery[3:4], np.ones((1, 2)))
    assert index.names[index.search(gallery[3:4], 1)[1][0, 0]] == "3.jpg"
    index.save(tmp_path / "a.npz")
    again = GalleryIndex.load(tmp_path / "a.npz")
    assert isinstance(again.stored, CompressedDescriptors) and again.names == index.names
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
        ("scanned", made.scanned.vectors.astype(str)),
        ("scanned", made.scanned.vectors[0]),
        ("scanned", made.scanned.vectors[:9]),
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
    with pytest.raises(ValueError, match=r"a\.npz: not a gallery index: names: expected 10 texts"):
        GalleryIndex.load(path)
    del arrays["step"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="holds no array 'step'"):
        GalleryIndex.load(path)


def test_both_halves_forget_what_is_removed(compressed):
    keep = np.arange(len(compressed)) % 3 > 0
    scanned, codes = compressed.scanned.vectors.copy(), compressed.codes
    compressed.keep(keep)
    np.testing.assert_array_equal(compressed.scanned.vectors, scanned[keep])
    np.testing.assert_array_equal(compressed.codes, codes[keep])


def test_a_file_of_the_first_version_is_searched_as_its_arrays_demand(tmp_path):
    draw = np.random.default_rng(0)
    axes = np.linalg.qr(draw.standard_normal((8, 8)))[0][:4]  # one axis scanned, three in bytes
    codes = draw.integers(0, 256, (30, 3)).astype(np.uint8)
    arrays = {
        "axes": axes,  # float64 and neither `candidates` nor `lost`
        "low": np.array([-0.5, -0.4, -0.3]),
        "step": np.array([0.004, 0.003, 0.002]),
        "scanned": draw.uniform(-1, 1, (30, 1)).astype(np.float32),
        "codes": codes,
    }
    names = np.array([f"{i}.jpg" for i in range(30)])
    np.savez(tmp_path / "old.npz", names=names, about=np.array('{"model": {}}'), **arrays)
    index = GalleryIndex.load(tmp_path / "old.npz")
    meant = np.hstack((arrays["scanned"], codes * arrays["step"] + arrays["low"])) @ axes
    query = draw.standard_normal((2, 8))
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    similarities, rows = index.search(query, 5)
    np.testing.assert_array_equal(rows, np.argsort(-query @ meant.T, axis=1)[:, :5])
    np.testing.assert_allclose(similarities, -np.sort(-query @ meant.T, axis=1)[:, :5], atol=1e-6)
    assert index.stored.candidates == 8 and np.isnan(index.stored.lost)
