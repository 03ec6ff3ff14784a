"""Protocol cards: what a result was measured on, and how. Results of two protocols do not compare.

A card is a JSON object that anybody can write. What is not known of a result is ``null`` in JSON,
None here; it is never taken for equal, nor for different.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from fed_plugin.retrieval.card_fields import COMPARED, NOT_COMPARED, check_fields

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
