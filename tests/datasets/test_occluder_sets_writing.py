from __future__ import annotations

import hashlib
import json
import os
from functools import partial

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.occluder_sets import Crop, check_target, read_manifest, write_set

ABOUT = {"source": "a test", "licence": "none needed"}
ENTRY = {
    **{"file": "a.png", "sha256": "ab", "size": [10, 20], "ratio": 0.5, "kind": "wide"},
    **{"transparent": False, "origin": "a.jpg"},
}


@pytest.fixture
def crops(make_crop, texture):
    alpha = np.full((30, 90, 1), 77, np.uint8)
    cut_out = np.concatenate([texture(30, 90, 5), alpha], axis=2)
    return [
        make_crop(90, 30, 1, "pole"),
        make_crop(60, 30, 2, "a/b c?.*"),
        Crop("cut-out", cut_out, "c.gif (first of 3 pictures)"),
    ]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_set_holds_its_pixels_and_the_manifest_describes_every_file(tmp_path, crops):
    folder = write_set(tmp_path / "deep" / "set", crops, ABOUT)
    manifest = read_manifest(folder)
    assert manifest.about["source"] == "a test" and manifest.about["tall"] == 1
    assert manifest.about["count"] == 3 and manifest.about["wide"] == 2
    assert sorted(e.file for e in manifest.entries) == sorted(
        set(contents(folder)) - {"manifest.json"}
    )
    for entry, crop in zip(manifest.entries, crops, strict=True):
        data = (folder / entry.file).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.sha256
        with Image.open(folder / entry.file) as image:
            np.testing.assert_array_equal(np.array(image), crop.pixels)
        assert entry.size == crop.pixels.shape[:2] and entry.origin == crop.origin
        assert entry.ratio == pytest.approx(entry.size[0] / entry.size[1], abs=1e-4)
        assert entry.kind == ("tall" if entry.size[0] > 2 * entry.size[1] else "wide")
    assert [entry.transparent for entry in manifest.entries] == [False, False, True]
    assert manifest.entries[1].file == "0002_a-b-c.png"


def test_the_same_crops_give_the_same_bytes(tmp_path, crops):
    sets = [write_set(tmp_path / name, crops, ABOUT) for name in ("one", "two")]
    assert contents(sets[0]) == contents(sets[1])


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path, crops):
    (tmp_path / "set").mkdir()
    folder = write_set(tmp_path / "set", crops, ABOUT)
    with pytest.raises(ValueError, match="holds an occluder set already; try another folder"):
        write_set(folder, crops, ABOUT)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"it holds letter\.txt, which would be mixed"):
        check_target(tmp_path / "mine")
    with pytest.raises(ValueError, match="expected a folder; got a file"):
        check_target(tmp_path / "mine" / "letter.txt")
    assert sorted(os.listdir(tmp_path)) == ["mine", "set"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_set_leaves_nothing_and_can_be_repeated(tmp_path, crops, error):
    def interrupt(done, total):
        if done == 2:
            raise error("now")

    with pytest.raises(error):
        write_set(tmp_path / "set", crops, ABOUT, progress=interrupt)
    assert os.listdir(tmp_path) == []
    assert len(contents(write_set(tmp_path / "set", crops, ABOUT))) == 4


def test_what_a_killed_process_left_is_cleared_but_nobody_elses_folder(tmp_path, crops):
    draft = tmp_path / ".set.part"

    class Killed(BaseException):
        pass

    def kill(done, total):
        # what a killed process cannot do: tidy up
        os.rename(draft, tmp_path / "kept")
        raise Killed

    with pytest.raises(Killed):
        write_set(tmp_path / "set", crops, ABOUT, progress=kill)
    os.rename(tmp_path / "kept", draft)
    write_set(tmp_path / "set", crops, ABOUT)
    assert sorted(os.listdir(tmp_path)) == ["set"]

    (tmp_path / ".other.part").mkdir()
    (tmp_path / ".other.part" / "mine.txt").touch()
    with pytest.raises(ValueError, match="in the way, and not an unfinished set"):
        write_set(tmp_path / "other", crops, ABOUT)
    assert (tmp_path / ".other.part" / "mine.txt").exists()


def test_what_is_measured_of_the_written_crops_joins_the_manifest(tmp_path, crops):
    seen = []

    def describe(folder):
        seen.extend(sorted(path.name for path in folder.glob("*.png")))
        return {"supervision": 0.5}

    folder = write_set(tmp_path / "set", crops, ABOUT, describe)
    assert read_manifest(folder).about["supervision"] == 0.5
    assert seen == sorted(set(contents(folder)) - {"manifest.json"})


def test_no_crop_at_all_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="not one usable crop is left"):
        write_set(tmp_path / "set", [], ABOUT)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "got something else"),
        ('{"format": "fed_plugin occluder set", "version": 9}', "expected version 1, got 9"),
        ('{"format": "fed_plugin occluder set", "version": 1}', "list of crops is damaged"),
        (
            json.dumps(
                {
                    **{"format": "fed_plugin occluder set", "version": 1},
                    "crops": [{**ENTRY, "file": "../up.png"}],
                }
            ),
            "no name of a file in this folder",
        ),
    ],
)
def test_another_or_a_damaged_manifest_is_named(tmp_path, text, message):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json: .*" + message):
        read_manifest(tmp_path)


