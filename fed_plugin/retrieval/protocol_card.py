"""Protocol cards: what a result was measured on, and how. Results of two protocols do not compare.

A card is a JSON object that anybody can write. What is not known is ``null`` in JSON and None here;
an unknown field is neither equal nor different.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fed_plugin.files import convert, list_hash
from fed_plugin.identities import JUNK_PID, is_junk

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
    "side_information": "a method gets more than pixels at test time",
    "training_sets": "learnt from other images",
    "supervision": "learnt from the tested set's own training images, or not",
    "combineall": "learnt from test images, or not",
    "epoch_choice": "the best epoch by the reported numbers flatters them",
}
"""Every field that two results must share to compare, and why."""

NOT_COMPARED = ("epoch", "seed", "versions", "commit")

FORMAT = "fed_plugin.card/1"
CAMERA_RULE = "same identity and camera removed"
OFF = "off"  # re-ranking or query expansion that was not used
NO_SIDE_INFORMATION = "none"
LAST, BEST_ON_TEST = "last", "best on test"

# What the fields take, in the words of the message.

_Words = Annotated[str, Meta(pattern=r"\S", description="words, or null for not known")]
_NOT = "or null for not known"
_Count = Annotated[int, Meta(ge=0, description=f"a whole number of 0 or more, {_NOT}")]
_Switch = Annotated[bool, Meta(description=f"true or false, {_NOT}")]
_DIGITS = "^[0-9a-f]{64}$"
_Sha256 = Annotated[str, Meta(pattern=_DIGITS, description="a sha256, 64 hexadecimal digits")]
_Size = Annotated[tuple[_Count, _Count], Meta(description="[height, width] in pixels")]
_Names = Annotated[tuple[_Words, ...], Meta(description="a list of names")]
_Versions = Annotated[dict[_Words, _Words], Meta(description="an object of names and versions")]
_SplitOf = Annotated["SplitCard", Meta(description="counts and a list hash")]


class SplitCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of the ranked queries or gallery images, and the hash of their list (`list_hash`).

    Distractors count as one identity, as in fast-reid's table; made-up cameras count as well.
    """

    images: _Count | None = None
    identities: _Count | None = None
    cameras: _Count | None = None
    list_sha256: _Sha256 | None = None


class ProtocolCard(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT
):
    """Description of how a result was measured; None is "not known".

    Results compare if every field but the last four (``NOT_COMPARED``) agrees.

    Args:
        dataset: name of the data set. Equal file names can hold other pixels, so the name counts.
            A set that draws its lists when it is constructed has the seed of the draw in its name.
        camera_rule: which gallery images are left out of a query's ranking. Without the field's
            rule (``CAMERA_RULE``) the easiest matches stay in. With junk in the gallery the words
            count it: it is left out of every ranking.
        same_camera_pairs: (query, gallery) pairs of one identity and camera. The number differs
            between cameras that were read from names and cameras that were made up.
        query_in_gallery: number of queries whose file name is in the gallery too. Finding a copy is
            no retrieval, unless the camera rule leaves the copy out. Copies that it would not leave
            out are left out of their own queries' rankings, and words say so, with their number.
        input_size: height and width of the network's input in pixels.
        distance: distance of descriptors: ``"cosine"`` or ``"euclidean"``.
        flip: whether descriptors are averages over an image and its mirror image.
        rerank: ``"off"``, or the kind of re-ranking and its parameters.
        query_expansion: ``"off"``, or the kind of query expansion and its parameters.
        side_information: what a method gets at test time beside the pixels: ``"none"``, or words
            such as ``"camera ids"``, ``"pose estimator"``, ``"person masks"``.
        training_sets: names of the training sets, sorted.
        supervision: ``"supervised"`` if the tested set's own training images are among them,
            ``"transfer"`` if not.
        combineall: whether queries and galleries of those sets were trained on as well.
        epoch_choice: ``"last"`` (fixed before training), ``"best on test"`` (chosen by the reported
            numbers, which flatters them), or other words.
        epoch: epochs of training behind the model: schedules belong to a method.
        seed: seed of the run, None if the run had none: the spread of one protocol.
        versions: versions of the software, by name.
    """

    dataset: _Words | None = None
    query: _SplitOf = msgspec.field(default_factory=SplitCard)
    gallery: _SplitOf = msgspec.field(default_factory=SplitCard)
    camera_rule: _Words | None = None
    same_camera_pairs: _Count | None = None
    query_in_gallery: _Count | _Words | None = None
    input_size: _Size | None = None
    distance: _Words | None = None
    flip: _Switch | None = None
    rerank: _Words | None = None
    query_expansion: _Words | None = None
    side_information: _Words | None = None
    training_sets: _Names | None = None
    supervision: Literal["supervised", "transfer"] | None = None
    combineall: _Switch | None = None
    epoch_choice: _Words | None = None
    epoch: _Count | None = None
    seed: _Count | None = None
    versions: _Versions | None = None
    commit: _Words | None = None

    def __post_init__(self) -> None:
        if self.training_sets is not None:
            in_order = tuple(sorted(set(self.training_sets)))
            msgspec.structs.force_setattr(self, "training_sets", in_order)

    def to_json(self) -> dict[str, Any]:
        """Return what ``json.dumps`` takes: the format's name, then every field."""
        return msgspec.json.decode(msgspec.json.encode(self))

    @classmethod
    def from_json(cls, content: Any) -> ProtocolCard:
        """Read what ``json.loads`` returns; a field that is left out is not known.

        Raises:
            ValueError: The content is no card, or a field has another name or kind.
        """
        got = content.get("format") if isinstance(content, Mapping) else content
        if got != FORMAT:
            raise ValueError(f"expected a protocol card, of format {FORMAT!r}, got {got!r:.60}")
        return convert({k: v for k, v in content.items() if v is not None}, cls)


