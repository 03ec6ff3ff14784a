from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from fed_plugin.synthocc.casting import GALLERY, QUERY, SIZES, TRAIN, cast, passers_by, plan

EVERY_SIZE = pytest.mark.parametrize("size", SIZES.values(), ids=list(SIZES))


@EVERY_SIZE
def test_train_and_test_share_no_identity(size):
    shots = plan(size, 0)
    train = {s.pid for s in shots if s.split == TRAIN}
    test = {s.pid for s in shots if s.split != TRAIN}

    assert len(train) == size.train_ids and len(test) == size.test_ids + size.extra_ids
    assert not train & test


@EVERY_SIZE
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_query_has_an_answer_in_another_camera(size, seed):
    shots = plan(size, seed)
    seen = defaultdict(set)
    for shot in shots:
        if shot.split == GALLERY:
            seen[shot.pid].add(shot.camid)

    queries = [s for s in shots if s.split == QUERY]
    assert len(queries) == size.test_ids * size.queries
    assert all(seen[q.pid] - {q.camid} for q in queries)


@EVERY_SIZE
def test_some_identities_are_only_in_the_gallery(size):
    shots = plan(size, 0)
    asked = {s.pid for s in shots if s.split == QUERY}
    extra = {s.pid for s in shots if s.split == GALLERY} - asked

    assert len(extra) == size.extra_ids
    assert len(passers_by(size, 0)) == size.extra_ids


@EVERY_SIZE
def test_only_queries_are_occluded_by_objects_and_by_people(size):
    kinds = Counter((s.split == QUERY, s.cover) for s in plan(size, 0))

    assert set(kinds) == {(False, ""), (True, "object"), (True, "person")}
    assert 0.3 < kinds[True, "person"] / (size.test_ids * size.queries) < 0.5


@EVERY_SIZE
def test_a_plan_has_as_many_images_as_the_size_says_each_with_its_own_name(size):
    shots = plan(size, 0)

    assert len({s.name for s in shots}) == len(shots) == size.images


@EVERY_SIZE
def test_training_identities_are_seen_by_several_cameras(size):
    cameras = defaultdict(set)
    for shot in plan(size, 0):
        if shot.split == TRAIN:
            cameras[shot.pid].add(shot.camid)

    assert all(len(seen) >= min(4, size.cameras) for seen in cameras.values())
    assert set.union(*cameras.values()) == set(range(size.cameras))


def test_medium_has_the_size_of_a_benchmark():
    splits = Counter(s.split for s in plan(SIZES["medium"], 0))

    assert splits == {TRAIN: 4800, QUERY: 600, GALLERY: 2000}


def test_the_cast_is_the_same_whoever_asks():
    size = SIZES["small"]
    first = dict(cast(size, 5))
    cast.cache_clear()

    assert cast(size, 5) == first
    assert cast(size, 6) != first