def test_a_manifest_has_a_line_per_crop_and_takes_any_text(tmp_path, crops):
    about = {"licence": 'CC BY "4.0" é', "source": os.fsdecode(b"\xff")}
    folder = write_set(tmp_path / "set", crops, about)
    lines = (folder / "manifest.json").read_text().splitlines()
    assert sum('"sha256"' in line for line in lines) == len(crops)
    assert {key: read_manifest(folder).about[key] for key in about} == about


def test_a_folder_without_manifest_has_none(tmp_path):
    assert read_manifest(tmp_path) is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("transparent", "false", r"Expected `bool`, got `str` - at `\$\[0\].transparent`"),
        ("transparent", 1, "Expected `bool`, got `int`"),
        ("size", ["10", 20], r"Expected `int`, got `str` - at `\$\[0\].size"),
        ("size", [10, 20, 3], "of length 2, got 3"),
        ("ratio", "0.5", "Expected `float`, got `str`"),
        ("kind", "huge", "Invalid enum value 'huge'"),
        ("sha256", None, "Expected `str`, got `null`"),
    ],
)
def test_a_value_of_another_type_is_named_and_never_taken_for_another(
    tmp_path, key, value, message
):
    content = {"format": "fed_plugin occluder set", "version": 1, "crops": [{**ENTRY, key: value}]}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=rf"manifest\.json: its list of crops is damaged.*{message}"
    ):
        read_manifest(tmp_path)


def test_the_manifest_of_an_earlier_version_is_read(tmp_path):
    content = {"format": "fed_plugin occluder set", "version": 1, "count": 1, "crops": [ENTRY]}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    (entry,) = read_manifest(tmp_path).entries
    assert (entry.file, entry.size, entry.transparent) == ("a.png", (10, 20), False)


def test_a_set_that_was_killed_at_any_moment_is_written_anew(kill_at, tmp_path, crops):
    whole = contents(write_set(tmp_path / "whole", crops, ABOUT))
    for count in range(1, 80):
        out = tmp_path / f"killed{count}" / "set"
        call = partial(write_set, out, crops, ABOUT)
        killed = kill_at(out.parent, count, call)
        if killed and not (out / "manifest.json").exists():  # also the one that clears it up
            kill_at(out.parent, count // 2, call)
        if not (out / "manifest.json").exists():
            write_set(out, crops, ABOUT)
        assert contents(out) == whole
        assert sorted(out.parent.iterdir()) == [out]
    assert not killed


def test_two_that_write_one_set_do_not_remove_each_others_crops(tmp_path, crops):
    def second(done, total):
        with pytest.raises(RuntimeError, match="builds the set"):
            write_set(tmp_path / "set", crops, ABOUT)

    assert contents(write_set(tmp_path / "set", crops, ABOUT, progress=second))
