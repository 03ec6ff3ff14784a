"""Protocol cards: what a result was measured on, and how. Results of two protocols do not compare.

A card is a JSON object that anybody can write. What is not known of a result is ``null`` in JSON,
None here; it is never taken for equal, nor for different.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

# The fields of a protocol card: which must agree and why, and which kind of value each takes.

_SPLIT = {
    "images": "other images were ranked",
    "identities": "other people, or file names read otherwise",
    "cameras": "other cameras, or file names read otherwise",
    "list_sha256": "other file names were ranked",
}
COMPARED: Mapping[str, str] = {
    "dataset": "another test set",
    **{f"query.{name}": why for name, why in _SPLIT.items()},
    **{f"gallery.{name}": why for name, why in _SPLIT.items()},
    "camera_rule": "which easy matches are left out",
    "same_camera_pairs": "cameras read otherwise, so that other easy matches are left out",
    "query_in_gallery": "a query that finds its own copy is no retrieval",
    "input_size": "larger images show more",
    "distance": "descriptors are ranked otherwise",
    "flip": "a second look at every image",
    "rerank": "uses all queries and the gallery at once",
    "query_expansion": "uses the gallery to improve a query",
    "side_information": "one is told more at test time",
    "training_sets": "learnt from other images",
    "supervision": "learnt from the tested set's own training images, or not",
    "combineall": "learnt from test images, or not",
    "epoch_choice": "the best epoch by the reported numbers flatters them",
}
"""Every field that two results must share to compare, and why."""

NOT_COMPARED = ("epoch", "seed", "versions", "commit")

Check = Callable[[Any], bool]


def check_fields(values: Mapping[str, Any], split: type) -> None:
    """Refuse a card's values if one is not of its field's kind; None is always taken.

    Args:
        values: by field; those of a split are of the class ``split``.
        split: class that describes queries or gallery.

    Raises:
        ValueError: The field, what it takes, what it got.
    """
    for name, value in values.items():
        if name in ("query", "gallery"):
            if not isinstance(value, split):
                raise ValueError(f"{name}: expected counts and a list hash, got {value!r:.60}")
            for inner, count in vars(value).items():
                _check(f"{name}.{inner}", inner, count)
        else:
            _check(name, name, value)


def _check(label: str, name: str, value: Any) -> None:
    check, words = _KINDS.get(name, _TEXT)
    if value is not None and not check(value):
        raise ValueError(f"{label}: expected {words}, or null for not known, got {value!r:.60}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value))


def _is_versions(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, (*value, *value.values())))


_TEXT: tuple[Check, str] = (_is_text, "words")
_WHOLE: tuple[Check, str] = (_is_whole, "a whole number of 0 or more")
_SWITCH: tuple[Check, str] = (lambda value: isinstance(value, bool), "true or false")
_KINDS: Mapping[str, tuple[Check, str]] = {
    **dict.fromkeys(("images", "identities", "cameras", "epoch", "seed"), _WHOLE),
    **dict.fromkeys(("same_camera_pairs", "query_in_gallery"), _WHOLE),
    **dict.fromkeys(("flip", "combineall"), _SWITCH),
    "list_sha256": (
        lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)),
        "a sha256, 64 hexadecimal digits",
    ),
    "input_size": (_is_size, "[height, width] in pixels"),
    "training_sets": (
        lambda value: isinstance(value, tuple) and all(map(_is_text, value)),
        "a list of names",
    ),
    "supervision": (lambda value: value in ("supervised", "transfer"), "supervised or transfer"),
    "versions": (_is_versions, "an object of names and versions"),
}


FORMAT = "fed_plugin.card/1"
CAMERA_RULE = "same identity and camera removed"
OFF = "off"  # re-ranking or query expansion that was not used
NO_SIDE_INFORMATION = "none"
LAST, BEST_ON_TEST = "last", "best on test"


@dataclass(frozen=True)
class SplitCard:
    """Describe the queries or the gallery; two that differ anywhere are different test sets.

    Args:
        images: that were ranked.
        identities: different ones among them; distractors count as one, as in fast-reid's table.
        cameras: different ones; made-up cameras count as well.
        list_sha256: of the file list; see ``card_lists.list_hash``.
    """

    images: int | None = None
    identities: int | None = None
    cameras: int | None = None
    list_sha256: str | None = None


@dataclass(frozen=True)
class ProtocolCard:
    """Describe how a result was measured; None is "not known".

    Results compare if every field but the last four agrees.

    Args:
        dataset: name of the data set. Equal file names can hold other pixels, so the name counts.
        query: the images that were searched with.
        gallery: the images that were searched in.
        camera_rule: which gallery images are left out of a query's ranking. Without the field's
            rule (``CAMERA_RULE``) the easiest matches stay in.
        same_camera_pairs: (query, gallery) pairs of one identity and camera. It tells cameras that
            were read from names from cameras that were made up, whatever their numbers.
        query_in_gallery: queries whose file name is in the gallery too. Finding a copy of itself
            is no retrieval, unless the camera rule leaves the copy out.
        input_size: height and width of the network's input in pixels; larger ones win.
        distance: what ranks descriptors: ``"cosine"`` or ``"euclidean"``.
        flip: whether descriptors are averages over an image and its mirror image.
        rerank: ``"off"`` or the kind and its parameters: it uses all queries at once.
        query_expansion: likewise.
        side_information: what a method is told at test time beyond the pixels: ``"none"``, or
            words such as ``"camera ids"``, ``"pose estimator"``, ``"person masks"``.
        training_sets: names of the sets it was trained on, sorted.
        supervision: ``"supervised"`` if the tested set's own training images are among them,
            ``"transfer"`` if not.
        combineall: whether it was trained on queries and galleries of those sets as well.
        epoch_choice: ``"last"`` (fixed before training), ``"best on test"`` (chosen by the very
            numbers that are reported, which flatters them), or other words.
        epoch: epochs of training behind the model. Not compared: schedules belong to a method.
        seed: of the run, None if it had none. Not compared: it is the spread of one protocol.
        versions: of the software, by name. Not compared; differences are worth a look.
        commit: of the plugin's checkout. Not compared.

    Raises:
        ValueError: A value is not of the kind its field takes.
    """

    dataset: str | None = None
    query: SplitCard = field(default_factory=SplitCard)
    gallery: SplitCard = field(default_factory=SplitCard)
    camera_rule: str | None = None
    same_camera_pairs: int | None = None
    query_in_gallery: int | None = None
    input_size: tuple[int, int] | None = None
    distance: str | None = None
    flip: bool | None = None
    rerank: str | None = None
    query_expansion: str | None = None
    side_information: str | None = None
    training_sets: tuple[str, ...] | None = None
    supervision: str | None = None
    combineall: bool | None = None
    epoch_choice: str | None = None
    epoch: int | None = None
    seed: int | None = None
    versions: Mapping[str, str] | None = None
    commit: str | None = None

    def __post_init__(self) -> None:
        check_fields({f.name: getattr(self, f.name) for f in fields(self)}, SplitCard)
        if self.training_sets is not None:
            object.__setattr__(self, "training_sets", tuple(sorted(set(self.training_sets))))

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: every field, and the format's name first."""
        content = asdict(self)
        for name in ("input_size", "training_sets"):
            content[name] = None if content[name] is None else list(content[name])
        return {"format": FORMAT, **content}

    @classmethod
    def from_json(cls, content: Any) -> ProtocolCard:
        """Read what ``json.loads`` returns; a field that is left out is not known.

        Raises:
            ValueError: It is no card, or a field has another name or kind; expected, got, try.
        """
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            got = content.get("format") if isinstance(content, Mapping) else content
            raise ValueError(f"expected a protocol card, of format {FORMAT!r}, got {got!r:.60}")
        values = {name: value for name, value in content.items() if name != "format"}
        _refuse_unknown(values, cls, "a card")
        for name in ("query", "gallery"):
            if isinstance(split := values.get(name), Mapping):
                _refuse_unknown(split, SplitCard, name)
                values[name] = SplitCard(**split)
            elif split is None:
                values.pop(name, None)
        for name in ("input_size", "training_sets"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        return cls(**values)


def flat(card: ProtocolCard) -> dict[str, Any]:
    """Return every field in order, those of a split as ``query.images`` and the like."""
    values: dict[str, Any] = {}
    for name, value in vars(card).items():
        inner = vars(value) if isinstance(value, SplitCard) else None
        values.update({f"{name}.{k}": v for k, v in inner.items()} if inner else {name: value})
    return values


@dataclass(frozen=True)
class Difference:
    """One field of two cards.

    Args:
        field: its name; ``query.images`` is the field ``images`` of ``query``.
        a: what the first card says, None if it does not know.
        b: what the second card says, likewise.
    """

    field: str
    a: Any
    b: Any


def protocol_differences(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List where two protocols differ, as far as both are known; empty: one table may hold both.

    Seeds, epochs, versions and commits never make a difference; unknown fields do not either, see
    :func:`unknown_fields`.
    """
    return [pair for pair in _pairs(a, b) if None not in (pair.a, pair.b) and pair.a != pair.b]


def unknown_fields(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List the fields that two results should share and one or both cards do not know."""
    return [pair for pair in _pairs(a, b) if None in (pair.a, pair.b)]


def other_differences(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List what differs and makes nothing incomparable: epochs, seeds, versions, commits."""
    pairs = [Difference(name, getattr(a, name), getattr(b, name)) for name in NOT_COMPARED]
    return [pair for pair in pairs if pair.a != pair.b]


def _pairs(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    ours, theirs = flat(a), flat(b)
    return [Difference(name, ours[name], theirs[name]) for name in COMPARED]


def _refuse_unknown(values: Mapping[str, Any], kind: type, where: str) -> None:
    known = [f.name for f in fields(kind)]
    if unknown := [name for name in values if name not in known]:
        raise ValueError(f"{where} has no field {unknown[0]!r}, expected {', '.join(known)}")


# What a list of ranked images says on a protocol card.

Item = tuple[str, Any, Any]
"""Path or file name, identity, camera."""


def describe_lists(query: Sequence[Item], gallery: Sequence[Item]) -> dict[str, Any]:
    """Return the fields of a card that follow from the images that were ranked.

    Args:
        query: every query as the evaluation got it, a feature dump's rows for example.
        gallery: likewise.
    """
    galleries = {os.path.basename(path) for path, _, _ in gallery}
    same = Counter((pid, camid) for _, pid, camid in gallery)
    return {
        "query": _describe_split(query),
        "gallery": _describe_split(gallery),
        "same_camera_pairs": sum(same[pid, camid] for _, pid, camid in query),
        "query_in_gallery": sum(os.path.basename(path) in galleries for path, _, _ in query),
    }


def list_hash(paths: Iterable[str]) -> str:
    """Return the sha256 of a file list, the same for every copy of a data set.

    It is that of all base names as UTF-8, sorted by their bytes, a newline after each, and what
    ``data check`` prints; in a shell: ``ls -U query | LC_ALL=C sort | sha256sum``.
    """
    names = sorted(os.fsencode(os.path.basename(path)) for path in paths)
    return hashlib.sha256(b"".join(name + b"\n" for name in names)).hexdigest()


def _describe_split(items: Sequence[Item]) -> SplitCard:
    return SplitCard(
        images=len(items),
        identities=len({pid for _, pid, _ in items}),
        cameras=len({camid for _, _, camid in items}),
        list_sha256=list_hash(path for path, _, _ in items),
    )
