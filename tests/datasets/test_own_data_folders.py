from __future__ import annotations

import os

import pytest

from fed_plugin.datasets.own_data import read_folder

FLAT = [f"{pid:04d}_c{camera}s1_00{camera}_00.jpg" for pid in (3, 7, 12) for camera in (1, 2)]


@pytest.fixture
def found(tmp_path, plant):
    """Plant files, and show records as relative path -> (identity, camera, split)."""

    def plant_and_find(*paths):
        folder = plant(tmp_path, *paths)
        records = read_folder(folder).records
        return {os.path.relpath(r.path, folder): (r.identity, r.camera, r.split) for r in records}

    return plant_and_find


def said(folder):
    return " ".join(read_folder(str(folder)).sentences)


def passed_over(folder):
    return [os.path.relpath(path, folder) for path in read_folder(str(folder)).passed_over]


def test_a_folder_is_an_identity_whatever_it_is_called(found):
    assert found("José Ángel/IMG 1.JPG", "John_Smith/a.b.c.png", "O'Neil #2/x.tif", "李/1.bmp") == {
        "José Ángel/IMG 1.JPG": ("José Ángel", None, None),
        "John_Smith/a.b.c.png": ("John_Smith", None, None),
        "O'Neil #2/x.tif": ("O'Neil #2", None, None),
        "李/1.bmp": ("李", None, None),
    }


def test_folders_may_hold_files_of_one_name(found):
    assert len(found("a/1.jpg", "b/1.jpg", "c/1.jpg")) == 3


def test_an_image_in_two_formats_is_refused(found):
    with pytest.raises(ValueError, match=r"1\.jpg and .*1\.png: expected one file per image"):
        found("a/1.jpg", "a/1.png", "b/1.jpg")


def test_cameras_come_from_the_names_if_all_of_them_tell_one(found, tmp_path):
    assert found(*FLAT)["0003_c2s1_002_00.jpg"] == ("3", "2", None)
    assert "Cameras: 2, read from the names" in said(tmp_path)


@pytest.mark.parametrize("name", ["p_c7.jpg", "p_q_C7-1.jpg", "p_c007s12_3.jpg", "p_c7.x_1.jpg"])
def test_a_camera_is_the_number_after_the_first_c(found, name):
    assert found(f"someone/{name}") == {f"someone/{name}": ("someone", "7", None)}


@pytest.mark.parametrize("name", ["c1_p.jpg", "img_c3po.jpg", "p_cam1.jpg", "p_c.jpg", "p_d1.jpg"])
def test_one_name_without_a_camera_takes_the_cameras_of_all(found, tmp_path, name):
    records = found(*(f"someone/{flat}" for flat in FLAT), f"someone/{name}")
    assert {camera for _, camera, _ in records.values()} == {None}
    assert f"1 name of 7 contains none ({name[:-4]}; expected names like" in said(tmp_path)


def test_a_stray_folder_beside_more_names_is_passed_over(found, tmp_path):
    assert {camera for _, camera, _ in found(*FLAT, "x/y.jpg").values()} == {"1", "2"}
    assert passed_over(tmp_path) == ["x/y.jpg"]


def test_identities_of_names_stand_before_the_camera(found):
    assert found("john_doe_c1_0.jpg", "john_smith_c2_0.jpg") == {
        "john_doe_c1_0.jpg": ("john_doe", "1", None),
        "john_smith_c2_0.jpg": ("john_smith", "2", None),
    }


def test_identities_of_names_without_cameras_stand_before_the_first_underscore(found, tmp_path):
    assert found("001_01.jpg", "002_01.jpg", "anna_b_1.jpg", "_1.jpg", "cover.jpg") == {
        "001_01.jpg": ("1", None, None),
        "002_01.jpg": ("2", None, None),
        "anna_b_1.jpg": ("anna", None, None),
    }
    assert passed_over(tmp_path) == ["_1.jpg", "cover.jpg"]


@pytest.mark.parametrize(
    ("train", "query", "gallery"),
    [
        ("train", "query", "gallery"),
        ("bounding_box_train", "query", "bounding_box_test"),
        ("Training", "probe", "Test"),
        ("image_train", "image_query", "image_test"),
        ("train", "queries", "val"),
        ("train", "test/query", "test/gallery"),
    ],
)
@pytest.mark.parametrize("form", ["{}_c1s1_000_00.jpg", "{}/1.jpg"])
def test_a_split_on_top_is_taken_as_it_is(found, tmp_path, train, query, gallery, form):
    one, two = form.format("0001"), form.format("0002")
    splits = {
        path: split
        for path, (_, _, split) in found(
            f"{train}/{one}", f"{query}/{two}", f"{gallery}/{two}", "readme.txt"
        ).items()
    }
    assert splits == {
        f"{train}/{one}": "train",
        f"{query}/{two}": "query",
        f"{gallery}/{two}": "gallery",
    }
    assert f"{train}/ is train, {query}/ is query, {gallery}/ is gallery" in said(tmp_path)
    assert passed_over(tmp_path) == ["readme.txt"]


@pytest.mark.parametrize("test", ["test", "gallery", "val", "bounding_box_test"])
def test_a_test_folder_without_queries_is_still_to_be_divided(found, test):
    splits = {split for _, _, split in found("train/a/1.jpg", f"{test}/b/1.jpg").values()}
    assert splits == {"train", "test"}


def test_a_validation_folder_beside_the_gallery_is_passed_over_by_name(found, tmp_path):
    found("train/a/1.jpg", "query/b/1.jpg", "gallery/b/2.jpg", "val/a/2.jpg", "train_all/a/1.jpg")
    assert passed_over(tmp_path) == ["train_all/a/1.jpg", "val/a/2.jpg"]


