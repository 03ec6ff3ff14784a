from __future__ import annotations

import os

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def draw_tree():
    """Draw a tiny image at each of the paths below a folder; its colour follows from its name."""

    def draw(root, *paths):
        for path in paths:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            color = tuple(target.name.encode()[:3])
            Image.new("RGB", (8, 16), color).save(target)
        return str(root)

    return draw


@pytest.fixture(scope="session")
def occluded_duke_files():
    return (
        "bounding_box_train/0001_c2_f0046182.jpg",
        "bounding_box_train/0001_c6_f0000007.jpg",
        "bounding_box_train/0702_c8_f0000009.jpg",
        "query/0005_c1_f0000010.jpg",
        "bounding_box_test/0005_c1_f0000010.jpg",
        "bounding_box_test/0005_c4_f0000011.jpg",
        "bounding_box_test/7139_c3_f0000012.jpg",
    )


@pytest.fixture(scope="session")
def occluded_reid_files():
    return (
        "occluded_body_images/001/001_01.tif",
        "occluded_body_images/002/002_01.tif",
        "whole_body_images/001/001_01.tif",
        "whole_body_images/002/002_02.tif",
    )


@pytest.fixture(scope="session")
def plant_tree():
    """Make empty files below a folder; skip one that stands in the way of another's folder.

    Returns the paths of all files that are there then.
    """

    def plant_files(folder, paths):
        os.makedirs(folder, exist_ok=True)
        for path in paths:
            target = os.path.join(folder, path)
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                open(target, "ab").close()
            except OSError:
                continue
        return {os.path.join(where, name) for where, _, files in os.walk(folder) for name in files}

    return plant_files
