"""A set of query images, each covered by its own obstacles and people, from every side.

Shape shorthand: ``V`` queries of ``H`` x ``W`` pixels.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.datasets.layouts import CHECKED_ONLY, LAYOUTS
from fed_plugin.datasets.splits import Item
from fed_plugin.robustness.curve import Condition
from fed_plugin.transforms import OccluderSet, drawn_occluders
from fed_plugin.transforms.people import PeopleSet

# One side of an image covered by an obstacle or by another person, for tests; nothing is drawn.
#
# Training's random placements are in ``placement`` and ``npo``. Here the share that stays visible
# is asked for, and the same arguments give the same bits.

Pixels = NDArray[np.uint8]

SIDES = ("left", "right", "top", "bottom")


class Rectangle(NamedTuple):
    """Rows and columns of an image: ``top``, ``left`` and the size, in pixels."""

    top: int
    left: int
    height: int
    width: int


def side_rectangle(height: int, width: int, side: str, visible_share: float) -> Rectangle:
    """Return what is covered from one side so that a share of the image stays visible.

    Whole rows or columns are covered, so the share is exact to half a row or column.

    Args:
        height: rows of the image.
        width: columns of the image.
        side: one of ``SIDES``.
        visible_share: of the image's area, in (0, 1]; 1 covers nothing.

    Raises:
        ValueError: another side, or a share outside (0, 1].
    """
    if side not in SIDES:
        raise ValueError(f"side {side!r}: expected one of {', '.join(SIDES)}")
    if not 0 < visible_share <= 1:
        raise ValueError(f"visible share {visible_share}: expected a share in (0, 1]")
    if side in ("left", "right"):
        covered = width - round(visible_share * width)
        return Rectangle(0, 0 if side == "left" else width - covered, height, covered)
    covered = height - round(visible_share * height)
    return Rectangle(0 if side == "top" else height - covered, 0, covered, width)


def cover_side(image: Pixels, crop: Pixels, side: str, visible_share: float) -> Pixels:
    """Cover one side of a copy of an image with an obstacle, stretched to what it covers, opaque.

    Args:
        image: (H, W, 3) uint8; not modified.
        crop: (h, w, 3) uint8.
        side: one of ``SIDES``.
        visible_share: of the image's area, in (0, 1].

    Returns:
        (H, W, 3) uint8, equal to ``image`` outside ``side_rectangle``.

    Raises:
        ValueError: as ``side_rectangle``.
    """
    place = side_rectangle(image.shape[0], image.shape[1], side, visible_share)
    return _pasted(image, crop, place)


def cover_side_with_person(
    image: Pixels, person: Pixels, side: str, visible_share: float
) -> Pixels:
    """Cover one side of a copy of an image with another person as large as its own, opaque.

    What shows of the other person's image is its middle from left and right, where the person
    stands; its upper part from the bottom, as of somebody nearer to the camera; its lower part from
    the top.

    Args:
        image: (H, W, 3) uint8; not modified.
        person: (h, w, 3) uint8, taken as if it were of the size (H, W).
        side: one of ``SIDES``.
        visible_share: of the image's area, in (0, 1].

    Returns:
        (H, W, 3) uint8, equal to ``image`` outside ``side_rectangle``.

    Raises:
        ValueError: as ``side_rectangle``.
    """
    height, width = image.shape[:2]
    place = side_rectangle(height, width, side, visible_share)
    whole = resize_opaque(person, height, width)
    if side in ("left", "right"):
        first = (width - place.width) // 2
        return _pasted(image, whole[:, first : first + place.width], place)
    shown = whole[: place.height] if side == "bottom" else whole[height - place.height :]
    return _pasted(image, shown, place)


def resize_opaque(crop: Pixels, height: int, width: int) -> Pixels:
    """Resize (h, w, 3) uint8: areas are averaged along an axis that shrinks, else interpolated."""
    shrunk = (min(width, crop.shape[1]), min(height, crop.shape[0]))
    smaller = cv2.resize(np.ascontiguousarray(crop), shrunk, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def crops_for_side(sizes: Sequence[tuple[int, int]], side: str) -> list[int]:
    """Return the crops that suit a side: tall ones (h/w > 2) for left and right, else the others.

    Args:
        sizes: (height, width) of every crop.
        side: one of ``SIDES``.

    Returns:
        Indices into ``sizes``; all of them where none suits.
    """
    wants_tall = side in ("left", "right")
    suiting = [
        index for index, (height, width) in enumerate(sizes) if (height > 2 * width) == wants_tall
    ]
    return suiting or list(range(len(sizes)))


def draw_by_name(seed: int, *words: str) -> float:
    """Return a number in [0, 1) that a seed and names decide, in any order of calls, everywhere.

    Args:
        seed: for another number.
        *words: such as a file name and a side.
    """
    digest = hashlib.sha256("\n".join((str(seed), *words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _pasted(image: Pixels, crop: Pixels, place: Rectangle) -> Pixels:
    covered = image.copy()
    if place.height and place.width:
        patch = resize_opaque(crop, place.height, place.width)
        covered[place.top : place.top + place.height, place.left : place.left + place.width] = patch
    return covered


OBJECTS, PEOPLE = "objects", "people"
KINDS = (OBJECTS, PEOPLE)


def choose_people(
    names: Sequence[str], pids: Sequence[Hashable], people: PeopleSet, seed: int
) -> dict[str, list[str]]:
    """Choose somebody else to stand before every query, one for each side.

    Args:
        names: V file names.
        pids: V identities, all of them among the people.
        people: who may stand there.
        seed: chooses others.

    Returns:
        V files by side, none of the query's identity.
    """
    return {
        side: [
            people.path(people.other_than(pid, draw_by_name(seed, PEOPLE, side, name)))
            for name, pid in zip(names, pids, strict=True)
        ]
        for side in SIDES
    }


class CoveredQueries:
    """Cover queries; a query meets one obstacle and one person a side, growing with the share.

    Args:
        images: (V, H, W, 3) uint8 RGB, as the model gets them; not modified.
        names: V file names, which choose the obstacles.
        occluders: obstacles to choose from; transparency is ignored.
        people: by side, V images of other people; empty if none are asked for.
        seed: chooses other obstacles.
    """

    def __init__(
        self,
        images: Pixels,
        names: Sequence[str],
        occluders: OccluderSet,
        people: Mapping[str, Sequence[Pixels]],
        seed: int,
    ) -> None:
        self.images = images
        self._crops: dict[tuple[str, str], Sequence[Pixels]] = {
            (PEOPLE, side): crops for side, crops in people.items()
        }
        for side in SIDES:
            suiting = crops_for_side(occluders.sizes, side)
            draws = [draw_by_name(seed, OBJECTS, side, name) for name in names]
            self._crops[OBJECTS, side] = [
                occluders[suiting[int(draw * len(suiting))]] for draw in draws
            ]

    def __len__(self) -> int:
        return len(self.images)

    def cover(self, kind: str, side: str, visible_share: float, rows: range) -> Pixels:
        """Cover some of the queries from one side.

        Args:
            kind: one of ``KINDS``.
            side: one of ``SIDES``.
            visible_share: of every image's area, in (0, 1].
            rows: which queries.

        Returns:
            (len(rows), H, W, 3) uint8.
        """
        paste = cover_side if kind == OBJECTS else cover_side_with_person
        crops = self._crops[kind, side]
        return np.stack([paste(self.images[v], crops[v], side, visible_share) for v in rows])


# Which people are searched for in a test with pasted occluders: whole ones, by a stable rule.

QUERY, GALLERY, AUTO = "query", "gallery", "auto"
_PARTIAL_REID_NAMES = ("PartialREID", "PartialiLIDS", "OccludedREID")  # of fast-reid's project


@dataclass(frozen=True)
class WholeQueries:
    """Say what is searched for, and in what.

    Attributes:
        queries: (path, pid, camid), each with a right answer in the gallery.
        gallery: all of it; cameras are made up where the set has none.
        gallery_people: those of the gallery whose identity is known, distractors left out.
        rule: how the queries were chosen, in one sentence.
    """

    queries: list[Item]
    gallery: list[Item]
    gallery_people: list[Item]
    rule: str


def has_occluded_queries(dataset: str) -> bool:
    """Tell whether a data set's queries are occluded: those of the benchmarks for occlusion."""
    return dataset in _PARTIAL_REID_NAMES or (dataset in LAYOUTS and dataset not in CHECKED_ONLY)


