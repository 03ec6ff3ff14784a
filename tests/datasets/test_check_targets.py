from __future__ import annotations

import os
import shutil

import pytest

from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.posetrack import CROPS
from fed_plugin.datasets.splits import Published


def found(words, root="nowhere"):
    targets = find_targets(None if words is None else str(words), str(root))
    return [(target.name, os.path.abspath(target.folder)) for target in targets]


@pytest.fixture
def draw(tmp_path, picture):
    """Draw pictures at paths below the temporary folder."""

    def at(*paths):
        for path in paths:
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            picture(path).save(target)

    return at


PARTIAL = (
    "Partial-REID_Dataset/partial_body_images/001_01.jpg",
    "Partial-REID_Dataset/occluded_body_images/001_01.jpg",
    "Partial-REID_Dataset/whole_body_images/001_01.jpg",
)


@pytest.mark.parametrize("spelling", ["Occluded_Duke", "occluded-duke", "OCCLUDEDDUKE"])
def test_a_registered_name_is_looked_for_below_the_root(duke, spelling):
    assert found(spelling, duke.parent) == [("Occluded_Duke", str(duke))]


def test_the_folder_itself_and_the_one_above_are_understood(duke):
    expected = [("Occluded_Duke", str(duke))]
    assert found(duke) == found(f"{duke}/") == found(duke.parent) == expected


def test_a_relative_path_is_understood(duke, monkeypatch):
    monkeypatch.chdir(duke.parent)
    expected = [("Occluded_Duke", str(duke))]
    assert found("./Occluded_Duke") == found("Occluded_Duke") == found(".") == expected
    monkeypatch.chdir(duke)
    assert found(".") == expected


def test_without_words_every_known_data_set_is_found(duke, draw):
    draw(*PARTIAL)
    assert [name for name, _ in found(None, duke.parent)] == [
        "Occluded_Duke",
        "Partial_REID",
        "Partial_REID_Occluded",
    ]


def test_folders_that_make_up_one_split_are_checked_together(tmp_path, draw):
    draw(
        *(f"P-DukeMTMC-reID/train/{part}/{who}/{who}_{part[0]}.jpg"
          for part in ("occluded_body_images", "whole_body_images") for who in ("0001", "0002")),
        "P-DukeMTMC-reID/test/occluded_body_images/0003/0003_1.jpg",
        "P-DukeMTMC-reID/test/whole_body_images/0003/0003_2.jpg",
    )  # fmt: skip
    (target,) = find_targets(str(tmp_path), "nowhere")
    rows = [(row.split, row.images, row.identities, row.cameras) for row in check(target).splits]
    assert rows == [("train", 4, 2, 0), ("query", 1, 1, 0), ("gallery", 1, 1, 0)]
    assert "train in train/occluded_body_images/, train in train/whole" in target.variant[0]


def test_without_the_lists_that_select_images_every_image_is_passed_over(tmp_path, draw):
    draw(f"PoseTrack21/{CROPS}/train/1_2_3.jpg", f"PoseTrack21/{CROPS}/val/4_5_6.jpg")
    (target,) = find_targets(str(tmp_path), "nowhere")
    report = check(target)
    assert [row.images for row in report.splits] == [0, 0, 0]
    (over,) = [found for found in report.findings if found.kind == "passed over"]
    assert len(over.files) == 2 and report.errors == 3


def test_a_query_set_that_is_not_there_is_not_asked_for(tmp_path, draw):
    draw(PARTIAL[0], PARTIAL[2])
    assert [name for name, _ in found(tmp_path)] == ["Partial_REID"]


def test_an_incomplete_data_set_is_found_and_its_check_says_what_is_missing(duke):
    shutil.rmtree(duke / "query")
    (target,) = find_targets(str(duke), "nowhere")
    assert "no query folder" in check(target).findings[0].sentence


def test_the_variant_says_which_spelling_was_found_and_where_each_split_is(duke):
    other = duke.rename(duke.with_name("Occluded-DukeMTMC-reID"))
    (target,) = find_targets(str(other), "nowhere")
    assert target.variant == (
        "found as Occluded-DukeMTMC-reID/: train in bounding_box_train/, query in query/, gallery "
        "in bounding_box_test/",
    )


