"""The protocol card of a ranked feature dump: what it says of itself, and what its lists show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fed_plugin.retrieval.card_lists import Item, describe_lists
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import CAMERA_RULE, OFF, ProtocolCard

_SAID = ("dataset", "seed", "epoch")  # keys of ``about`` that are fields of a card


def card_of_dump(dump: FeatureDump, distance: str) -> ProtocolCard:
    """Return the card of a dump that ``evaluate_dump`` ranks.

    The lists and the way of ranking are what they are; all else is what ``about`` says, in
    ``about.card`` if there is one, and not known if it says nothing.

    Args:
        dump: to be ranked.
        distance: that it is ranked by.

    Raises:
        ValueError: ``about`` holds a card, or a field of one, that cannot be read.
    """
    return replace(
        _said(dump.about),
        **describe_lists(_items(dump, dump.query), _items(dump, dump.gallery)),
        camera_rule=CAMERA_RULE,
        distance=distance,
        rerank=OFF,
        query_expansion=OFF,
    )


def _said(about: Mapping[str, Any]) -> ProtocolCard:
    try:
        if about.get("card") is not None:
            return ProtocolCard.from_json(about["card"])
        return ProtocolCard(**{name: about.get(name) for name in _SAID})
    except ValueError as error:
        raise ValueError(f"about: {error}") from error


def _items(dump: FeatureDump, rows: Any) -> list[Item]:
    return list(
        zip(
            dump.names[rows].tolist(),
            dump.pids[rows].tolist(),
            dump.camids[rows].tolist(),
            strict=True,
        )
    )
