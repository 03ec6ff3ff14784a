from __future__ import annotations

import math
import random

import pytest

from fed_plugin.datasets.own_split import (
    Record,
    SplitRule,
    canonical,
    identities_to_test,
    numbered,
    queries_of,
)

PEOPLE = [f"person {number}" for number in range(1000)]


def images(*cameras, who="ann"):
    return [Record(f"/x/{who}/{n}.jpg", who, camera) for n, camera in enumerate(cameras)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_about_the_share_of_the_identities_is_tested_on(share):
    chosen = identities_to_test(PEOPLE, len(PEOPLE), SplitRule(share))
    assert abs(len(chosen) / 1000 - share) < 4 * math.sqrt(share * (1 - share) / 1000)


def test_the_choice_is_the_same_on_every_platform_and_in_every_process():
    chosen = identities_to_test(["ann", "bob", "José", "4", "李"], 5, SplitRule())
    assert sorted(chosen) == ["4", "José"]


def test_a_new_identity_moves_no_other():
    before = identities_to_test(PEOPLE[:500], 500, SplitRule())
    after = identities_to_test(PEOPLE, 1000, SplitRule())
    assert after & set(PEOPLE[:500]) == before


def test_order_does_not_matter_and_the_seed_does():
    shuffled = random.Random(0).sample(PEOPLE, len(PEOPLE))
    chosen = identities_to_test(PEOPLE, 1000, SplitRule())
    assert identities_to_test(shuffled, 1000, SplitRule()) == chosen
    others = identities_to_test(PEOPLE, 1000, SplitRule(seed=1))
    assert 350 < len(chosen ^ others) < 650


@pytest.mark.parametrize("share", [1e-9, 0.5, 1 - 1e-9])
@pytest.mark.parametrize("count", [2, 3])
def test_neither_side_is_left_empty(share, count):
    assert 0 < len(identities_to_test(PEOPLE[:count], count, SplitRule(share))) < count


def test_whoever_cannot_be_tested_is_enough_for_training():
    assert identities_to_test(["ann"], 2, SplitRule(1e-9)) == {"ann"}
    assert identities_to_test([], 2, SplitRule()) == set()


def test_queries_are_taken_per_camera():
    chosen = queries_of(images(*"111222333"), SplitRule(queries=2))
    assert sorted(record.camera for record in chosen) == list("112233")
    assert len(queries_of(images(*"111222333"), SplitRule())) == 3


def test_queries_are_taken_per_identity_where_there_are_no_cameras():
    assert len(queries_of(images(*[None] * 5), SplitRule(queries=3))) == 3
    assert len(queries_of(images(*[None] * 5), SplitRule(queries=9))) == 4


@pytest.mark.parametrize("cameras", ["12", "112", "1123", "1223", "111222", "1122334455"])
@pytest.mark.parametrize("queries", [1, 2, 10])
def test_every_query_keeps_an_answer_in_another_camera(cameras, queries):
    every = images(*cameras)
    chosen = queries_of(every, SplitRule(queries=queries))
    gallery = {record.camera for record in every if record not in chosen}
    assert chosen
    assert all(gallery - {record.camera} for record in chosen)


@pytest.mark.parametrize("cameras", [["1"], ["1", "1"], [None]])
def test_an_identity_that_nothing_can_answer_has_no_query(cameras):
    assert queries_of(images(*cameras), SplitRule()) == []


def test_queries_hang_on_names_not_on_folders_or_order():
    every = images(*[None] * 20)
    moved = [Record(f"/elsewhere/{record.path[3:]}", record.identity) for record in every]
    chosen = [record.path[3:] for record in queries_of(every, SplitRule(queries=5))]
    again = queries_of(random.Random(0).sample(moved, 20), SplitRule(queries=5))
    assert [record.path[len("/elsewhere/") :] for record in again] == chosen
    other = queries_of(every, SplitRule(queries=5, seed=1))
    assert [record.path[3:] for record in other] != chosen


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("TEST_SHARE", [0, 1, -0.5, 1.5, float("nan"), float("inf"), "0.5", True, None]),
        ("QUERIES", [0, -1, 1.5, "1", True, None]),
        ("SPLIT_SEED", [-1, 0.5, "0", True, None]),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_key(key, values):
    field = {"TEST_SHARE": "test_share", "QUERIES": "queries", "SPLIT_SEED": "seed"}[key]
    for value in values:
        with pytest.raises(ValueError, match=rf"DATASETS\.FOLDER_REID\.{key}=.*: expected .*try"):
            SplitRule(**{field: value})


def test_accents_are_composed_and_numbers_lose_their_zeros():
    assert canonical("Jose\u0301") == canonical("Jos\u00e9") == "Jos\u00e9"
    assert [canonical(name) for name in ("007", "0", "000", "", "07a", "-7", "٣")] == [
        *("7", "0", "0", "", "07a", "-7", "٣"),
    ]


def test_numbers_keep_their_value_and_names_are_counted_in_sorted_order():
    assert numbered(["7", "12", "3"]) == {"3": 3, "7": 7, "12": 12}
    assert numbered(["bob", "ann", "bob", "12"]) == {"12": 0, "ann": 1, "bob": 2}
    assert numbered(["1", "9" * 19]) == {"1": 0, "9" * 19: 1}  # beyond an int64
