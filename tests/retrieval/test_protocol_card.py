"""Protocol cards: what they say, what they refuse, and which results they keep apart."""

from __future__ import annotations

import json
import re

import pytest
from msgspec.structs import fields, replace

from fed_plugin.datasets.findings import list_hash as hash_of_data_check
from fed_plugin.retrieval.protocol_card import (
    COMPARED,
    FORMAT,
    NOT_COMPARED,
    Difference,
    ProtocolCard,
    describe_lists,
    flat,
    list_hash,
    other_differences,
    protocol_differences,
    unknown_fields,
)

QUERY = [("q/1_a.jpg", 1, 0), ("q/1_b.jpg", 1, 1), ("q/2_a.jpg", 2, 0)]
GALLERY = [("g/1_a.jpg", 1, 0), ("g/1_c.jpg", 1, 0), ("g/2_d.jpg", 2, 3), ("g/9_e.jpg", 9, 0)]

OTHER = {
    "dataset": "Occluded_Duke",
    "camera_rule": "none",
    "same_camera_pairs": 0,
    "query_in_gallery": 2,
    "input_size": (384, 128),
    "distance": "euclidean",
    "flip": True,
    "rerank": "k-reciprocal, k1 20, k2 6, lambda 0.3",
    "query_expansion": "alpha query expansion",
    "side_information": "pose estimator",
    "training_sets": ("DukeMTMC",),
    "supervision": "transfer",
    "combineall": True,
    "epoch_choice": "best on test",
    "epoch": 60,
    "seed": 1,
    "versions": {"torch": "1.13.1"},
    "commit": "decaf",
}


def with_split(card, name, **changes):
    return replace(card, **{name: replace(getattr(card, name), **changes)})


def test_lists_are_counted_as_they_were_ranked():
    card = ProtocolCard(**describe_lists(QUERY, GALLERY))
    assert (card.query.images, card.query.identities, card.query.cameras) == (3, 2, 2)
    assert (card.gallery.images, card.gallery.identities, card.gallery.cameras) == (4, 3, 2)
    assert card.same_camera_pairs == 2  # the first query with the first two gallery images
    assert card.query_in_gallery == 1  # 1_a.jpg


def test_cameras_that_were_made_up_are_told_from_those_that_were_read():
    made_up = describe_lists(
        [(path, pid, 0) for path, pid, _ in QUERY], [(path, pid, 1) for path, pid, _ in GALLERY]
    )
    read = describe_lists(QUERY, GALLERY)
    assert made_up["query"].list_sha256 == read["query"].list_sha256
    assert made_up["same_camera_pairs"] == 0 != read["same_camera_pairs"]


@pytest.mark.parametrize("paths", [[], ["b.jpg", "x/a.jpg"], ["ä.jpg", "\udcff.jpg", "Z.jpg"]])
def test_the_list_hash_is_that_of_data_check(paths):
    assert list_hash(paths) == hash_of_data_check(paths)


def test_a_list_hash_does_not_depend_on_order_or_folder():
    assert list_hash(["x/b.jpg", "x/a.jpg"]) == list_hash(["a.jpg", "b.jpg"])
    assert list_hash(["a.jpg"]) != list_hash(["a.jpg", "a.jpg"])


def test_a_card_survives_json(full_card):
    for card in (full_card, ProtocolCard()):
        content = json.loads(json.dumps(card.to_json()))
        assert next(iter(content)) == "format" and content["format"] == FORMAT
        assert ProtocolCard.from_json(content) == card


def test_a_card_written_by_hand_may_leave_fields_out():
    card = ProtocolCard.from_json({"format": FORMAT, "dataset": "X", "query": {"images": 3}})
    assert card.query.images == 3 and card.query.list_sha256 is None and card.gallery.images is None
    assert ProtocolCard.from_json({"format": FORMAT, "query": None}) == ProtocolCard()


def test_training_sets_are_a_set():
    assert ProtocolCard(training_sets=("b", "a", "b")) == ProtocolCard(training_sets=("a", "b"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a protocol card"),
        ({"dataset": "X"}, "got None"),
        ({"format": "fed_plugin.result/1"}, "got 'fed_plugin.result/1'"),
        ({"format": FORMAT, "fliptest": True}, "expected no key 'fliptest', only 'dataset'"),
        ({"format": FORMAT, "query": {"ids": 3}}, "query: expected no key 'ids', only 'images'"),
        ({"format": FORMAT, "query": 3}, "query: expected counts and a list hash, got 3"),
        ({"format": FORMAT, "query": {"images": -1}}, "query.images: expected a whole number"),
        ({"format": FORMAT, "gallery": {"list_sha256": "12"}}, "gallery.list_sha256: expected a"),
        ({"format": FORMAT, "dataset": " "}, "dataset: expected words, or null for not known"),
        ({"format": FORMAT, "flip": 1}, "flip: expected true or false"),
        ({"format": FORMAT, "epoch": True}, "epoch: expected a whole number"),
        ({"format": FORMAT, "input_size": [256]}, "input_size: expected [height, width]"),
        ({"format": FORMAT, "training_sets": "Market"}, "training_sets: expected a list"),
        ({"format": FORMAT, "supervision": "semi"}, "supervision: expected 'supervised' or"),
        ({"format": FORMAT, "versions": ["1"]}, "versions: expected an object"),
    ],
)
def test_what_is_no_card_is_refused_by_field(content, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ProtocolCard.from_json(content)


def test_every_field_either_counts_or_does_not(full_card):
    assert {*COMPARED, *NOT_COMPARED} == set(flat(full_card))
    assert set(OTHER) | {"query", "gallery"} == {field.name for field in fields(ProtocolCard)}


def test_a_card_is_comparable_with_itself(full_card):
    assert protocol_differences(full_card, full_card) == unknown_fields(full_card, full_card) == []


@pytest.mark.parametrize("name", OTHER)
def test_each_field_alone_decides_or_not(full_card, name):
    other = replace(full_card, **{name: OTHER[name]})
    expected = [Difference(name, getattr(full_card, name), getattr(other, name))]
    decides = name not in ("epoch", "seed", "versions", "commit")
    assert protocol_differences(full_card, other) == (expected if decides else [])
    assert other_differences(full_card, other) == ([] if decides else expected)
    assert unknown_fields(full_card, other) == []


@pytest.mark.parametrize("split", ["query", "gallery"])
@pytest.mark.parametrize("name", ["images", "identities", "cameras", "list_sha256"])
def test_each_count_of_a_split_decides(full_card, split, name):
    value = "0" * 64 if name == "list_sha256" else 77
    (found,) = protocol_differences(full_card, with_split(full_card, split, **{name: value}))
    assert found.field == f"{split}.{name}" and found.b == value


@pytest.mark.parametrize("name", [name for name in COMPARED if "." not in name])
def test_what_one_card_does_not_know_is_neither_equal_nor_different(full_card, name):
    silent = replace(full_card, **{name: None})
    assert protocol_differences(full_card, silent) == []
    assert unknown_fields(full_card, silent) == [Difference(name, getattr(full_card, name), None)]
    assert unknown_fields(silent, silent) == [Difference(name, None, None)]


def test_false_and_zero_are_known(full_card):
    a, b = (
        replace(full_card, flip=False, query_in_gallery=0),
        replace(full_card, query_in_gallery=0),
    )
    assert unknown_fields(a, b) == protocol_differences(a, b) == []
