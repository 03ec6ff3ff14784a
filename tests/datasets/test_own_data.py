from __future__ import annotations

import os
import random

import pytest

from fed_plugin.datasets.own_data import read_own_data
from fed_plugin.datasets.own_split import SplitRule

PEOPLE = ["ann", "bob", "carl", "dora", "eve", "frank"]


def text(own):
    return "\n".join(own.explanation)


def test_an_undivided_folder_is_divided_by_identity_and_explained(read, names_of):
    own = read(*(f"{who}/{n}.jpg" for who in PEOPLE for n in range(3)), "notes.txt")
    train, test = {pid for _, pid, _ in own.train}, {pid for _, pid, _ in own.query}
    assert train and test and train.isdisjoint(test)
    assert test == {pid for _, pid, _ in own.gallery}
    assert len(own.query) == len(test) and len(own.gallery) == 2 * len(test)
    assert {camid for _, _, camid in own.query} == {0}
    assert {camid for _, _, camid in own.gallery} == {1}
    assert [own.identities[n] for n in range(6)] == PEOPLE
    assert own.warnings == ()
    for said in (
        "18 images, a folder per identity.",
        "Cameras: none, the names contain none.",
        "Identities: 6, numbered in sorted order: ann is 0, bob is 1, carl is 2",
        f"{len(test)} of 6 are tested on (TEST_SHARE=0.5, SPLIT_SEED=0;",
        "Queries get camera 0 and gallery images camera 1.",
        "Passed over: 1 file, notes.txt.",
        f"query {len(test)} images of {len(test)} identities",
    ):
        assert said in text(own)


def test_lists_are_sorted_hold_python_types_and_partition_the_images(read, paths_of):
    own = read(*(f"{who}/{n}.jpg" for who in PEOPLE for n in range(3)))
    assert len(paths_of(own)) == len(set(paths_of(own))) == 18
    for items in (own.train, own.query, own.gallery):
        assert items == sorted(items)
        assert {tuple(map(type, item)) for item in items} == {(str, int, int)}


def test_the_division_is_that_of_the_names_in_a_folder_or_a_table(tmp_path, plant, names_of):
    files = [f"{who}/{who} {n}.jpg" for who in PEOPLE for n in range(4)]
    folder = read_own_data(plant(tmp_path / "photos", *files))
    random.Random(0).shuffle(files)
    rows = [f"photos/{file},{file.split('/')[0]}\n" for file in files]
    (tmp_path / "table.csv").write_text("path,pid\n" + "".join(rows))
    table = read_own_data(tmp_path / "table.csv")
    for split in ("train", "query", "gallery"):
        assert names_of(table, split) == names_of(folder, split) != []


def test_a_new_identity_moves_no_other(tmp_path, plant, names_of):
    folder = plant(tmp_path, *(f"{who}/{n}.jpg" for who in PEOPLE for n in range(3)))
    before = read_own_data(folder)
    plant(tmp_path, *(f"{who}/{n}.jpg" for who in ("aaron", "zoe") for n in range(3)))
    after = read_own_data(folder)
    for split in ("train", "query", "gallery"):
        assert set(names_of(before, split)) <= set(names_of(after, split))


def test_cameras_are_counted_where_an_identity_is_in_two(read):
    own = read(*(f"{pid:04d}_c{c}s1_{n}.jpg" for pid in range(8) for c in (1, 3) for n in (0, 1)))
    assert {camid for _, _, camid in own.query + own.gallery + own.train} == {1, 3}
    assert own.uses_cameras
    assert sorted(own.identities) == list(range(8)) and own.identities[7] == "7"
    per_identity = len(own.query) / len({pid for _, pid, _ in own.query})
    assert per_identity == 2  # one in each camera
    assert "8, which keep their numbers" in text(own) and "per camera as queries" in text(own)


def test_identities_of_one_camera_go_to_training_where_others_are_in_two(read):
    files = [f"{pid}_c{camera}_0.jpg" for pid in range(8) for camera in (1, 2)]
    own = read(*files, "77_c1_0.jpg", "77_c1_1.jpg", test_share=0.999)
    assert 77 in {pid for _, pid, _ in own.train}
    assert "For training, with one camera each: 1 identity, 77." in text(own)


def test_everything_in_one_camera_is_tested_without_cameras_and_warned_of(read):
    own = read(*(f"{pid}_c4_{n}.jpg" for pid in range(6) for n in range(3)))
    assert {camid for _, _, camid in own.query} == {0}
    assert {camid for _, _, camid in own.gallery} == {1}
    assert {camid for _, _, camid in own.train} == {4}
    assert not own.uses_cameras
    assert "No right answer lies in another camera than its query" in own.warnings[0]
    assert f"Warning: {own.warnings[0]}" in own.explanation


def test_identities_with_one_image_go_to_training_and_a_sentence_says_so(read):
    own = read("ann/1.jpg", "bob/1.jpg", "bob/2.jpg", "carl/1.jpg")
    assert "For training, with one image each: 2 identities, ann, carl." in text(own)
    assert {pid for _, pid, _ in own.query} == {1}


def test_nobody_with_two_images_leaves_nothing_to_test_on(read):
    own = read("ann/1.jpg", "bob/1.jpg")
    assert len(own.train) == 2 and own.query == own.gallery == []
    assert "Nothing can be tested on" in own.warnings[0]


def test_one_identity_is_refused_by_its_name(read):
    with pytest.raises(ValueError, match=r"expected 2 or more identities .*got 1 \(ann\); try"):
        read("ann/1.jpg", "ann/2.jpg")


