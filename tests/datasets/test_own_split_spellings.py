"""Every spelling of folders and files that is seen in the wild, one test each."""

from __future__ import annotations

import os

import pytest

from fed_plugin.datasets import LAYOUTS, find_split_folders, list_split

MARKET = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
BODIES = {"query": "occluded_body_images", "gallery": "whole_body_images"}
PARTS = {"query": "partial_body_images", "gallery": "whole_body_images"}
PLAIN = {"query": "query", "gallery": "gallery"}
P_DUKE = {
    "train": "train/occluded_body_images",
    "query": "test/occluded_body_images",
    "gallery": "test/whole_body_images",
}
DUKE_FILE, MARKET_FILE = "0001_c2_f0046182.jpg", "0002_c1s1_000451_03.jpg"
# (dataset, its folder, subfolders of its splits, a file in each, identity, camera if it tells one)
CASES = [
    *(
        ("Occluded_Duke", folder, MARKET, DUKE_FILE, 1, 1)
        for folder in ("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded_DukeMTMC")
    ),
    *(
        ("P_DukeMTMC", folder, P_DUKE, f"0007/{file}", 7, None)
        for folder in ("P-DukeMTMC-reID", "P-DukeMTMC-reid")
        for file in ("0007_c2_f0046182.jpg", "0007_1.jpg", "0007_c12_x_y.jpg")
    ),
    *(
        ("Occluded_REID", folder, subfolders, f"{below}003_04.{suffix}", 3, None)
        for folder in ("Occluded_REID", "OccludedREID")
        for subfolders in (BODIES, PLAIN)
        for below in ("003/", "")
        for suffix in ("tif", "jpg")
    ),
    *(
        (name, folder, subfolders, "003_04.jpg", 3, None)
        for folder in ("Partial_REID", "Partial-REID_Dataset")
        for name, subfolders in (("Partial_REID", PARTS), ("Partial_REID_Occluded", BODIES))
    ),
    *(
        ("Partial_iLIDS", folder, subfolders, f"{below}{name}.jpg", 12, None)
        for folder in ("Partial_iLIDS", "PartialiLIDS")
        for subfolders in (PARTS, PLAIN)
        for below in ("", "012/")
        for name in ("012", "12", "012_01")
    ),
    *(
        ("Market1501", folder, MARKET, MARKET_FILE, 2, 0)
        for folder in ("Market-1501-v15.09.15", "Market1501", "market1501")
    ),
    ("DukeMTMC", "DukeMTMC-reID", MARKET, DUKE_FILE, 1, 1),
    ("SynthOcc", "SynthOcc", MARKET, MARKET_FILE, 2, 0),
]


@pytest.mark.parametrize(
    ("name", "folder", "subfolders", "file", "pid", "camera"),
    CASES,
    ids=[f"{case[0]} {case[1]}-{case[2]['query']}-{case[3]}" for case in CASES],
)
def test_a_spelling_is_read(tmp_path, draw_tree, name, folder, subfolders, file, pid, camera):
    root = tmp_path / "run2024_7_x"
    draw_tree(root, *(f"{folder}/{subfolder}/{file}" for subfolder in subfolders.values()))
    layout = LAYOUTS[name]
    for joined in layout.splits["train"] if "train" in layout.joined else ():
        draw_tree(root, f"{folder}/{joined}/{file}")
    for split, subfolder in subfolders.items():
        there = find_split_folders(layout, str(root))[split]
        assert str(root / folder / subfolder) in there
        expected = camera if camera is not None else int(split == "gallery")
        items = list_split(layout, str(root), split)
        assert [item[1:] for item in items] == [(pid, expected)] * len(there)
        assert os.path.join(str(root), folder, subfolder, file) in [item[0] for item in items]


def test_the_training_images_of_p_duke_are_occluded_and_whole_in_the_order_of_their_names(
    tmp_path, draw_tree
):
    files = ("whole_body_images/0001/0001_1.jpg", "occluded_body_images/0001/0001_2.jpg")
    later = ("whole_body_images/0002/0002_1.jpg", "occluded_body_images/0002/0002_1.jpg")
    root = draw_tree(tmp_path, *(f"P-DukeMTMC-reID/train/{file}" for file in (*later, *files)))
    items = list_split(LAYOUTS["P_DukeMTMC"], root, "train")
    shown = [os.path.relpath(path, tmp_path / "P-DukeMTMC-reID/train") for path, _, _ in items]
    assert shown == [*files, "occluded_body_images/0002/0002_1.jpg", later[0]]


@pytest.mark.parametrize("lost", ["occluded_body_images", "whole_body_images"])
def test_half_of_p_dukes_training_images_are_no_training_split(tmp_path, draw_tree, lost):
    kept = {"occluded_body_images", "whole_body_images"} - {lost}
    root = draw_tree(tmp_path, f"P-DukeMTMC-reID/train/{kept.pop()}/0001/0001_1.jpg")
    assert find_split_folders(LAYOUTS["P_DukeMTMC"], root) == {}
    with pytest.raises(FileNotFoundError, match="no train folder in") as caught:
        list_split(LAYOUTS["P_DukeMTMC"], root, "train")
    assert "train/occluded_body_images/ and train/whole_body_images/" in str(caught.value)
    (tmp_path / "P-DukeMTMC-reID/train" / lost).mkdir()
    with pytest.raises(FileNotFoundError, match=f"no train image in .*{lost}"):
        list_split(LAYOUTS["P_DukeMTMC"], root, "train")


def test_market_1501_loses_junk_and_keeps_distractors(tmp_path, draw_tree, caplog):
    names = ("-1_c1s1_000401_03", "0000_c1s1_000151_01", "0002_c6s1_000451_03", "0002_c1s1_1_2")
    files = [f"Market1501/bounding_box_test/{name}.jpg" for name in names]
    root = draw_tree(tmp_path, *files)
    with caplog.at_level("INFO"):
        items = list_split(LAYOUTS["Market1501"], root, "gallery")
    assert sorted({pid for _, pid, _ in items}) == [0, 2]
    assert "1 detections of nobody" in caplog.text and "-1_c1s1_000401_03.jpg" in caplog.text


def test_the_published_counts_are_those_of_the_datasets_own_pages():
    counts = {
        name: {split: (of.images, of.identities) for split, of in layout.published.items()}
        for name, layout in LAYOUTS.items()
        if layout.published
    }
    partial = {"query": (300, 60), "gallery": (300, 60)}
    assert counts == {
        "Occluded_Duke": {"train": (15618, 702), "query": (2210, 519), "gallery": (17661, 1110)},
        "DukeMTMC": {"train": (16522, 702), "query": (2228, 702), "gallery": (17661, 1110)},
        "Market1501": {"train": (12936, 751), "query": (3368, 750), "gallery": (15913, None)},
        "P_DukeMTMC": {"train": (12927, 665), "query": (2163, 634), "gallery": (9053, 634)},
        "Occluded_REID": {"query": (1000, 200), "gallery": (1000, 200)},
        "Partial_REID": partial,
        "Partial_REID_Occluded": partial,
        "Partial_iLIDS": {"query": (119, 119), "gallery": (119, 119)},
    }
    cameras = {name: layout.cameras for name, layout in LAYOUTS.items() if layout.cameras}
    assert cameras == {"Occluded_Duke": 8, "DukeMTMC": 8, "Market1501": 6}