def choose_whole_queries(
    dataset: str,
    query: Sequence[Item],
    gallery: Sequence[Item],
    *,
    most: int,
    per_identity: int = 2,
    source: str = AUTO,
) -> WholeQueries:
    """Choose images of whole people to search for.

    A set with whole queries has its own taken; of one with occluded queries, gallery images are,
    against the whole gallery, and the camera rule takes the image itself out of its ranking. Every
    identity gives one image before any gives two, those from another camera; which, the sha256 of
    the file names decides. Distractors and files that are queries as well are not chosen from a
    gallery. Gallery images without cameras get one of their own each, so that only the image itself
    is left out.

    Args:
        dataset: its registered name.
        query: (path, pid, camid) of the set's queries.
        gallery: likewise.
        most: how many to choose at most.
        per_identity: how many of one identity at most.
        source: ``"query"`` or ``"gallery"`` to take them from there; ``"auto"`` by the name.

    Raises:
        ValueError: no image has a right answer from another camera, or an argument is out of range.
    """
    if most < 2 or per_identity < 1 or source not in (QUERY, GALLERY, AUTO):
        raise ValueError(
            f"expected 2 queries or more, 1 or more of an identity and a source of {QUERY!r}, "
            f"{GALLERY!r} or {AUTO!r}, got {most}, {per_identity} and {source!r}"
        )
    if source == AUTO:
        source = GALLERY if has_occluded_queries(dataset) else QUERY
    gallery, made_up = list(gallery), False
    if source == GALLERY:
        made_up = len({camid for _, _, camid in gallery}) == 1
        if made_up:
            gallery = [(path, pid, place) for place, (path, pid, _) in enumerate(gallery)]
    people = _without_distractors(dataset, gallery)
    candidates = list(query)
    if source == GALLERY:
        occluded = {os.path.basename(path) for path, _, _ in query}
        candidates = [item for item in people if os.path.basename(item[0]) not in occluded]
    answered = _with_answers(candidates, gallery)
    if not answered:
        raise ValueError(
            f"{dataset}: expected {source} images with a right answer from another camera in the "
            f"gallery, found none among {len(candidates)}; try another data set"
        )
    chosen = _spread_over_identities(answered, most, per_identity)
    rule = _rule(source, len(chosen), most, per_identity, made_up)
    return WholeQueries(chosen, gallery, people, rule)


