"""Trees of images for the tests of data sets."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.own_data import read_own_data


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


def _plant(root, *paths):
    for path in paths:
        target = os.path.join(root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb"):
            pass  # nothing that reads own data opens an image
    return str(root)


@pytest.fixture(scope="session")
def plant():
    """Make empty files at paths below a folder, and return the folder."""
    return _plant


@pytest.fixture
def read(tmp_path):
    """Plant files in a fresh folder and read it."""

    def plant_and_read(*paths, **rule):
        from fed_plugin.datasets.own_split import SplitRule

        return read_own_data(_plant(tmp_path / "own", *paths), SplitRule(**rule))

    return plant_and_read


@pytest.fixture
def write_table(tmp_path):
    """Write a table beside the images ``1.jpg`` to ``9.jpg``, and return its path."""

    def write(text, name="table.csv", encoding="utf-8"):
        _plant(tmp_path, *(f"{number}.jpg" for number in range(1, 10)))
        table = tmp_path / name
        table.write_bytes(text.encode(encoding))
        return str(table)

    return write


@pytest.fixture(scope="session")
def names_of():
    """Show items as (base name, identity, camid)."""

    def show(own, split):
        items = getattr(own, split)
        return [(os.path.basename(path), own.identities[pid], camid) for path, pid, camid in items]

    return show


@pytest.fixture(scope="session")
def paths_of():
    """Return the paths in all three lists."""

    def paths(own):
        return [path for path, _, _ in chain(own.train, own.query, own.gallery)]

    return paths


SOUND = (
    "bounding_box_train/0001_c1_f0000001.jpg",
    "bounding_box_train/0001_c2_f0000002.jpg",
    "bounding_box_train/0002_c3_f0000003.jpg",
    "query/0005_c1_f0000004.jpg",
    "query/0006_c2_f0000005.jpg",
    "bounding_box_test/0005_c2_f0000006.jpg",
    "bounding_box_test/0006_c1_f0000007.jpg",
    "bounding_box_test/7139_c8_f0000008.jpg",
)


@pytest.fixture(scope="session")
def picture():
    """Draw a picture that looks like no other: ``picture("name")``."""

    def draw(name, size=(32, 64)):
        seed = int(hashlib.sha256(str(name).encode()).hexdigest()[:8], 16)
        pixels = np.random.default_rng(seed).integers(0, 256, (10, 5, 3), dtype=np.uint8)
        return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)

    return draw


@pytest.fixture
def duke(tmp_path, picture):
    """A sound data set in the form of Occluded_Duke, three images per split or fewer."""
    folder = tmp_path / "Occluded_Duke"
    for name in SOUND:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(name).save(path, quality=95)
    return folder


@pytest.fixture(scope="session")
def report_of():
    """Check a folder against no published counts: ``report_of(folder, **options)``."""

    def run(folder, **options):
        (target,) = find_targets(str(folder), "nowhere")
        return check(replace(target, published={}, cameras=0, lists={}), **options)

    return run


@pytest.fixture(scope="session")
def told(report_of):
    """Check a folder; return (severity, kind) of every finding."""

    def run(folder, **options):
        return [(found.severity, found.kind) for found in report_of(folder, **options).findings]

    return run
