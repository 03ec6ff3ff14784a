"""Occluded-PoseTrack-ReID, drawn in the format of PoseTrack21 and of its published lists."""

from __future__ import annotations

import json
import logging
import os

import pytest
from PIL import Image

from fed_plugin.datasets import LAYOUTS, list_split, occluded_posetrack, scan_split
from fed_plugin.datasets.posetrack import cut_crops, listed_detections

LIST = "occluded_posetrack_reid/val_dataset_sampling.json"
CROPS = "occluded_posetrack_reid/images"
ANNOTATIONS = "posetrack_data/val/000342_mpii_val.json"
QUERY = "000342/1_000342_10003420000.jpg"


@pytest.fixture
def folder(tmp_path, draw_posetrack):
    """PoseTrack21, with its crops cut."""
    drawn = draw_posetrack(tmp_path)
    cut_crops(str(drawn))
    return drawn


def edited(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    os.utime(path, (0, 0))


def named(items):
    return [(os.path.basename(path), pid, camid) for path, pid, camid in items]


def test_the_published_lists_say_who_is_trained_on_searched_and_found(folder):
    splits = occluded_posetrack(str(folder.parent))
    assert named(splits.train) == [
        ("7_000001_10000010000.jpg", 7, 0),
        ("8_000001_10000010000.jpg", 8, 0),
    ]
    assert named(splits.query) == [("1_000342_10003420000.jpg", 1, 0)]
    assert named(splits.gallery) == [
        ("2_000342_10003420000.jpg", 2, 1),
        ("3_000342_10003420000.jpg", 3, 1),
    ]
    for path, pid, camid in splits.train + splits.query + splits.gallery:
        assert os.path.isfile(path) and type(pid) is int and type(camid) is int


def test_videos_are_no_cameras_so_that_nothing_leaves_the_gallery(folder):
    splits = occluded_posetrack(str(folder.parent))
    assert {camid for *_, camid in splits.query} == {0}
    assert {camid for *_, camid in splits.gallery} == {1}


def test_a_crop_shows_what_its_box_holds(folder):
    with Image.open(folder / CROPS / "val" / QUERY) as crop:
        assert crop.size == (16, 32) and crop.mode == "RGB"
        assert crop.getpixel((8, 16)) == pytest.approx((21, 21, 21), abs=3)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([-6.5, -9, 30, 30], (30, 30)),  # authors' rule: the corner moves, the sides stay
        ([80, 30, 40, 40], (15, 17)),
        ([0.9, 0.9, 10.9, 20.9], (10, 20)),
    ],
)
def test_a_box_over_the_edge_is_clipped(tmp_path, draw_posetrack, box, size):
    drawn = draw_posetrack(tmp_path)
    edited(drawn / ANNOTATIONS, lambda video: video["annotations"][0].update(bbox=box))
    cut_crops(str(drawn))
    with Image.open(drawn / CROPS / "val" / QUERY) as crop:
        assert crop.size == size


def test_a_large_crop_becomes_384_by_128(tmp_path, draw_posetrack):
    drawn = draw_posetrack(tmp_path)
    frame = drawn / "images/val/000342_mpii_val/000000.jpg"
    Image.new("RGB", (300, 300), "white").save(frame)
    boxes = [[0, 0, 129, 20], [0, 0, 128, 20], [0, 0, 20, 290]]

    def widen(video):
        for annotation, box in zip(video["annotations"], boxes, strict=True):
            annotation["bbox"] = box

    edited(drawn / ANNOTATIONS, widen)
    cut_crops(str(drawn))
    sizes = []
    for pid in (1, 2, 3):
        with Image.open(drawn / CROPS / f"val/000342/{pid}_000342_10003420000.jpg") as crop:
            sizes.append(crop.size)
    assert sizes == [(128, 384), (128, 20), (20, 290)]


