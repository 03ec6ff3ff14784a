"""Trees of images for the tests of data sets."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.occluder_sets import Crop
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
        layout = replace(target.layout, published={}, cameras=0, lists={})
        return check(replace(target, layout=layout), **options)

    return run


@pytest.fixture(scope="session")
def told(report_of):
    """Check a folder; return (severity, kind) of every finding."""

    def run(folder, **options):
        return [(found.severity, found.kind) for found in report_of(folder, **options).findings]

    return run


# Crops of occluders, and image files of every odd kind.


@pytest.fixture(scope="session")
def texture():
    """Return a function that draws a smooth random texture, (h, w, 3) uint8, from a seed."""

    def draw(height: int, width: int, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    return draw


@pytest.fixture(scope="session")
def make_crop(texture):
    def make(height: int, width: int, seed: int = 0, name: str = "") -> Crop:
        name = name or f"crop{seed}"
        return Crop(name, texture(height, width, seed), f"{name}.jpg")

    return make


@pytest.fixture
def odd_files(tmp_path, texture):
    """A folder of image files of all kinds, good and bad."""
    folder = tmp_path / "odd"
    folder.mkdir()
    picture = Image.fromarray(texture(40, 60))

    def save(name, image, **options):
        image.save(folder / name, **options)

    save("good.jpg", picture)
    save("palette.png", picture.quantize(16))
    save("cmyk.jpg", picture.convert("CMYK"))
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).astype(np.uint16)
    save("sixteen.png", Image.fromarray(levels))
    save("float.tif", Image.fromarray(levels.astype(np.float32) / 65535))
    grey = picture.convert("L")
    save("animated.gif", grey, save_all=True, append_images=[grey.rotate(90)])
    cut_out = picture.convert("RGBA")
    cut_out.putalpha(Image.fromarray(np.tile(np.arange(60, dtype=np.uint8) * 4, (40, 1))))
    save("cutout.png", cut_out)
    save("opaque.webp", Image.fromarray(texture(50, 50, 9)).convert("RGBA"), lossless=True)
    save("one.png", Image.new("RGB", (1, 1)))
    save("ribbon.png", Image.new("RGB", (20_000, 20), "red"))
    save("glass.png", Image.new("RGBA", (30, 30), (9, 9, 9, 0)))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG")
    (folder / "truncated.jpg").write_bytes(encoded.getvalue()[:400])
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no picture")
    (folder / "notes.txt").write_text("cut in May")
    (folder / "more").mkdir()
    (folder / "dangling.jpg").symlink_to(folder / "gone.jpg")
    return folder
