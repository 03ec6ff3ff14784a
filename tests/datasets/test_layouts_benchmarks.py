from __future__ import annotations

import dataclasses
import os

import pytest

from fed_plugin.datasets import LAYOUTS, occluded_duke, occluded_reid, partial_reid, synthocc

SYNTHOCC_FILES = (
    "bounding_box_train/0001_c1s1_000151_00.jpg",
    "query/0002_c1s1_000152_00.jpg",
    "bounding_box_test/0002_c2s1_000153_00.jpg",
    "bounding_box_test/0000_c12s1_000154_00.jpg",
    "bounding_box_test/-1_c2s1_000155_00.jpg",
)


def named(items):
    return [(os.path.basename(path), pid, camid) for path, pid, camid in items]


def below(folder, files):
    return [f"{folder}/{file}" for file in files]


@pytest.mark.parametrize("folder", LAYOUTS["Occluded_Duke"].folders)
def test_occluded_duke_is_found_under_every_spelling(
    tmp_path, draw_tree, occluded_duke_files, folder
):
    splits = occluded_duke(draw_tree(tmp_path, *below(folder, occluded_duke_files)))
    assert named(splits.train) == [
        ("0001_c2_f0046182.jpg", 1, 1),
        ("0001_c6_f0000007.jpg", 1, 5),
        ("0702_c8_f0000009.jpg", 702, 7),
    ]
    assert named(splits.query) == [("0005_c1_f0000010.jpg", 5, 0)]
    assert [item[1:] for item in splits.gallery] == [(5, 0), (5, 3), (7139, 2)]


def test_the_lists_are_python_ints_and_paths_that_open(tmp_path, draw_tree, occluded_duke_files):
    splits = occluded_duke(draw_tree(tmp_path, *below("Occluded_Duke", occluded_duke_files)))
    for path, pid, camid in splits.train + splits.query + splits.gallery:
        assert type(path) is str and os.path.isfile(path)
        assert type(pid) is int and type(camid) is int


def test_a_root_that_looks_like_an_identity_changes_no_identity(
    tmp_path, draw_tree, occluded_duke_files, occluded_reid_files
):
    root = tmp_path / "run2024_7_x" / "0099_c5_f0000001"
    draw_tree(root, *below("Occluded_Duke", occluded_duke_files))
    draw_tree(root, *below("Occluded_REID", occluded_reid_files))
    assert {pid for _, pid, _ in occluded_duke(str(root)).train} == {1, 702}
    assert {pid for _, pid, _ in occluded_reid(str(root)).query} == {1, 2}


def test_a_query_file_that_is_a_gallery_file_too_shares_its_camera_so_that_the_rule_takes_it_out(
    tmp_path, draw_tree, occluded_duke_files
):
    splits = occluded_duke(draw_tree(tmp_path, *below("Occluded_Duke", occluded_duke_files)))
    both = set(named(splits.query)) & set(named(splits.gallery))
    assert both == {("0005_c1_f0000010.jpg", 5, 0)}


def test_occluded_reid_is_read_nested_as_published(tmp_path, draw_tree, occluded_reid_files):
    splits = occluded_reid(draw_tree(tmp_path, *below("Occluded_REID", occluded_reid_files)))
    assert splits.train == []
    assert named(splits.query) == [("001_01.tif", 1, 0), ("002_01.tif", 2, 0)]
    assert named(splits.gallery) == [("001_01.tif", 1, 1), ("002_02.tif", 2, 1)]


def test_occluded_reid_is_read_flat_with_the_other_names_of_its_folders(tmp_path, draw_tree):
    files = ("OccludedREID/query/001_01.jpg", "OccludedREID/gallery/001_02.jpg")
    splits = occluded_reid(draw_tree(tmp_path, *files))
    assert named(splits.query) == [("001_01.jpg", 1, 0)]
    assert named(splits.gallery) == [("001_02.jpg", 1, 1)]


@pytest.mark.parametrize("folder", LAYOUTS["Partial_REID"].folders)
def test_partial_reid_has_two_query_sets_and_the_cropped_one_is_the_default(
    tmp_path, draw_tree, folder
):
    root = draw_tree(
        tmp_path,
        f"{folder}/partial_body_images/001_01.jpg",
        f"{folder}/occluded_body_images/001_02.jpg",
        f"{folder}/whole_body_images/001_03.jpg",
    )
    assert named(partial_reid(root).query) == [("001_01.jpg", 1, 0)]
    uncropped = partial_reid(root, queries="occluded_body_images")
    assert named(uncropped.query) == [("001_02.jpg", 1, 0)]
    assert uncropped.gallery == partial_reid(root).gallery
    assert partial_reid(root).train == []


def test_one_query_set_never_stands_in_for_the_other(tmp_path, draw_tree):
    root = draw_tree(
        tmp_path,
        "Partial_REID/occluded_body_images/001_02.jpg",
        "Partial_REID/whole_body_images/001_03.jpg",
    )
    with pytest.raises(FileNotFoundError, match="no query folder in"):
        partial_reid(root)


def test_an_unknown_query_set_is_refused(tmp_path):
    message = "queries='cropped': expected partial_body_images or occluded_body_images"
    with pytest.raises(ValueError, match=message):
        partial_reid(str(tmp_path), queries="cropped")


def test_without_cameras_no_gallery_image_shares_the_camera_of_a_query(
    tmp_path, draw_tree, occluded_reid_files
):
    splits = occluded_reid(draw_tree(tmp_path, *below("Occluded_REID", occluded_reid_files)))
    query_cameras = {camid for _, _, camid in splits.query}
    assert query_cameras.isdisjoint({camid for _, _, camid in splits.gallery})


def test_synthocc_is_read_as_market_1501_with_two_digit_cameras(tmp_path, draw_tree):
    splits = synthocc(draw_tree(tmp_path, *below("SynthOcc", SYNTHOCC_FILES)))
    assert named(splits.train) == [("0001_c1s1_000151_00.jpg", 1, 0)]
    assert named(splits.query) == [("0002_c1s1_000152_00.jpg", 2, 0)]
    assert [item[1:] for item in splits.gallery] == [(0, 11), (2, 1)]


def test_junk_detections_leave_the_gallery_and_distractors_stay(tmp_path, draw_tree):
    splits = synthocc(draw_tree(tmp_path, *below("SynthOcc", SYNTHOCC_FILES)))
    assert {pid for _, pid, _ in splits.gallery} == {0, 2}


def test_the_order_of_the_lists_is_that_of_the_names(tmp_path, draw_tree, occluded_duke_files):
    shuffled = occluded_duke_files[::-1]
    splits = occluded_duke(draw_tree(tmp_path, *below("Occluded_Duke", shuffled)))
    for items in (splits.train, splits.query, splits.gallery):
        assert items == sorted(items, key=lambda item: os.path.basename(item[0]))


def test_splits_cannot_be_exchanged_by_accident(tmp_path, draw_tree, occluded_duke_files):
    splits = occluded_duke(draw_tree(tmp_path, *below("Occluded_Duke", occluded_duke_files)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        splits.query = splits.gallery


def test_an_image_whose_name_does_not_parse_is_named(tmp_path, draw_tree, occluded_duke_files):
    stray = "Occluded_Duke/query/IMG_2024.jpg"
    root = draw_tree(tmp_path, *below("Occluded_Duke", occluded_duke_files), stray)
    with pytest.raises(ValueError, match=r"IMG_2024\.jpg: cannot read an identity and a camera"):
        occluded_duke(root)
