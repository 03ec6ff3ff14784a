"""Protocol cards on disk: which results share a table, and how a card is read, worded and made.

A card is a file of its own, or stands inside a result, a feature dump or another measurement.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from fed_plugin.arguments import check_file
from fed_plugin.console import printable
from fed_plugin.files import decode, write_json
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import (
    FORMAT,
    OFF,
    Difference,
    ProtocolCard,
    describe_lists,
    protocol_differences,
)

Row = TypeVar("Row")


@dataclass(frozen=True)
class ProtocolGroup(Generic[Row]):
    """Rows that may stand in one table, in the given order.

    ``differences`` to the first group have ``a`` there and ``b`` here, each field once.
    """

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...] = ()


def group_by_protocol(
    rows: Iterable[Row], cards_of: Callable[[Row], Sequence[ProtocolCard]]
) -> list[ProtocolGroup[Row]]:
    """Group rows whose cards do not contradict each other.

    A row joins the first group in which no card contradicts one of its own. An unknown field
    contradicts nothing, and a row without cards joins the first group. ``cards_of`` returns the
    cards of a row: one, one per seed, or none.
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
    pairs = [one for ours in a for theirs in b for one in protocol_differences(ours, theirs)]
    return list({one.field: one for one in reversed(pairs)}.values())[::-1]


KINDS = (
    "a card (OUTPUT_DIR/cards/*.json after an evaluation), a result.json, a robustness.json, a "
    "feature dump (.npz), a benchmark's results.json or a cell's folder"
)
IN_A_FOLDER = ("result.json", "results.json", "dump.npz")
"""Files of a folder that hold a card; the first existing one counts."""
_NAMED = 8  # names in a message


def write_card(card: ProtocolCard, path: str | os.PathLike[str]) -> None:
    """Write a card as JSON into an existing folder."""
    write_json(path, card.to_json())


def read_card(path: str | os.PathLike[str]) -> ProtocolCard:
    """Read the card of a file or folder, of any kind in ``KINDS``.

    ``FILE#NAME`` chooses one of several cards: by method, ``method/seed0``, ``dataset/method`` or
    ``dataset/method/seed0``.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file holds no card, a card that cannot be read, or several cards that
            contradict each other.
    """
    file, name = Path(path), ""
    if not file.exists() and "#" in str(path):
        before, _, name = str(path).rpartition("#")
        file = Path(before)
    if file.is_dir():
        folder, kinds = file, ", ".join(IN_A_FOLDER)
        file = next((folder / one for one in IN_A_FOLDER if (folder / one).is_file()), folder)
        if file == folder:
            raise FileNotFoundError(f"{folder}: a folder without {kinds}; expected {KINDS}")
    check_file(file, KINDS)
    is_dump = file.suffix == ".npz"
    content = dict(FeatureDump.load(file).about) if is_dump else decode(file, Any, KINDS)
    try:
        several = _several(content)
        if several is not None:
            return _choose(several, name)
        if name:
            raise ValueError(f"holds one card; expected no name behind it, got #{name}")
        if isinstance(content, Mapping) and content.get("format") != FORMAT:
            content = _card_inside(content, "about: " if is_dump else "")
        return ProtocolCard.from_json(content)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _several(content: Any) -> list[tuple[tuple[str, ...], Any]] | None:
    """Return the names and the content of every measurement in a file of several, else None."""
    if isinstance(content, list) and all(isinstance(one, Mapping) for one in content) and content:
        return [((str(one.get("method")),), one) for one in content]
    cells = content.get("cells") if isinstance(content, Mapping) else None
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        return None
    named = []
    for cell in cells:
        dataset, method, seed = (cell.get(key) for key in ("dataset", "method", "seed"))
        names = f"{dataset}/{method}/seed{seed}", f"{dataset}/{method}", f"{method}/seed{seed}"
        named.append(((*names, str(method)), cell.get("result")))
    return named


def _choose(several: Sequence[tuple[tuple[str, ...], Any]], name: str) -> ProtocolCard:
    """Return the card of a name; of several with that name the first, if none contradicts it."""
    chosen = [(names[0], one) for names, one in several if name in names or len(several) == 1]
    there = _listed(dict.fromkeys(names[0] for names, _ in several))
    if not chosen:
        got = f"none is called {name!r}" if name else "no name says which"
        expected = f"expected FILE#NAME with one of {there}"
        raise ValueError(f"holds {len(several)} results and {got}; {expected}")
    cards = [ProtocolCard.from_json(_card_inside(one, f"{which}: ")) for which, one in chosen]
    if apart := differences(cards[:1], cards[1:]):
        raise ValueError(
            f"{len(chosen)} results are called {name!r} and differ in "
            f"{', '.join(one.field for one in apart)}; expected FILE#NAME with one of "
            f"{_listed(which for which, _ in chosen)}"
        )
    return cards[0]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more


def _card_inside(content: Any, where: str) -> Any:
    if not isinstance(content, Mapping) or not content.get("card"):
        there = ", ".join(map(repr, content)) if isinstance(content, Mapping) else ""
        raise ValueError(
            f"{where}holds no protocol card; expected one under 'card', got {there or 'nothing'}; "
            f'a card begins with {{"format": "{FORMAT}"}}'
        )
    return content["card"]


ANY_CARD = (
    "a card (OUTPUT_DIR/cards/*.json), a result.json, robustness.json, feature dump (.npz) or "
    "cell's folder; of a benchmark's results.json, FILE#METHOD or FILE#METHOD/seed0"
)
NOT_KNOWN = "not known"


def words_apart(differences: Iterable[Difference]) -> list[str]:
    """Return a sentence per difference of two protocols, the second one's value first."""
    pairs = [(one.field, one.a, one.b) for one in differences]
    return [f"{field} is {worded(field, b)}, not {worded(field, a)}" for field, a, b in pairs]


def worded(field: str, value: Any) -> str:
    """Return the value of a card's field in one line that any terminal can show."""
    if value is None:
        return NOT_KNOWN
    if field.endswith("list_sha256"):
        return f"{value[:12]}..."
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field == "input_size":
        return f"{value[0]} x {value[1]} (height x width)"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    text = ", ".join(value) or "none" if isinstance(value, tuple) else str(value)
    return printable(text)


_ABOUT = ("dataset", "seed", "epoch")  # keys of ``about`` that are fields of a card


def card_of_dump(dump: FeatureDump, distance: str) -> ProtocolCard:
    """Return the card of a dump that ``evaluate_dump`` ranks.

    The lists and the ranking are known. The other fields come from ``about.card``, or from the keys
    of ``about``, or are not known.

    Raises:
        ValueError: ``about`` holds a card, or a field of one, that cannot be read.
    """
    about = dump.about
    content = about.get("card")
    if content is None:
        content = {"format": FORMAT, **{name: about.get(name) for name in _ABOUT}}
    try:
        card = ProtocolCard.from_json(content)
    except ValueError as error:
        raise ValueError(f"about: {error}") from error
    arrays = (dump.names, dump.pids, dump.camids)
    query, gallery = (
        list(zip(*(array[rows].tolist() for array in arrays), strict=True))
        for rows in (dump.query, dump.gallery)
    )
    lists = describe_lists(query, gallery, own_photos=len(np.unique(dump.own_photos[:, 0])))
    ranking = {"distance": distance, "rerank": OFF, "query_expansion": OFF}
    return msgspec.structs.replace(card, **lists, **ranking)
