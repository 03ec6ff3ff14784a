from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.robustness.occlusion import KINDS, SIDES, CoveredQueries, choose_people
from fed_plugin.transforms import OccluderSet, PeopleSet

NAMES = ("a.jpg", "b.jpg", "c.jpg")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 20, 3), dtype=np.uint8)


@pytest.fixture
def crops(random_crop):
    return OccluderSet([random_crop(90, 30, n) for n in range(9)])


def cover_all(images, names, crops, seed=0):
    people = {side: images[::-1] for side in SIDES}
    queries = CoveredQueries(images, names, crops, people, seed)
    return {
        (kind, side): queries.cover(kind, side, 0.5, range(len(names)))
        for kind in KINDS
        for side in SIDES
    }


def test_a_query_meets_the_same_whatever_the_order_and_the_batch(images, crops):
    forwards = cover_all(images, NAMES, crops)
    backwards = cover_all(images[::-1], NAMES[::-1], crops)
    for (kind, side), found in forwards.items():
        if kind == "objects":
            assert np.array_equal(found, backwards[kind, side][::-1])
    queries = CoveredQueries(images, NAMES, crops, {}, 0)
    assert np.array_equal(
        queries.cover("objects", "top", 0.5, range(1, 3)), forwards["objects", "top"][1:]
    )
    assert len(queries) == 3


def test_seed_side_and_name_choose_the_obstacle(images, crops):
    same = np.repeat(images[:1], 3, axis=0)
    found = cover_all(same, NAMES, crops)["objects", "left"]
    assert len({image.tobytes() for image in found}) > 1
    other = cover_all(same, NAMES, crops, seed=1)["objects", "left"]
    assert not np.array_equal(found, other)
    assert np.array_equal(found, cover_all(same, NAMES, crops)["objects", "left"])


def test_an_occluder_grows_and_stays_the_same_one(images):
    grey = OccluderSet([np.full((30, 10, 3), level, np.uint8) for level in range(0, 250, 10)])
    queries = CoveredQueries(images, NAMES, grey, {}, 0)
    for share in (0.75, 0.5, 0.25):
        corner = queries.cover("objects", "left", share, range(3))[:, 0, 0, 0]
        assert np.array_equal(corner, queries.cover("objects", "left", 0.5, range(3))[:, 0, 0, 0])


def test_nobody_is_covered_by_an_image_of_the_same_person():
    paths = [f"{pid}_{n}.jpg" for pid in range(4) for n in range(5)]
    pids = [int(path[0]) for path in paths]
    people = PeopleSet(paths, pids)
    chosen = choose_people(paths, pids, people, seed=0)
    assert set(chosen) == set(SIDES)
    for files in chosen.values():
        assert len(files) == len(paths)
        assert all(file[0] != path[0] for file, path in zip(files, paths, strict=True))
    assert len(set(chosen["left"])) > 5 and chosen["left"] != chosen["top"]
    assert chosen == choose_people(paths, pids, people, seed=0)
    assert chosen != choose_people(paths, pids, people, seed=1)