def _without_distractors(dataset: str, gallery: Sequence[Item]) -> list[Item]:
    layout = LAYOUTS.get(dataset)
    distractors: Collection[int] = {-1, *(layout.distractor_pids if layout else ())}
    return [item for item in gallery if item[1] not in distractors]


def _with_answers(candidates: Sequence[Item], gallery: Sequence[Item]) -> list[Item]:
    cameras: dict[int, set[int]] = {}
    for _, pid, camid in gallery:
        cameras.setdefault(pid, set()).add(camid)
    return [item for item in candidates if cameras.get(item[1], set()) - {item[2]}]


def _spread_over_identities(items: Sequence[Item], most: int, per_identity: int) -> list[Item]:
    """Take the first image of every identity, then the second, by the hash of their names."""
    turns: list[list[Item]] = [[] for _ in range(per_identity)]
    cameras: dict[int, set[int]] = {}
    for item in sorted(items, key=_name_hash):
        taken = cameras.setdefault(item[1], set())
        if item[2] not in taken and len(taken) < per_identity:
            turns[len(taken)].append(item)
            taken.add(item[2])
    chosen = [item for turn in turns for item in turn][:most]
    return sorted(chosen, key=lambda item: os.path.basename(item[0]))


def _name_hash(item: Item) -> str:
    return hashlib.sha256(os.fsencode(os.path.basename(item[0]))).hexdigest()