def test_cutting_again_cuts_what_is_missing_and_nothing_else(folder):
    lost, kept = folder / CROPS / "val" / QUERY, folder / CROPS / "train/000001"
    lost.unlink()
    before = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    calls = []
    result = cut_crops(str(folder), progress=lambda done, total: calls.append((done, total)))
    assert (result.cut, result.there) == (1, 4) and lost.is_file()
    assert before == {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    assert result.splits == {"train": 2, "query": 1, "gallery": 2} == result.identities
    assert calls == [(2, 5), (5, 5)]


def test_an_empty_crop_of_a_power_cut_is_cut_again(folder):
    lost = folder / CROPS / "val" / QUERY
    lost.write_bytes(b"")
    assert cut_crops(str(folder)).cut == 1 and lost.stat().st_size > 0


def test_a_stopped_cut_leaves_nothing_that_looks_whole(tmp_path, draw_posetrack, monkeypatch):
    drawn = draw_posetrack(tmp_path)

    def stop(self, file, **options):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        cut_crops(str(drawn))
    assert not list((drawn / CROPS).rglob("*.jpg"))
    monkeypatch.undo()
    cut_crops(str(drawn))
    assert len(occluded_posetrack(str(tmp_path)).gallery) == 2


def test_crops_that_are_not_cut_yet_are_told_with_the_command(tmp_path, draw_posetrack):
    drawn = draw_posetrack(tmp_path)
    with pytest.raises(FileNotFoundError, match="data build-occluded-posetrack --posetrack"):
        occluded_posetrack(str(tmp_path))
    cut_crops(str(drawn))
    (drawn / CROPS / "val" / QUERY).unlink()
    with pytest.raises(FileNotFoundError, match=r"got none for 1 of split query") as caught:
        list_split(LAYOUTS["Occluded_PoseTrack"], str(tmp_path), "query")
    assert QUERY in str(caught.value) and str(drawn / LIST) in str(caught.value)
    assert len(list_split(LAYOUTS["Occluded_PoseTrack"], str(tmp_path), "gallery")) == 2


def test_crops_of_no_split_are_passed_over_by_name(folder, caplog):
    stray = folder / CROPS / "val/000342/99_000342_10003420000.jpg"
    stray.write_bytes((folder / CROPS / "val" / QUERY).read_bytes())
    layout, root = LAYOUTS["Occluded_PoseTrack"], str(folder.parent)
    assert scan_split(layout, root, "query").passed_over == [str(stray)]
    with caplog.at_level(logging.WARNING):
        assert len(list_split(layout, root, "gallery")) == 2
    assert "passed over 1" in caplog.text and "99_000342_10003420000.jpg" in caplog.text


def test_a_missing_list_is_told_with_where_it_is_published(folder):
    (folder / LIST).unlink()
    with pytest.raises(FileNotFoundError, match="keypoint_promptable_reidentification") as caught:
        occluded_posetrack(str(folder.parent))
    assert str(folder / LIST) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[1, 2]", "got another table"),
        ('{"id": {"0": 1}}', "got another table"),
        ('{"id": {"0": "x"}, "split": {"0": "query"}}', "got another table"),
        ('{"id": {"0": 1}, "split": {"1": "query"}}', "got another table"),
        ('{"id": {"0": 1}, "split": {"0": "probe"}}', "query, gallery or none, got probe"),
        ('{"id": {"0": 1}, "split": {"0": "none"}}', "got none alone"),
        ('{"id": {"0": 1}, "split": {"0": "query"}}', "names 1 detections that"),
    ],
)
def test_a_list_of_another_format_is_refused_by_name(folder, content, message):
    (folder / LIST).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        listed_detections(str(folder), "val")
    assert str(folder / LIST) in str(caught.value)


def test_numbers_that_were_written_as_fractions_are_the_same_numbers(folder):
    edited(
        folder / LIST, lambda table: table.update(id={k: float(v) for k, v in table["id"].items()})
    )
    assert len(occluded_posetrack(str(folder.parent)).gallery) == 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda video: video.pop("images"),
        lambda video: video["annotations"][0].pop("person_id"),
        lambda video: video["annotations"][0].update(bbox=[1, 2, 3]),
        lambda video: video["annotations"][0].update(image_id=5),
        lambda video: video["images"][0].update(vid_id="../000342"),
    ],
)
def test_annotations_of_another_format_are_refused_by_name(folder, edit):
    edited(folder / ANNOTATIONS, edit)
    with pytest.raises(ValueError, match="expected PoseTrack21's images and annotations") as caught:
        listed_detections(str(folder), "val")
    assert str(folder / ANNOTATIONS) in str(caught.value)


def test_missing_annotations_are_told(folder):
    (folder / ANNOTATIONS).unlink()
    with pytest.raises(FileNotFoundError, match="expected PoseTrack21's annotations"):
        listed_detections(str(folder), "val")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "expected a frame of PoseTrack21"),
        (b"no image", ValueError, "cannot be decoded"),
        (b"", ValueError, "cannot be decoded"),
    ],
)
def test_a_frame_that_cannot_be_read_is_named(tmp_path, draw_posetrack, content, error, message):
    drawn = draw_posetrack(tmp_path)
    frame = drawn / "images/val/000342_mpii_val/000000.jpg"
    frame.unlink()
    if content is not None:
        frame.write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        cut_crops(str(drawn))
    assert str(frame) in str(caught.value)


def test_a_box_outside_of_its_frame_is_named(tmp_path, draw_posetrack):
    drawn = draw_posetrack(tmp_path)
    edited(drawn / ANNOTATIONS, lambda video: video["annotations"][1].update(bbox=[200, 0, 9, 9]))
    with pytest.raises(ValueError, match="expected person 2 within 96 x 48 pixels"):
        cut_crops(str(drawn))


def test_a_changed_list_is_read_anew(folder):
    root = str(folder.parent)
    assert len(occluded_posetrack(root).query) == 1
    edited(folder / LIST, lambda table: table["split"].update({"1": "query"}))
    assert len(occluded_posetrack(root).query) == 2
