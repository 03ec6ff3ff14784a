"""Protocol cards on disk: files of their own, and those inside whatever a measurement leaves."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from fed_plugin.files import write_atomically
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import (
    CAMERA_RULE,
    FORMAT,
    OFF,
    Difference,
    Item,
    ProtocolCard,
    describe_lists,
    protocol_differences,
)

# Which results may stand in one table: those whose protocol cards describe one protocol.

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


KINDS = (
    "a card (OUTPUT_DIR/cards/*.json after an evaluation), a result.json, a robustness.json, a "
    "feature dump (.npz), a benchmark's results.json or a cell's folder"
)
IN_A_FOLDER = ("result.json", "results.json", "dump.npz")
"""Files that speak for a folder, the first one that is there."""
_NAMED = 8  # names in a message


def write_card(card: ProtocolCard, path: str | os.PathLike[str]) -> None:
    """Write a card as JSON; the file is there whole or not at all.

    Raises:
        FileNotFoundError: Its folder is not there.
    """
    with write_atomically(path) as file:
        file.write((json.dumps(card.to_json(), indent=1) + "\n").encode())


def read_card(path: str | os.PathLike[str]) -> ProtocolCard:
    """Read the card of a file or folder, of any kind in ``KINDS``.

    Args:
        path: of the file or folder. Of one that holds several cards, ``FILE#NAME`` chooses: by
            method, ``method/seed0``, ``dataset/method`` or ``dataset/method/seed0``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It holds no card, one that cannot be read, or several that contradict each
            other; the message names the file.
    """
    file, name = Path(path), ""
    if not file.exists() and "#" in str(path):
        before, _, name = str(path).rpartition("#")
        file = Path(before)
    if file.is_dir():
        file = _speaker(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; expected {KINDS}")
    is_dump = file.suffix == ".npz"
    content = dict(FeatureDump.load(file).about) if is_dump else _read_json(file)
    try:
        return _card(content, name, "about: " if is_dump else "")
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _speaker(folder: Path) -> Path:
    for name in IN_A_FOLDER:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f"{folder}: a folder without {', '.join(IN_A_FOLDER)}; expected {KINDS}"
    )


def _card(content: Any, name: str, where: str) -> ProtocolCard:
    several = _several(content)
    if several is not None:
        return _choose(several, name)
    if name:
        raise ValueError(f"holds one card; expected no name behind it, got #{name}")
    if isinstance(content, Mapping) and content.get("format") != FORMAT:
        content = _card_inside(content, where)
    return ProtocolCard.from_json(content)


def _several(content: Any) -> list[tuple[tuple[str, ...], Any]] | None:
    """Return the names and the content of every measurement in a file of several, else None."""
    if isinstance(content, list) and all(isinstance(one, Mapping) for one in content) and content:
        return [((str(one.get("method")),), one) for one in content]
    cells = content.get("cells") if isinstance(content, Mapping) else None
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        return None
    found = []
    for cell in cells:
        dataset, method, seed = (cell.get(key) for key in ("dataset", "method", "seed"))
        names = f"{dataset}/{method}/seed{seed}", f"{dataset}/{method}", f"{method}/seed{seed}"
        found.append(((*names, str(method)), cell.get("result")))
    return found


def _choose(several: Iterable[tuple[tuple[str, ...], Any]], name: str) -> ProtocolCard:
    """Return the card of a name; of several with that name the first, if none contradicts it."""
    several = list(several)
    chosen = [(names[0], one) for names, one in several if name in names or len(several) == 1]
    there = _listed(dict.fromkeys(names[0] for names, _ in several))
    if not chosen:
        got = f"none is called {name!r}" if name else "no name says which"
        raise ValueError(
            f"holds {len(several)} results and {got}; expected FILE#NAME with one of {there}"
        )
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


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: no JSON ({error}); expected {KINDS}") from error


# Values of protocol cards, as they are printed.

ANY_CARD = (
    "a card (OUTPUT_DIR/cards/*.json), a result.json, robustness.json, feature dump (.npz) or "
    "cell's folder; of a benchmark's results.json, FILE#METHOD or FILE#METHOD/seed0"
)
NOT_KNOWN = "not known"


def words_apart(differences: Iterable[Difference]) -> list[str]:
    """Say in what a protocol is another one, a sentence per field, the second one's value first."""
    return [
        f"{one.field} is {worded(one.field, one.b)}, not {worded(one.field, one.a)}"
        for one in differences
    ]


def worded(field: str, value: Any) -> str:
    """Say what a card holds in a field, in one line that any terminal can show."""
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
    return "".join(c if c.isprintable() else "?" for c in text)


# The protocol card of a ranked feature dump: what it says of itself, and what its lists show.

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
