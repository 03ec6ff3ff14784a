from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval.feature_dump import FeatureDump, unique_names

ARRAYS = ("features", "pids", "camids", "split", "names", "part_features", "visibility")


def assert_equal(a, b):
    for name in ARRAYS:
        ours, theirs = getattr(a, name), getattr(b, name)
        assert (ours is None) == (theirs is None), name
        assert ours is None or (ours.dtype == theirs.dtype and np.array_equal(ours, theirs)), name
    assert a.about == b.about


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("parts", [False, True])
def test_a_dump_comes_back_as_it_was_saved(draw_dump, tmp_path, dtype, parts):
    about = {"method": "mine", "seed": 3, "nested": {"list": [1, None, "Straße"]}}
    dump = draw_dump(dtype=dtype, parts=parts, about=about)
    dump.save(tmp_path / "a.npz")
    assert_equal(FeatureDump.load(tmp_path / "a.npz"), dump)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_what_numpy_alone_writes_is_a_dump(tmp_path):
    np.savez_compressed(
        tmp_path / "a.npz",
        features=np.eye(3, dtype=np.float32),
        pids=np.array([1, 1, 2], dtype=np.uint16),
        camids=np.array([0, 1, 1]),
        split=np.array(["query", "gallery", "gallery"]),
        names=np.array(["a.jpg", "a.jpg", "b.jpg"]),  # the same name in two splits is fine
    )
    dump = FeatureDump.load(tmp_path / "a.npz")
    assert dump.query.tolist() == [0] and dump.gallery.tolist() == [1, 2]
    assert dump.about == {} and dump.visibility is None and dump.part_features is None


def with_nan(array):
    array = array.copy()
    array[5, 0] = np.nan
    return array


REFUSED = [
    ("features", lambda a: a.astype(np.float64), "features holds float64: expected float32 or"),
    ("features", with_nan, "features holds NaN or infinity, first in row 5"),
    ("features", lambda a: a * np.float32(np.inf), "features holds NaN or infinity"),
    ("features", lambda a: a[:, 0], r"features has shape \(12,\): expected \(N, D\)"),
    ("features", lambda a: a[:, :0], r"features has shape \(12, 0\)"),
    ("features", lambda a: a[:-1], "features has 11 entries and names 12"),
    ("features", lambda a: a.tolist(), "features is a list: expected an array"),
    ("pids", lambda a: a[:-2], "pids has 10 entries and names 12"),
    ("pids", lambda a: a.astype(float), "pids holds float64: expected integers"),
    ("pids", lambda a: a.astype(str), "pids holds <U21: expected integers; try np.unique"),
    ("camids", lambda a: a > 1, "camids holds bool: expected integers"),
    ("camids", lambda a: a[:, None], r"camids has shape \(12, 1\)"),
    ("split", lambda a: a.astype(bytes), r"split holds \|S7: expected strings"),
    (
        "split",
        lambda a: np.where(a == "query", "probe", a),
        "split holds 'probe': expected 'query'",
    ),
    ("split", lambda a: np.full_like(a, "gallery"), "split names no query image"),
    ("split", lambda a: np.full_like(a, "query"), "split names no gallery image"),
    ("names", lambda a: np.where(a == "1.jpg", "0.jpg", a), "'0.jpg' 2 times in query"),
    ("names", lambda a: np.where(a == "9.jpg", "", a), "an empty name in gallery"),
    ("visibility", lambda a: a + 1, r"visibility lies in \[1, 2\]: expected shares in"),
    ("visibility", lambda a: a[:, :2], "part_features has 3 parts and visibility 2"),
    ("visibility", with_nan, "visibility holds NaN"),
    ("part_features", with_nan, "part_features holds NaN"),
    ("part_features", lambda a: a[..., 0], r"part_features has shape \(12, 3\)"),
]


@pytest.mark.parametrize(("name", "change", "message"), REFUSED)
def test_arrays_that_do_not_fit_are_refused_by_name_in_making_and_loading(
    draw_dump, tmp_path, name, change, message
):
    good = draw_dump(parts=True)
    arrays = {key: getattr(good, key) for key in ARRAYS}
    arrays[name] = change(arrays[name])
    with pytest.raises(ValueError, match=message):
        FeatureDump(**arrays)
    if isinstance(arrays[name], np.ndarray):
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(ValueError, match=rf"bad\.npz: .*{message}"):
            FeatureDump.load(tmp_path / "bad.npz")


@pytest.mark.parametrize("missing", ["features", "pids", "camids", "split", "names"])
def test_a_missing_array_is_named(draw_dump, tmp_path, missing):
    good = draw_dump()
    np.savez(tmp_path / "bad.npz", **{k: getattr(good, k) for k in ARRAYS[:5] if k != missing})
    with pytest.raises(ValueError, match=f"holds no array '{missing}', expected features, pids"):
        FeatureDump.load(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (np.array("{"), "not the JSON object of about: no JSON"),
        (np.array("[1]"), r"object of about: expected an object, got \[1\]"),
        (np.array(["{}"]), "expected one string"),
        (np.array(3), "about is int64 of shape"),
        (np.array('{"a": NaN}'), "not the JSON object of about: no JSON"),
        (np.array("[" * 100_000), "object of about: no JSON"),
    ],
)
def test_about_is_a_json_object(draw_dump, tmp_path, about, message):
    good = draw_dump()
    np.savez(tmp_path / "bad.npz", about=about, **{k: getattr(good, k) for k in ARRAYS[:5]})
    with pytest.raises(ValueError, match=message):
        FeatureDump.load(tmp_path / "bad.npz")