def test_a_given_split_is_kept(read, names_of):
    own = read("train/ann/1.jpg", "query/bob/1.jpg", "gallery/bob/2.jpg", "gallery/carl/1.jpg")
    assert names_of(own, "train") == [("1.jpg", "ann", 0)]
    assert names_of(own, "query") == [("1.jpg", "bob", 0)]
    assert names_of(own, "gallery") == [("2.jpg", "bob", 1), ("1.jpg", "carl", 1)]
    assert own.warnings == ()


def test_a_test_folder_is_divided_into_queries_and_gallery(read, names_of):
    files = [f"test/{who}/{n}.jpg" for who in ("bob", "carl") for n in range(3)]
    own = read("train/ann/1.jpg", *files, "test/dora/1.jpg", queries=2)
    assert [who for _, who, _ in names_of(own, "query")] == ["bob", "bob", "carl", "carl"]
    assert [who for _, who, _ in names_of(own, "gallery")] == ["bob", "carl", "dora"]
    assert "In the gallery only, with one image each: 1 identity, dora." in text(own)


def test_somebody_in_training_and_in_testing_is_a_leak(read):
    own = read("train/ann/1.jpg", "train/bob/1.jpg", "query/ann/2.jpg", "gallery/ann/3.jpg")
    assert "A leak: 1 identity in training and in testing, ann" in own.warnings[0]


def test_an_image_in_training_and_in_testing_is_a_leak(write_table):
    table = write_table("path,pid,split\n1.jpg,a,train\n1.jpg,a,query\n2.jpg,a,gallery\n")
    own = read_own_data(table)
    assert "A leak: 1 image in training and in testing" in own.warnings[1]


def test_a_query_that_would_find_itself_is_no_gallery_image(write_table, names_of):
    rows = "path,pid,split\n1.jpg,a,query\n1.jpg,a,gallery\n2.jpg,a,gallery\n"
    own = read_own_data(write_table(rows))
    assert names_of(own, "gallery") == [("2.jpg", "a", 1)]
    assert "Taken as queries only: 1 image in query and gallery" in own.warnings[0]


def test_a_query_of_a_told_camera_may_be_a_gallery_image(write_table, names_of):
    rows = "path,pid,camid,split\n1.jpg,a,1,query\n1.jpg,a,1,gallery\n2.jpg,a,2,gallery\n"
    own = read_own_data(write_table(rows))
    assert names_of(own, "gallery") == [("1.jpg", "a", 1), ("2.jpg", "a", 2)]
    assert own.warnings == ()


def test_queries_without_a_right_answer_are_counted_and_named(read):
    files = ["query/1_c1_0.jpg", "gallery/1_c2_0.jpg", "query/2_c1_0.jpg", "gallery/2_c1_1.jpg"]
    own = read("train/9_c1_0.jpg", *files)
    assert own.warnings == (
        "Not counted: 1 query without a right answer of another camera in the gallery, of "
        "1 identity, 2.",
    )


def test_a_given_split_in_one_camera_is_tested_without_cameras(read, names_of):
    own = read("train/9_c1_0.jpg", "query/1_c1_0.jpg", "gallery/1_c1_1.jpg")
    assert names_of(own, "query") == [("1_c1_0.jpg", "1", 0)]
    assert names_of(own, "gallery") == [("1_c1_1.jpg", "1", 1)]
    assert "No right answer lies in another camera" in own.warnings[0]


def test_nobodys_images_are_left_out_and_named(read):
    files = ["train/9_c1_0.jpg", "query/1_c1_0.jpg", "gallery/1_c2_0.jpg"]
    own = read(*files, "gallery/-1_c1_0.jpg", "gallery/0000_c1_0.jpg")
    assert [os.path.basename(path) for path in own.passed_over] == ["-1_c1_0.jpg"]
    assert own.distractor_pids == (0,) and -1 not in own.identities
    assert "Passed over as nobody (-1): 1 file, gallery/-1_c1_0.jpg." in text(own)
    assert "Identity 0 is in the gallery only: distractors." in text(own)


def test_identity_0_is_somebody_where_it_is_asked_for_or_nothing_is_divided(read):
    own = read("train/9_c1_0.jpg", "query/0_c1_0.jpg", "gallery/0_c2_0.jpg")
    assert own.distractor_pids == ()


def test_folders_of_many_files_passed_over_are_named_once(read):
    files = [f"gt_bbox/{n}.jpg" for n in range(30)]
    own = read("train/a/1.jpg", "query/b/1.jpg", "gallery/b/2.jpg", "x.txt", ".y/z", *files)
    assert len(own.passed_over) == 32
    assert "Passed over: 32 files, x.txt, gt_bbox/ (30 files), 1 hidden file such as .y/z." in (
        text(own)
    )


def test_names_that_no_terminal_prints_are_escaped(tmp_path, plant):
    folder = plant(tmp_path, b"caf\xe9/1.jpg".decode("utf-8", "surrogateescape"), "b\n/1.jpg")
    said = text(read_own_data(folder, SplitRule()))
    said.encode("utf-8")
    assert "b\\n is 0" in said and "\\udce9" in said


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("nowhere", FileNotFoundError, "got nothing there; try the whole path"),
        ("", FileNotFoundError, "expected a folder of images or a table"),
        ("set.zip", ValueError, "got another file; try unpacking it"),
    ],
)
def test_what_is_no_folder_and_no_table_is_refused(tmp_path, monkeypatch, path, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(error, match=rf"{path}.*FOLDER_REID\.ROOT.*{message}"):
        read_own_data(path)


def test_a_folder_of_nobody_is_refused(read):
    with pytest.raises(ValueError, match=r"got identity -1 \(nobody\) only"):
        read("-1_c1_0.jpg", "-1_c2_0.jpg")
