from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.checking import check, find_targets

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