def test_an_array_that_nobody_reads_is_named(draw_dump, tmp_path, caplog):
    good = draw_dump()
    np.savez(tmp_path / "a.npz", visibilty=[1], **{k: getattr(good, k) for k in ARRAYS[:5]})
    assert_equal(FeatureDump.load(tmp_path / "a.npz"), good)
    assert "its arrays visibilty are not read" in caplog.text


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("where", ["names", "about", "anything"])
def test_a_payload_in_an_object_array_is_refused_and_not_executed(draw_dump, tmp_path, where):
    planted = np.empty(12, dtype=object)
    planted[:] = Payload(tmp_path / "executed")
    good = draw_dump()
    np.savez(tmp_path / "bad.npz", **{**{k: getattr(good, k) for k in ARRAYS[:5]}, where: planted})
    with pytest.raises(ValueError, match=f"bad.npz: not a feature dump .*{where}.*pickle"):
        FeatureDump.load(tmp_path / "bad.npz")
    assert not (tmp_path / "executed").exists()
    with np.load(tmp_path / "bad.npz", allow_pickle=True) as file:
        file[where]  # the payload is live: only the refusal keeps it from running
    assert (tmp_path / "executed").exists()


def test_a_pickle_with_the_name_of_a_dump_is_refused_and_not_executed(tmp_path):
    (tmp_path / "bad.npz").write_bytes(pickle.dumps(Payload(tmp_path / "executed")))
    with pytest.raises(ValueError, match=r"bad\.npz: not a feature dump that can be read"):
        FeatureDump.load(tmp_path / "bad.npz")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"noise", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz: not a feature dump that can be read"):
        FeatureDump.load(tmp_path / "bad.npz")


def test_a_bare_array_and_a_zip_of_something_else_are_refused(tmp_path):
    with (tmp_path / "bad.npz").open("wb") as file:
        np.save(file, np.eye(3))
    with pytest.raises(ValueError, match="it holds one bare array"):
        FeatureDump.load(tmp_path / "bad.npz")
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as file:
        file.writestr("features", "text")
    with pytest.raises(ValueError, match="features: no array"):
        FeatureDump.load(tmp_path / "bad.npz")


def test_what_is_not_there_is_said(tmp_path):
    for path in (tmp_path / "gone.npz", tmp_path):
        with pytest.raises(FileNotFoundError, match="file; expected a feature dump"):
            FeatureDump.load(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_truncated_or_changed_file_is_refused_or_whole(draw_dump, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    dump = draw_dump(parts=True, about={"method": "mine"})
    dump.save(folder / "a.npz")
    whole = (folder / "a.npz").read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:place]
    else:
        damaged = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
    (folder / "a.npz").write_bytes(damaged)
    try:
        loaded = FeatureDump.load(folder / "a.npz")
    except ValueError as error:
        assert "a.npz" in str(error)
    else:
        assert len(damaged) == len(whole)
        assert_equal(loaded, dump)  # a byte that carries nothing: times, attributes


def test_a_byte_that_hides_arrays_from_the_list_is_noticed(draw_dump, tmp_path):
    draw_dump(parts=True, about={"method": "mine"}).save(tmp_path / "a.npz")
    content = bytearray((tmp_path / "a.npz").read_bytes())
    last = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x01\x02"))
    content[last + 32] ^= 0xFF  # length of an entry's comment, which swallows the next entry
    (tmp_path / "a.npz").write_bytes(content)
    with np.load(tmp_path / "a.npz") as file:
        assert "about" not in file  # and nobody said so
    with pytest.raises(ValueError, match="it lists 7 arrays and counts 8"):
        FeatureDump.load(tmp_path / "a.npz")


def test_a_save_that_fails_leaves_what_was_there(draw_dump, tmp_path, monkeypatch):
    draw_dump().save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw_dump(seed=1).save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_saving_where_no_folder_is_or_over_a_folder_is_refused(draw_dump, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file in an existing folder"):
        draw_dump().save(tmp_path / "gone" / "a.npz")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        draw_dump().save(tmp_path)


def test_about_that_json_cannot_hold_is_refused(draw_dump):
    for value in (np.float32(1), float("nan"), {1, 2}):
        with pytest.raises(ValueError, match="expected what JSON can hold"):
            draw_dump(about={"value": value})
    assert json.loads(json.dumps(draw_dump(about={"a": 1}).about)) == {"a": 1}


def test_names_are_base_names_or_as_long_as_it_takes():
    assert unique_names(["x/1/a.jpg", "x/2/b.jpg"]) == ["a.jpg", "b.jpg"]
    assert unique_names(["x/1/a.jpg", "x/2/a.jpg"]) == ["1/a.jpg", "2/a.jpg"]
    assert unique_names(["a.jpg", "1/a.jpg"]) == ["a.jpg", "1/a.jpg"]
    assert unique_names([]) == []
    with pytest.raises(ValueError, match=r"x/a\.jpg: stands 2 times in one split"):
        unique_names(["x/a.jpg", "x/a.jpg"])