def counts_of_the_fixture(monkeypatch, **names):
    from dataclasses import replace

    counts = {"train": Published(3), "query": Published(2), "gallery": Published(3)}
    changed = {**LAYOUTS, **{n: replace(LAYOUTS[n], published=counts) for n in names.values()}}
    monkeypatch.setattr("fed_plugin.datasets.check.LAYOUTS", changed)


def test_a_benchmark_in_a_folder_of_another_name_is_known_by_its_files(duke, monkeypatch):
    counts_of_the_fixture(monkeypatch, one="Occluded_Duke")
    other = duke.rename(duke.with_name("my copy"))
    (target,) = find_targets(str(other), "nowhere")
    assert (target.name, target.folder) == ("Occluded_Duke", str(other))
    assert "a name that no loader knows" in target.variant[0]
    assert "count" not in {finding.kind for finding in check(target).findings}


def test_other_images_in_the_form_of_a_benchmark_are_own_data(duke):
    other = duke.rename(duke.with_name("mine"))
    (target,) = find_targets(str(other), "nowhere")
    assert target.name == "FolderReID" and target.variant[0].startswith(str(other))
    assert [row.images for row in check(target).splits] == [3, 2, 3]


def test_synthocc_is_known_in_any_folder_by_its_manifest(tmp_path, draw):
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        draw(f"drawn/{split}/0001_c1s1_000001_01.jpg")
    (tmp_path / "drawn" / "synthocc.json").write_text("{}")
    assert found(tmp_path / "drawn") == [("SynthOcc", str(tmp_path / "drawn"))]


def test_own_images_are_divided_and_what_was_done_is_told(tmp_path, draw):
    draw(*(f"shop/{who}/{number}.jpg" for who in "abcdef" for number in range(2)))
    (target,) = find_targets(str(tmp_path / "shop"), "nowhere")
    assert target.name == "FolderReID" and not target.has_cameras
    assert any("a folder per identity" in sentence for sentence in target.variant)
    report = check(target)
    assert sum(row.images for row in report.splits) == 12
    assert {row.cameras for row in report.splits} == {0}
    assert report.errors == 0


def test_warnings_about_own_data_are_findings_and_told_once(tmp_path, draw):
    draw("shop/anna/1.jpg", "shop/bert/1.jpg")
    (target,) = find_targets(str(tmp_path / "shop"), "nowhere")
    (warned,) = [f for f in check(target).findings if f.kind == "own data"]
    assert warned.severity == "warning" and "Nothing can be tested on" in warned.sentence
    assert "Nothing can be tested on" not in " ".join(target.variant)


def test_files_passed_over_in_own_data_are_named(tmp_path, draw):
    draw(*(f"shop/{who}/{number}.jpg" for who in ("anna", "bert") for number in range(4)))
    (tmp_path / "shop" / "readme.txt").write_text("")
    (target,) = find_targets(str(tmp_path / "shop"), "nowhere")
    over = [f for f in check(target).findings if f.kind == "passed over"]
    assert over[0].files == ((str(tmp_path / "shop" / "readme.txt"),),)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ("Occluded_REID", FileNotFoundError, "not in nowhere"),
        ("holiday", FileNotFoundError, "expected a path, or one of Occluded_Duke, P_Duke"),
        ("/nowhere/at/all", FileNotFoundError, "no such file or folder"),
        (None, FileNotFoundError, "nowhere: no such folder; expected some of Occluded_Duke/"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(words, error, message):
    with pytest.raises(error, match=message):
        find_targets(words, "nowhere")


def test_an_empty_folder_is_no_data_set(tmp_path):
    with pytest.raises(ValueError, match=r"DATASETS\.FOLDER_REID\.ROOT"):
        find_targets(str(tmp_path), "nowhere")
    with pytest.raises(FileNotFoundError, match="none of the known data sets in it"):
        find_targets(None, str(tmp_path))


def test_a_file_that_is_no_table_is_no_data_set(tmp_path):
    (tmp_path / "duke.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"DATASETS\.FOLDER_REID\.ROOT"):
        find_targets(str(tmp_path / "duke.zip"), "nowhere")
