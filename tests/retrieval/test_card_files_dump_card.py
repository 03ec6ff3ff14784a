from __future__ import annotations

import pytest

from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.protocol_card import ProtocolCard, describe_lists, protocol_differences


def test_a_bare_dump_has_a_card_of_what_is_in_it(draw_dump):
    card = card_of_dump(draw_dump(), "cosine")
    assert (card.query.images, card.gallery.images, card.gallery.cameras) == (4, 8, 3)
    assert card.distance == "cosine" and card.rerank == "off"
    assert card.dataset is None and card.flip is None and card.seed is None


def test_known_keys_of_about_are_on_the_card(draw_dump):
    about = {"dataset": "Market1501", "seed": 3, "epoch": 60, "method": "mine"}
    card = card_of_dump(draw_dump(about=about), "cosine")
    assert (card.dataset, card.seed, card.epoch) == ("Market1501", 3, 60)


def test_a_card_in_about_is_believed_but_for_what_the_dump_shows(draw_dump):
    said = ProtocolCard(flip=True, distance="cosine", rerank="k-reciprocal", query_in_gallery=7)
    card = card_of_dump(draw_dump(about={"card": said.to_json()}), "euclidean")
    assert card.flip is True
    assert (card.distance, card.rerank, card.query_in_gallery) == ("euclidean", "off", 0)


def test_another_gallery_is_another_protocol(draw_dump):
    names = draw_dump().names.copy()
    names[-1] = "other.jpg"
    cards = [card_of_dump(dump, "cosine") for dump in (draw_dump(), draw_dump(names=names))]
    assert [d.field for d in protocol_differences(*cards)] == ["gallery.list_sha256"]


def test_the_lists_are_those_of_an_evaluation(draw_dump):
    dump = draw_dump()
    query, gallery = (
        [(f"some/{dump.names[r]}", int(dump.pids[r]), int(dump.camids[r])) for r in rows]
        for rows in (dump.query, dump.gallery)
    )
    card = card_of_dump(dump, "cosine")
    assert {name: getattr(card, name) for name in describe_lists(query, gallery)} == describe_lists(
        query, gallery
    )


@pytest.mark.parametrize(
    "about", [{"card": {"format": "other"}}, {"card": 3}, {"seed": "three"}, {"epoch": -1}]
)
def test_what_a_card_cannot_hold_is_refused(draw_dump, about):
    with pytest.raises(ValueError, match="about: "):
        card_of_dump(draw_dump(about=about), "cosine")
