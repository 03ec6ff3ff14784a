"""A gallery to search: adding, removing, finding, and files."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval.distances import visible_similarity
from fed_plugin.search.gallery_index import GalleryIndex

MODEL = {"weights_sha256": "ab", "config_sha256": "cd"}


@pytest.fixture
def index():
    """Twenty images of 12 numbers and 3 parts."""
    draw = np.random.default_rng(0)
    descriptors = draw.normal(size=(20, 12)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    made = GalleryIndex(12, 3, {"model": MODEL})
    made.add([f"{i}.jpg" for i in range(20)], descriptors, draw.uniform(size=(20, 3)))
    return made


def test_it_finds_the_nearest_exactly(index):
    all_of_them = index.stored.restored(slice(None))
    scores, rows = index.search(all_of_them[:4], 5)
    cosines = all_of_them[:4] @ all_of_them.T
    assert np.array_equal(rows, np.argsort(-cosines, axis=1)[:, :5])
    assert np.abs(scores - np.sort(cosines, axis=1)[:, ::-1][:, :5]).max() < 1e-6
    assert index.search(all_of_them[:1], 99)[1].shape == (1, 20)


def test_it_finds_by_what_is_visible_too(index):
    seen = np.array([[1, 0, 0]], np.float32)
    scores, rows = index.search(index.stored.restored(slice(None))[:1], 20, seen)
    expected = visible_similarity(
        index.stored.restored(slice(None))[:1],
        seen,
        index.stored.restored(slice(None)),
        index.visibility,
    )
    assert np.array_equal(rows[0], np.argsort(-expected[0], kind="stable"))
    assert not np.array_equal(rows, index.search(index.stored.restored(slice(None))[:1], 20)[1])
    assert scores[0, 0] == pytest.approx(1)


def test_what_is_removed_is_not_found_and_the_rest_stays(index, tmp_path):
    before = index.stored.restored(slice(None))
    index.remove(["3.jpg", "17.jpg"])
    keep = [i for i in range(20) if i not in (3, 17)]
    assert index.names == [f"{i}.jpg" for i in keep]
    assert np.array_equal(index.stored.restored(slice(None)), before[keep])
    _, rows = index.search(before[[3, 18]], 1)
    assert index.names[rows[1, 0]] == "18.jpg" and index.names[rows[0, 0]] != "3.jpg"
    index.add(["3.jpg"], before[3:4], np.ones((1, 3)))
    assert index.names[index.search(before[3:4], 1)[1][0, 0]] == "3.jpg"
    index.save(tmp_path / "a.npz")
    again = GalleryIndex.load(tmp_path / "a.npz")
    assert again.names == index.names and again.about == index.about
    assert np.array_equal(again.stored.restored(slice(None)), index.stored.restored(slice(None)))
    assert np.array_equal(again.visibility, index.visibility)


def test_rows_that_are_no_numbers_find_nobody(index):
    # faiss answers row -1 to them, which names the last image
    of = index.stored.restored(slice(None))[:2].copy()
    seen = np.ones((2, 3), np.float32)
    for broken, words in ((of, "descriptors"), (seen, "visibility")):
        keep = broken.copy()
        broken[1] = np.nan
        with pytest.raises(ValueError, match=f"{words}: 1 rows are not finite, first 1"):
            index.search(of, 2, seen)
        broken[:] = keep
    with pytest.raises(ValueError, match=r"descriptors: .* got \(12,\)"):
        index.search(of[0], 2)
    for shape in ((1, 3), (2, 2), (3,)):
        with pytest.raises(ValueError, match=r"visibility: expected \(Q, 3\) with Q = 2"):
            index.search(of, 2, np.ones(shape, np.float32))
    assert np.array_equal(index.search(of.tolist(), 2)[1], index.search(of, 2)[1])


def test_an_index_without_parts_or_images(tmp_path):
    empty = GalleryIndex(4, 0, {})
    assert empty.search(np.zeros((2, 4), np.float32), 3)[0].shape == (2, 0)
    empty.save(tmp_path / "empty.npz")
    assert len(GalleryIndex.load(tmp_path / "empty.npz")) == 0
    empty.add(["a"], np.full((1, 4), 0.5))
    with pytest.raises(ValueError, match="estimates none"):
        empty.search(np.ones((1, 4)), 1, np.ones((1, 3)))


def test_mistakes_change_nothing(index):
    new = np.full((2, 12), 12**-0.5, np.float32)
    for names, descriptors, words in (
        (["x", "x"], new, "twice, first x"),
        (["x", "0.jpg"], new, "first 0.jpg"),
        (["x", "y"], new[:, :7], "descriptors"),
        (["x", "y"], new * np.nan, "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            index.add(names, descriptors, np.ones((2, 3)))
    with pytest.raises(ValueError, match="visibility"):
        index.add(["x", "y"], new)
    with pytest.raises(KeyError, match=r"nobody\.jpg"):
        index.remove(["1.jpg", "nobody.jpg"])
    with pytest.raises(ValueError, match="top 0"):
        index.search(new, 0)
    with pytest.raises(ValueError, match=r"\(Q, 12\)"):
        index.search(new[:, :3], 1)
    assert len(index) == 20


def test_another_model_is_refused_by_what_differs(index):
    index.check_model(MODEL)
    with pytest.raises(ValueError, match="weights_sha256 differ"):
        index.check_model({**MODEL, "weights_sha256": "other"})
    index.about["model"] = "mine"
    with pytest.raises(ValueError, match="config_sha256, weights_sha256 differ"):
        index.check_model(MODEL)


def test_other_files_are_refused_by_name(index, tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"a\.npz"):
        GalleryIndex.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(
        ValueError, match=r"a\.npz: not a gallery index .*try making the index anew"
    ):
        GalleryIndex.load(path)
    np.savez(path, names=np.array(["a"]))
    with pytest.raises(ValueError, match="descriptors"):
        GalleryIndex.load(path)
    np.savez(
        path, names=np.array(["a", "b"]), descriptors=np.full((1, 3), 3**-0.5), about=np.array("{}")
    )
    with pytest.raises(ValueError, match="names: expected 1 texts, one per descriptor"):
        GalleryIndex.load(path)
    np.savez(path, names=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        GalleryIndex.load(path)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("visibility", lambda x: np.float32(1), r"visibility: expected \(G, P\) finite floats"),
        ("visibility", lambda x: x.astype(str), r"visibility: expected \(G, P\) finite floats"),
        ("visibility", lambda x: -7 * x, r"visibility: expected shares in \[0, 1\]"),
        ("descriptors", lambda x: 1000 * x, "descriptors: expected unit length, got"),
        ("descriptors", lambda x: x.astype(str), r"descriptors: expected \(G, D\) finite floats"),
        ("descriptors", lambda x: x > 0, r"descriptors: expected \(G, D\) finite floats"),
    ],
)
def test_a_file_with_other_arrays_is_refused_by_name(index, tmp_path, name, change, words):
    path = tmp_path / "a.npz"
    index.save(path)
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, name: change(arrays[name])})
    with pytest.raises(ValueError, match=rf"a\.npz: not a gallery index: .*{words}"):
        GalleryIndex.load(path)


def test_descriptors_that_are_not_of_unit_length_are_refused(index):
    with pytest.raises(ValueError, match="expected unit length, got 2 to 2"):
        index.add(["new.jpg"], 2 * index.stored.restored(slice(None))[:1], np.ones((1, 3)))