def _rule(source: str, count: int, most: int, per_identity: int, made_up: bool) -> str:
    images = "queries of the set" if source == QUERY else "gallery images against the gallery"
    cameras = "; each gallery image has a camera of its own" if made_up else ""
    return (
        f"{count} {images}: at most {most} in all and {per_identity} of a person, from different "
        f"cameras, chosen by the sha256 of their names{cameras}"
    )


# What a robustness curve is measured with: shares, kinds of occluders, and how many queries.

VISIBLE_SHARES = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
"""Eighths, which are whole rows and columns of the usual input sizes."""

DRAWN_COUNT, DRAWN_SEED = 120, 90_210
"""Of the drawn occluders. Training draws its own with seed 0: no crop is in both sets."""


@dataclass(frozen=True)
class RobustnessSettings:
    """Say what is measured.

    Args:
        visible_shares: of the image's area, below 1 and falling.
        kinds: of occluders.
        queries: how many at most.
        per_identity: how many of one person at most.
        source: whether queries come from the set's ``"query"`` or ``"gallery"``; ``"auto"``: by
            what is known of the set.
        occluders: folder of crops; empty takes drawn ones.
        seed: chooses what is pasted where, 0 or more.

    Raises:
        ValueError: a value out of its range, named by the command's word.
    """

    visible_shares: tuple[float, ...] = VISIBLE_SHARES
    kinds: tuple[str, ...] = KINDS
    queries: int = 300
    per_identity: int = 2
    source: str = AUTO
    occluders: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        shares = np.asarray(self.visible_shares, dtype=np.float64)
        if not shares.size or not (np.diff([1.0, *shares, 0.0]) < 0).all():
            raise ValueError(
                f"--visible {' '.join(map(str, self.visible_shares))}: expected shares between 0 "
                "and 1 that fall, such as 0.75 0.5 0.25"
            )
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"--kinds {' '.join(self.kinds)}: expected some of {', '.join(KINDS)}")
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed}: expected 0 or more")

    @property
    def conditions(self) -> list[Condition]:
        """Every kind, side and visible share."""
        return [
            (kind, side, share)
            for kind in self.kinds
            for side in SIDES
            for share in self.visible_shares
        ]

    def load_occluders(self) -> OccluderSet:
        """Draw or decode the obstacles.

        Raises:
            FileNotFoundError: the folder is not there or holds no image.
            ValueError: a file in it cannot be decoded.
        """
        if self.occluders:
            return _decode(self.occluders)
        return drawn_occluders(DRAWN_COUNT, DRAWN_SEED + self.seed)

    def describe_occluders(self, occluders: OccluderSet) -> dict[str, str]:
        """Say by kind what is pasted, so that two sets are told apart wherever they lie."""
        digest = hashlib.sha256(b"".join(crop.tobytes() for crop in occluders)).hexdigest()[:12]
        said = {
            OBJECTS: f"{len(occluders)} crops of {Path(self.occluders).resolve().name}, sha256 "
            f"{digest}"
            if self.occluders
            else f"{len(occluders)} drawn crops, seed {DRAWN_SEED + self.seed}",
            PEOPLE: "gallery images of other identities",
        }
        return {kind: said[kind] for kind in self.kinds}

    def asked(self, weights: str) -> dict[str, Any]:
        """Return what tells one measurement from another, as JSON has it.

        Args:
            weights: file of the model's, empty for random ones.
        """
        return {
            **asdict(self),
            "visible_shares": list(self.visible_shares),
            "kinds": list(self.kinds),
            "occluders": self.describe_occluders(self.load_occluders()),
            "weights_sha256": content_hash(weights) if weights else None,
        }


@functools.lru_cache(maxsize=1)
def _decode(folder: str) -> OccluderSet:
    return OccluderSet.from_folder(folder, key="--occluders")
