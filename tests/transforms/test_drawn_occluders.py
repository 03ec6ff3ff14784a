from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fed_plugin
from fed_plugin.transforms import OccluderSet, drawn_occluders

DIGEST = "import hashlib; from fed_plugin.transforms import drawn_occluders as d;" + (
    "print(hashlib.sha256(b''.join(c.tobytes() for c in d(40))).hexdigest())"
)


@pytest.fixture(scope="module")
def occluders() -> OccluderSet:
    return drawn_occluders()


def digest(crop: np.ndarray) -> str:
    return hashlib.sha256(repr(crop.shape).encode() + crop.tobytes()).hexdigest()


def test_two_hundred_are_drawn_and_no_two_are_equal(occluders):
    assert isinstance(occluders, OccluderSet)
    assert len(occluders) == len({digest(crop) for crop in occluders}) == 200
    assert len(set(occluders.names)) == 200


def test_all_the_promised_kinds_are_there_in_fair_shares(occluders):
    kinds = [name.split("-")[0] for name in occluders.names]
    for kind in ("pole", "trunk", "banner", "car", "box", "foliage", "umbrella", "board"):
        assert kinds.count(kind) >= 10, kind


def test_a_third_is_more_than_twice_as_high_as_wide(occluders):
    tall = [height > 2 * width for height, width in occluders.sizes]
    assert sum(tall) == 67
    names = {name.split("-")[0] for name, high in zip(occluders.names, tall, strict=True) if high}
    assert names == {"pole", "trunk", "banner", "pillar"}


def test_every_crop_is_full_of_content(occluders):
    for name, crop in zip(occluders.names, occluders, strict=True):
        assert min(crop.shape[:2]) >= 40, name
        assert crop.std() > 8, name
        colors = crop.astype(np.int32) @ np.array([65536, 256, 1])
        assert len(np.unique(colors)) > 500, name


def test_the_same_seed_gives_the_same_bits_in_another_process():
    root = Path(fed_plugin.__file__).parents[1]
    again = subprocess.run(
        [sys.executable, "-c", DIGEST], cwd=root, capture_output=True, text=True, check=True
    )
    own = hashlib.sha256(b"".join(crop.tobytes() for crop in drawn_occluders(40))).hexdigest()
    assert again.stdout.strip() == own


def test_a_smaller_set_is_the_beginning_of_a_larger_one(occluders):
    for small, large in zip(drawn_occluders(13), occluders, strict=False):
        np.testing.assert_array_equal(small, large)


def test_another_seed_gives_other_crops(occluders):
    other = {digest(crop) for crop in drawn_occluders(20, seed=1)}
    assert not other & {digest(crop) for crop in occluders}


def test_a_set_is_drawn_once():
    assert drawn_occluders(seed=5) is drawn_occluders(200, seed=5)


def test_it_pickles_as_its_recipe(occluders):
    packed = pickle.dumps(occluders)
    assert len(packed) < 200
    assert pickle.loads(packed) is occluders


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (-3, 0), (5, -1)])
def test_an_impossible_count_or_seed_is_refused(count, seed):
    with pytest.raises(ValueError, match=f"count >= 1 and seed >= 0, got {count} and {seed}"):
        drawn_occluders(count, seed)