def test_splits_may_be_flat_and_nested_side_by_side(found, tmp_path):
    records = found("train/a/0.jpg", "query/b_1.jpg", "gallery/b_2.jpg")
    assert [split for _, _, split in records.values()] == ["train", "query", "gallery"]
    assert "a folder per identity and images named" in said(tmp_path)


def test_somebody_may_be_called_val(found):
    assert found("Val/1.jpg", "Ann/1.jpg")["Val/1.jpg"] == ("Val", None, None)
    assert found("val/1.jpg")["val/1.jpg"] == ("val", None, None)


def test_two_folders_for_one_split_are_refused(found):
    message = "expected one folder for train, got .*/bounding_box_train, .*/train; try moving"
    with pytest.raises(ValueError, match=message):
        found("train/a/1.jpg", "bounding_box_train/a/1.jpg", "query/a/1.jpg", "gallery/a/1.jpg")


def test_queries_without_a_gallery_are_refused(found):
    with pytest.raises(ValueError, match="got queries without a gallery; try adding"):
        found("train/a/1.jpg", "query/b/1.jpg")


def test_what_is_passed_over_is_named_down_to_each_file(found, tmp_path):
    (tmp_path / "empty").mkdir()
    found("a/1.jpg", "b/1.jpg", "a/notes.txt", "a/deeper/2.jpg", "b/.DS_Store", ".git/x", "top.jpg")
    assert set(passed_over(tmp_path)) == {
        *("a/notes.txt", "a/deeper/2.jpg", "b/.DS_Store", ".git/x", "top.jpg", "empty"),
    }


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        ((), "got none; try the folder that holds them"),
        (("x/y/ann/1.jpg",), "got deeper ones; try .*/x/y$"),
        (("x/train/ann/1.jpg", "x/query/bob/1.jpg"), "got deeper ones; try [^ ]*/x$"),
        (("x/query/1_c1.jpg", "x/train/2_c1.jpg"), "got deeper ones; try [^ ]*/x$"),
        (("people.csv", "x/y/ann/1.jpg"), "try the table .*people.csv"),
        (("DSC1.jpg", "DSC2.jpg"), "such as DSC1.jpg; try a folder per identity, or a table"),
        (("ann/clip.mp4",), "got none"),
    ],
)
def test_a_folder_without_people_says_what_was_expected_and_what_to_try(found, files, hint):
    with pytest.raises(ValueError, match=rf"FOLDER_REID\.ROOT.*a folder per identity.*{hint}"):
        found(*files)


def test_names_that_differ_in_zeros_alone_are_one_identity_and_a_sentence_says_so(found, tmp_path):
    records = found("1/a.jpg", "001/b.jpg", "2/a.jpg")
    assert {who for who, _, _ in records.values()} == {"1", "2"}
    assert "One identity, spelled differently: 001 = 1." in said(tmp_path)


PEOPLE = ("anna", "0002", "ben")


@pytest.mark.parametrize(
    ("pattern", "cameras"),
    [
        ("{person}/{camera}/{number}.jpg", ("cam1", "cam2")),
        ("{person}/{camera}/{number}.jpg", ("1", "2")),
        ("{person}/{camera}/{number}.jpg", ("north gate", "hall")),
        ("{camera}/{person}/{number}.jpg", ("cam1", "Camera_hall")),
        ("train/{person}/{camera}/{number}_c9s1.jpg", ("c1", "c2")),
    ],
)
def test_folders_of_people_and_cameras_are_both_read(found, tmp_path, pattern, cameras):
    beside = ["test/zoe/c1/1.jpg", "test/zoe/c2/1.jpg"] if pattern.startswith("train") else []
    names = [
        pattern.format(person=person, camera=camera, number=number)
        for person in PEOPLE
        for camera in cameras
        for number in (1, 2)
    ]
    records = found(*names, *beside)
    assert len(records) == len(names) + len(beside)
    assert {who for who, _, _ in records.values()} == {"anna", "2", "ben", *["zoe"] * bool(beside)}
    assert {camera for _, camera, _ in records.values()} == set(cameras)
    assert f"Cameras: 2, a folder each ({', '.join(sorted(cameras))})" in said(tmp_path)
    assert "with a folder per" in said(tmp_path)


@pytest.mark.parametrize(
    "paths",
    [
        ["batch1/anna/1.jpg", "batch1/ben/1.jpg", "batch2/carl/1.jpg"],  # people, not cameras
        ["data/c1/1.jpg", "data/c2/1.jpg"],
        ["anna/cam1/more/1.jpg", "ben/cam1/more/1.jpg"],
    ],
)
def test_other_folders_of_folders_are_refused(found, paths):
    with pytest.raises(ValueError, match="got deeper ones"):
        found(*paths)


def test_folders_inside_a_persons_folder_of_images_are_no_cameras(found, tmp_path):
    names = [f"{who}/{where}1.jpg" for who in PEOPLE for where in ("", "masks/")]
    assert {camera for _, camera, _ in found(*names).values()} == {None}
    assert len(passed_over(tmp_path)) == len(PEOPLE)


def test_an_empty_camera_is_passed_over_by_name(found, tmp_path):
    found("anna/cam1/1.jpg", "ben/cam1/1.jpg", "ben/cam1/note.txt")
    (tmp_path / "anna" / "cam2").mkdir()
    (tmp_path / "carl").mkdir()
    assert passed_over(tmp_path) == ["anna/cam2", "ben/cam1/note.txt", "carl"]