def flat(card: ProtocolCard) -> dict[str, Any]:
    """Return every field in order, those of a split as ``query.images`` and the like."""
    values: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(card).items():
        inner = msgspec.structs.asdict(value) if isinstance(value, SplitCard) else None
        values.update({f"{name}.{k}": v for k, v in inner.items()} if inner else {name: value})
    return values


@dataclass(frozen=True)
class Difference:
    """One field of two cards with both values, None for not known; ``query.images`` is nested."""

    field: str
    a: Any
    b: Any


def protocol_differences(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List where two protocols differ, as far as both are known.

    Without a difference one table may hold both. Seeds, epochs, versions and commits make no
    difference; neither do unknown fields, see :func:`unknown_fields`.
    """
    return [pair for pair in _pairs(a, b) if None not in (pair.a, pair.b) and pair.a != pair.b]


def unknown_fields(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List the fields that two results should share and that a card leaves unknown."""
    return [pair for pair in _pairs(a, b) if None in (pair.a, pair.b)]


def other_differences(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    """List the differences in epochs, seeds, versions and commits."""
    return [pair for pair in _pairs(a, b, NOT_COMPARED) if pair.a != pair.b]


def _pairs(
    a: ProtocolCard, b: ProtocolCard, fields: Iterable[str] = tuple(COMPARED)
) -> list[Difference]:
    ours, theirs = flat(a), flat(b)
    return [Difference(name, ours[name], theirs[name]) for name in fields]


# Fields of a card that follow from the lists of ranked images.

Item = tuple[str, Any, Any]
"""Path or file name, identity, camera."""


def describe_lists(
    query: Sequence[Item], gallery: Sequence[Item], own_photos: int = 0
) -> dict[str, Any]:
    """Return the fields of a card that follow from all ranked images.

    ``own_photos`` counts queries with copies in the gallery that the camera rule does not remove
    from their rankings, and that are removed all the same.
    """
    galleries = {os.path.basename(path) for path, _, _ in gallery}
    same = Counter((pid, camid) for _, pid, camid in gallery)
    junk = int(is_junk([pid for _, pid, _ in gallery]).sum())
    named: Any = sum(os.path.basename(path) in galleries for path, _, _ in query)
    if own_photos:
        named = f"{own_photos} of {len(query)} queries, left out of their own rankings"
    return {
        "camera_rule": CAMERA_RULE + (f"; {junk} junk images ({JUNK_PID}) removed" if junk else ""),
        "query": _describe_split(query),
        "gallery": _describe_split(gallery),
        "same_camera_pairs": sum(same[pid, camid] for _, pid, camid in query),
        "query_in_gallery": named,
    }


def _describe_split(items: Sequence[Item]) -> SplitCard:
    paths, pids, camids = zip(*items, strict=True) if items else ((), (), ())
    return SplitCard(len(items), len(set(pids)), len(set(camids)), list_hash(paths))
