"""Which results may stand in one table: those whose protocol cards describe one protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fed_plugin.retrieval.protocol_card import Difference, ProtocolCard, protocol_differences

Row = TypeVar("Row")


@dataclass(frozen=True)
class ProtocolGroup(Generic[Row]):
    """Hold rows that may stand in one table.

    Args:
        rows: in the order they were given.
        differences: what keeps this group from the first one, ``a`` there and ``b`` here, each
            field once; empty for the first group.
    """

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...] = ()


def group_by_protocol(
    rows: Iterable[Row], cards_of: Callable[[Row], Sequence[ProtocolCard]]
) -> list[ProtocolGroup[Row]]:
    """Put rows together whose cards do not contradict each other.

    A row joins the first group in which no card contradicts one of its own. What a card does not
    know contradicts nothing, and a row without cards joins the first group.

    Args:
        rows: anything that was measured.
        cards_of: returns the cards of a row: one, one per seed, or none if nobody wrote one.
    """
    groups: list[list[Row]] = []
    cards: list[list[ProtocolCard]] = []
    for row in rows:
        ours = list(cards_of(row))
        place = next((i for i, held in enumerate(cards) if not differences(held, ours)), None)
        if place is None:
            groups.append([row])
            cards.append(ours)
        else:
            groups[place].append(row)
            cards[place] += ours
    return [
        ProtocolGroup(tuple(group), tuple(differences(cards[0], held)) if place else ())
        for place, (group, held) in enumerate(zip(groups, cards, strict=True))
    ]


def differences(a: Sequence[ProtocolCard], b: Sequence[ProtocolCard]) -> list[Difference]:
    """List where any card of ``a`` contradicts any of ``b``, each field once."""
    found = [one for ours in a for theirs in b for one in protocol_differences(ours, theirs)]
    return list({one.field: one for one in reversed(found)}.values())[::-1]
