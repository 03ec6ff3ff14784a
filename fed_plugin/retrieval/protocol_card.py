"""Protocol cards: what a result was measured on, and how. Results of two protocols do not compare.

A card is a JSON object that anybody can write. What is not known is ``null`` in JSON and None here;
an unknown field is neither equal nor different.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fed_plugin.files import convert
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
_Count = Annotated[
    int, Meta(ge=0, description="a whole number of 0 or more, or null for not known")
]
_Switch = Annotated[bool, Meta(description="true or false, or null for not known")]
_Sha256 = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}$", description="a sha256, 64 hexadecimal digits")
]
_Size = Annotated[tuple[_Count, _Count], Meta(description="[height, width] in pixels")]
_Names = Annotated[tuple[_Words, ...], Meta(description="a list of names")]
_Versions = Annotated[dict[_Words, _Words], Meta(description="an object of names and versions")]
_SplitOf = Annotated["SplitCard", Meta(description="counts and a list hash")]


class SplitCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Description of the queries or of the gallery.

    Args:
        images: number of ranked images.
        identities: number of identities; distractors count as one, as in fast-reid's table.
        cameras: number of cameras; made-up cameras count as well.
        list_sha256: hash of the file list; see :func:`list_hash`.
    """

    images: _Count | None = None
    identities: _Count | None = None
    cameras: _Count | None = None
    list_sha256: _Sha256 | None = None


class ProtocolCard(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT
):
    """Description of how a result was measured; None is "not known".

    Results compare if every field but the last four agrees.

    Args:
        dataset: name of the data set. Equal file names can hold other pixels, so the name counts.
            A set that draws its lists when it is constructed has the seed of the draw in its name.
        query: images that were searched with.
        gallery: images that were searched in.
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
        epoch: epochs of training behind the model. Not compared: schedules belong to a method.
        seed: seed of the run, None if the run had none. Not compared: the spread of one protocol.
        versions: versions of the software, by name. Not compared.
        commit: commit of the plugin's checkout. Not compared.
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
            msgspec.structs.force_setattr(
                self, "training_sets", tuple(sorted(set(self.training_sets)))
            )

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
    pairs = [Difference(name, getattr(a, name), getattr(b, name)) for name in NOT_COMPARED]
    return [pair for pair in pairs if pair.a != pair.b]


def _pairs(a: ProtocolCard, b: ProtocolCard) -> list[Difference]:
    ours, theirs = flat(a), flat(b)
    return [Difference(name, ours[name], theirs[name]) for name in COMPARED]


# Fields of a card that follow from the lists of ranked images.

Item = tuple[str, Any, Any]
"""Path or file name, identity, camera."""


def describe_lists(
    query: Sequence[Item], gallery: Sequence[Item], own_photos: int = 0
) -> dict[str, Any]:
    """Return the fields of a card that follow from all ranked images.

    Args:
        query: all queries.
        gallery: all gallery images.
        own_photos: number of queries with copies in the gallery that the camera rule does not
            remove from their rankings, and that are removed all the same.
    """
    galleries = {os.path.basename(path) for path, _, _ in gallery}
    same = Counter((pid, camid) for _, pid, camid in gallery)
    junk = int(is_junk([pid for _, pid, _ in gallery]).sum())
    named = sum(os.path.basename(path) in galleries for path, _, _ in query)
    return {
        "camera_rule": CAMERA_RULE + (f"; {junk} junk images ({JUNK_PID}) removed" if junk else ""),
        "query": _describe_split(query),
        "gallery": _describe_split(gallery),
        "same_camera_pairs": sum(same[pid, camid] for _, pid, camid in query),
        "query_in_gallery": f"{own_photos} of {len(query)} queries, left out of their own rankings"
        if own_photos
        else named,
    }


def list_hash(paths: Iterable[str]) -> str:
    """Return the sha256 of a file list, the same for every copy of a data set.

    The hash is over all base names as UTF-8, sorted by their bytes, with a newline after each name.
    ``data check`` prints the same hash; in a shell: ``ls -U query | LC_ALL=C sort | sha256sum``.
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
