"""Folder trees and file names that nobody thought of: read, or refused by name."""

from __future__ import annotations

import json
import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.datasets import LAYOUTS, scan_split
from fed_plugin.datasets.listing import is_hidden, printable, scan_folder
from fed_plugin.datasets.posetrack import listed_detections

SETTINGS = settings(max_examples=80, deadline=None)
LETTERS = st.characters(exclude_characters="/\0", exclude_categories=("Cs",))
BROKEN = st.integers(0xDC80, 0xDCFF).map(chr)  # how Python shows a byte that is no UTF-8
WORDS = st.text(LETTERS | BROKEN, min_size=1, max_size=8).filter(lambda w: w not in (".", ".."))
STEMS = WORDS | st.sampled_from(
    ["0001_c2_f0046182", "0001_c2_f1", "0002_c1s1_000451_03", "-1_c1s1_0_0", "0000_c15s1_1_1"]
    + ["001_01", "7_3_x", "001", "٣_٤", "0001_c0_f1", "9" * 40 + "_1", "1_000342_5", "001_01.jpg"]
)
SUFFIXES = st.sampled_from(
    [".jpg", ".JPG", ".tif", ".png", ".bmp", ".txt", ".webp", "", ".jpg.part"]
)
FILES = st.tuples(STEMS, SUFFIXES).map("".join)
FOLDERS = st.sampled_from(["001", "0001", "deep", ".hidden", "@eaDir", "query"]) | WORDS
PATHS = st.lists(FOLDERS, max_size=3).flatmap(lambda d: FILES.map(lambda f: "/".join([*d, f])))
TREES = st.lists(PATHS, max_size=10)
READ_FROM_FOLDERS = [name for name, layout in LAYOUTS.items() if layout.select is None]


def check_refusal(error, folder):
    """The message names what is wrong, below ``folder``, and every log can hold it."""
    assert os.path.basename(folder) in str(error)
    str(error).encode("utf-8")


@SETTINGS
@given(paths=TREES, nested=st.booleans())
def test_every_file_below_a_folder_is_an_image_or_passed_over(paths, nested, plant_tree):
    with tempfile.TemporaryDirectory() as folder:
        files = plant_tree(folder, paths)
        try:
            scan = scan_folder(folder, nested=nested)
        except ValueError as error:
            assert "got two of one name" in str(error)
            return check_refusal(error, folder)
        assert len(scan.images) == len(set(scan.images))
        assert len(scan.passed_over) == len(set(scan.passed_over))
        passed_over = {path for path in scan.passed_over if not path.endswith("/")}
        assert set(scan.images).isdisjoint(passed_over)
        assert set(scan.images) | passed_over == files
        for path in scan.images:
            assert not is_hidden(os.path.basename(path))
            assert len(os.path.relpath(path, folder).split("/")) <= 1 + nested
        printable("".join(scan.passed_over)).encode("utf-8")


@pytest.mark.parametrize("name", READ_FROM_FOLDERS)
@settings(max_examples=25, deadline=None)
@given(paths=TREES, split=st.sampled_from(["train", "query", "gallery"]))
def test_every_file_of_a_split_is_an_item_or_named_or_the_split_is_refused(
    name, paths, split, plant_tree
):
    layout = LAYOUTS[name]
    if split not in layout.splits:
        return
    with tempfile.TemporaryDirectory() as root:
        files = set()
        folders = layout.splits[split] if split in layout.joined else layout.splits[split][:1]
        for number, subfolder in enumerate(folders):
            folder = os.path.join(root, layout.folders[-1], subfolder)
            example = f"{number}_{layout.names.example}" if number else layout.names.example
            files |= plant_tree(folder, [*paths, example])
        try:
            scan = scan_split(layout, root, split)
        except (ValueError, FileNotFoundError) as error:
            return check_refusal(error, root)
        items = [path for path, _, _ in scan.items]
        named = {path for path in scan.passed_over if not path.endswith("/")}
        assert sorted([*items, *named, *scan.junk]) == sorted(files)
        assert scan.items == sorted(scan.items, key=lambda i: (os.path.basename(i[0]), i[0]))
        for _, pid, camid in scan.items:
            assert type(pid) is int and type(camid) is int and pid >= 0 and camid >= 0
        assert scan == scan_split(layout, root, split)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
TABLES = JSON | st.fixed_dictionaries({"id": JSON, "split": JSON})
TABLES |= st.fixed_dictionaries(
    {
        "id": st.dictionaries(st.sampled_from("012"), JSON),
        "split": st.dictionaries(st.sampled_from("012"), st.sampled_from(["query", "none"]) | JSON),
    }
)
VIDEOS = JSON | st.fixed_dictionaries(
    {
        "images": st.lists(st.fixed_dictionaries({"id": st.just(5), "vid_id": JSON}), max_size=2),
        "annotations": st.lists(
            st.fixed_dictionaries({"id": JSON, "image_id": JSON, "bbox": JSON, "person_id": JSON}),
            max_size=2,
        ),
    }
)


@SETTINGS
@given(table=TABLES, video=VIDEOS)
def test_lists_and_annotations_of_any_content_are_read_or_refused(table, video):
    with tempfile.TemporaryDirectory() as folder:
        for path, content in (
            ("occluded_posetrack_reid/val_dataset_sampling.json", table),
            ("posetrack_data/val/000342_mpii_val.json", video),
        ):
            os.makedirs(os.path.dirname(os.path.join(folder, path)))
            with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
                json.dump(content, file)
        try:
            assert set(listed_detections(folder, "val").values()) <= {"query", "gallery"}
        except ValueError as error:
            check_refusal(error, folder)
