"""What may stand in one table: rows whose cards contradict each other nowhere."""

from __future__ import annotations

from fed_plugin.retrieval.card_files import group_by_protocol
from fed_plugin.retrieval.protocol_card import Difference, ProtocolCard

SMALL, LARGE = ProtocolCard(input_size=(96, 48)), ProtocolCard(input_size=(256, 128))
CARDS = {
    "small": [SMALL],
    "large": [LARGE],
    "large, flip": [ProtocolCard(input_size=(256, 128), flip=True)],
    "large, no flip": [ProtocolCard(input_size=(256, 128), flip=False)],
    "nobody knows": [ProtocolCard()],
    "no card": [],
}


def grouped(*names):
    return [(group.rows, group.differences) for group in group_by_protocol(names, CARDS.get)]


def test_rows_of_one_protocol_are_one_group_in_their_order():
    assert grouped("no card", "small", "nobody knows") == [
        (("no card", "small", "nobody knows"), ())
    ]


def test_another_protocol_is_another_group_that_says_what_keeps_it_apart():
    apart = (Difference("input_size", (96, 48), (256, 128)),)
    assert grouped("small", "large", "no card", "large, flip") == [
        (("small", "no card"), ()),
        (("large", "large, flip"), apart),
    ]


def test_a_row_is_compared_with_every_row_of_a_group_not_only_the_first():
    groups = grouped("large", "large, flip", "large, no flip")
    assert [rows for rows, _ in groups] == [("large", "large, flip"), ("large, no flip",)]
    assert groups[1][1] == (Difference("flip", True, False),)


def test_each_field_is_named_once():
    cards = {"a": [SMALL, SMALL], "b": [LARGE, LARGE]}
    _, other = group_by_protocol("ab", cards.get)
    assert other.differences == (Difference("input_size", (96, 48), (256, 128)),)


def test_no_rows_are_no_groups():
    assert group_by_protocol([], CARDS.get) == []
