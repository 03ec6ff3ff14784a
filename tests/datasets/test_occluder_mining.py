"""Mining, measured where the truth is known: on drawn people, whose outlines are drawn too."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets import LAYOUTS, list_split
from fed_plugin.datasets.occluder_mining import border_windows, mine_crops, person_pixels
from fed_plugin.synthocc.build import take
from fed_plugin.synthocc.casting import SIZES, TRAIN, plan


@pytest.fixture(scope="module")
def train(synthocc_root):
    return list_split(LAYOUTS["SynthOcc"], str(synthocc_root), "train")


@pytest.fixture(scope="module")
def truth():
    """By file name, the share of each pixel that is the person, (128, 64)."""
    shots = [shot for shot in plan(SIZES["tiny"], 0) if shot.split == TRAIN]
    masks = {shot.name: take("tiny", 0, shot).person for shot in shots}
    return {name: mask.reshape(128, 3, 64, 3).mean(axis=(1, 3)) for name, mask in masks.items()}


def place_of(crop):
    found = re.fullmatch(r"(.+), rows (\d+)-(\d+), columns (\d+)-(\d+)", crop.origin)
    top, bottom, left, right = map(int, found.groups()[1:])
    return found[1], slice(top, bottom + 1), slice(left, right + 1)


def test_hardly_a_pixel_of_the_crops_is_a_person(train, truth):
    crops, left_out = mine_crops(train, 60)
    assert len(crops) >= 40 and not left_out
    shares = [truth[name][rows, columns].mean() for name, rows, columns in map(place_of, crops)]
    everywhere = [
        window.of(mask).mean() for mask in truth.values() for window in border_windows(128, 64)
    ]
    assert np.mean(shares) < 0.03 < 0.08 < np.mean(everywhere)
    assert np.mean(np.array(shares) > 0.1) < 0.06


def test_a_crop_is_what_its_origin_says_and_no_image_is_cut_twice(train):
    paths = {path.rpartition("/")[2]: path for path, _, _ in train}
    crops, _ = mine_crops(train, 60)
    for crop in crops:
        name, rows, columns = place_of(crop)
        with Image.open(paths[name]) as image:
            np.testing.assert_array_equal(np.asarray(image)[rows, columns], crop.pixels)
    assert len({place_of(crop)[0] for crop in crops}) == len(crops)


def test_every_beginning_of_the_list_holds_all_cameras_and_a_third_of_tall_crops(train):
    crops, _ = mine_crops(train, 60)
    assert {crop.name for crop in crops[:9]} == {"camera0", "camera1", "camera2"}
    assert [crop.is_tall for crop in crops[:9]] == [True, False, False] * 3
    few, _ = mine_crops(train, 12)
    assert [crop.digest for crop in few] == [crop.digest for crop in crops[:12]]


def test_the_seed_and_nothing_else_decides(train):
    first = [crop.digest for crop in mine_crops(train, 30)[0]]
    assert [crop.digest for crop in mine_crops(train[::-1], 30)[0]] == first
    assert [crop.digest for crop in mine_crops(train, 30, seed=1)[0]] != first


def test_a_camera_that_shows_one_person_only_gives_nothing_and_says_so(train):
    alone = [item for item in train if item[1] == train[0][1]]
    crops, left_out = mine_crops(alone, 10)
    assert not crops and len(left_out) == len(alone)
    assert "fewer than 2 other identities" in left_out[0].reason


def test_an_unreadable_image_is_named_and_the_rest_is_used(train, tmp_path):
    (tmp_path / "0001_broken.jpg").write_bytes(b"no picture")
    items = [*train, (str(tmp_path / "0001_broken.jpg"), 1, 0)]
    crops, left_out = mine_crops(items, 20)
    assert len(crops) == 20
    assert [(one.name, one.kind) for one in left_out] == [("0001_broken.jpg", "broken")]


def test_clothes_that_fill_the_image_do_not_pass_for_background():
    """One person's coat reaches both borders; the others of the camera stand before a wall."""
    rng = np.random.default_rng(0)

    def image(coat_from, coat_to, coat):
        pixels = rng.integers(90, 130, (64, 32, 3), dtype=np.uint8)  # a wall
        pixels[:, coat_from:coat_to] = rng.integers(0, 40, (64, coat_to - coat_from, 3)) + coat
        return pixels

    images = [image(0, 32, (200, 20, 20))] + [image(10, 22, (20, 20, 180)) for _ in range(4)]
    masks = list(person_pixels(images, [1, 2, 3, 4, 5]))
    assert masks[0].all()
    for mask in masks[1:]:
        assert mask[:, 10:22].mean() > 0.95 and mask[:, :10].mean() < 0.05


@pytest.mark.parametrize("shape", [(128, 64), (256, 128), (300, 90), (160, 60), (40, 100)])
def test_windows_lie_inside_and_on_a_border_and_come_in_pairs(shape):
    height, width = shape
    for window in border_windows(height, width):
        assert window.top >= 0 and window.top + window.height <= height
        assert window.left == 0 or window.left + window.width == width
        assert min(window.height, window.width) >= 8
    windows = border_windows(height, width)
    assert len(windows) % 2 == 0
    if height > width:
        assert {window.is_tall for window in windows} == {True, False}


def test_an_image_too_small_to_cut_gives_nothing():
    assert border_windows(20, 10) == []


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (5, -1)])
def test_counts_and_seeds_out_of_range_are_refused(train, count, seed):
    with pytest.raises(ValueError, match="expected count >= 1 and seed >= 0"):
        mine_crops(train, count, seed)
