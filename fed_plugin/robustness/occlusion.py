"""Occlusion of test queries: what covers a query, how much, and which queries are covered.

Shape shorthand: ``V`` queries of ``H`` x ``W`` pixels.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.datasets.fingerprints import same_photos
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.splits import Item
from fed_plugin.identities import JUNK_PID
from fed_plugin.robustness.curve import Condition

if TYPE_CHECKING:  # they import torch, and settings are checked before
    from fed_plugin.transforms import OccluderSet
    from fed_plugin.transforms.people import PeopleSet

# One side of an image under an obstacle or another person.
#
# ``placement`` and ``npo`` hold the random placements of the training. Here the caller gives the
# visible share, and the same arguments give the same bits.

Pixels = NDArray[np.uint8]

SIDES = ("left", "right", "top", "bottom")


class Rectangle(NamedTuple):
    """Rows and columns of an image: ``top``, ``left`` and the size, in pixels."""

    top: int
    left: int
    height: int
    width: int


def side_rectangle(height: int, width: int, side: str, visible_share: float) -> Rectangle:
    """Return the rectangle that leaves a share of the image visible; 1 covers nothing.

    The rectangle has whole rows or columns. Therefore the share is exact to half a row or column.

    Raises:
        ValueError: The side is not one of ``SIDES``, or the share is outside (0, 1].
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
    """Cover one side of a copy of an image with an opaque obstacle, stretched to the rectangle.

    The image (H, W, 3) and the crop (h, w, 3) are uint8; the result is equal to ``image`` outside
    ``side_rectangle``.

    Raises:
        ValueError: As ``side_rectangle``.
    """
    return _paste(image, crop, side_rectangle(*image.shape[:2], side, visible_share))


def cover_side_with_person(
    image: Pixels, person: Pixels, side: str, visible_share: float
) -> Pixels:
    """Cover one side of a copy of an image with another person of the same size, opaque.

    From left and right the middle of the person's image shows, where the person stands. From the
    bottom the upper part shows, as of somebody nearer to the camera; from the top, the lower part.
    Shapes and errors are as in ``cover_side``; the person is resized to (H, W).
    """
    height, width = image.shape[:2]
    place = side_rectangle(height, width, side, visible_share)
    whole = resize_opaque(person, height, width)
    if side in ("left", "right"):
        first = (width - place.width) // 2
        return _paste(image, whole[:, first : first + place.width], place)
    part = whole[: place.height] if side == "bottom" else whole[height - place.height :]
    return _paste(image, part, place)


def resize_opaque(crop: Pixels, height: int, width: int) -> Pixels:
    """Resize (h, w, 3) uint8: average areas along an axis that shrinks, else interpolate."""
    shrunk = (min(width, crop.shape[1]), min(height, crop.shape[0]))
    smaller = cv2.resize(np.ascontiguousarray(crop), shrunk, interpolation=cv2.INTER_AREA)
    resized = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def crops_for_side(sizes: Sequence[tuple[int, int]], side: str) -> list[int]:
    """Return the crops that fit a side: tall ones (h/w > 2) for left and right, else the others.

    The result holds indices into the (height, width) of every crop; all of them where no crop fits.
    """
    wants_tall = side in ("left", "right")
    fitting = [i for i, (height, width) in enumerate(sizes) if (height > 2 * width) == wants_tall]
    return fitting or list(range(len(sizes)))


def draw_by_name(seed: int, *words: str) -> float:
    """Return a number in [0, 1) that depends on a seed and names alone, on every machine."""
    digest = hashlib.sha256("\n".join((str(seed), *words)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _paste(image: Pixels, crop: Pixels, place: Rectangle) -> Pixels:
    covered = image.copy()
    if place.height and place.width:
        patch = resize_opaque(crop, place.height, place.width)
        covered[place.top : place.top + place.height, place.left : place.left + place.width] = patch
    return covered


# A set of queries, each with its own obstacle and its own person for every side.

OBJECTS, PEOPLE = "objects", "people"
KINDS = (OBJECTS, PEOPLE)


def choose_people(
    names: Sequence[str], pids: Sequence[Hashable], people: PeopleSet, seed: int
) -> dict[str, list[str]]:
    """Choose another person to cover every query; return V files by side."""
    chosen: dict[str, list[str]] = {}
    for side in SIDES:
        draws = [draw_by_name(seed, PEOPLE, side, name) for name in names]
        chosen[side] = [people.path(one) for one in map(people.other_than, pids, draws)]
    return chosen


class CoveredQueries:
    """Queries, each with one obstacle and one person for every side, the same for every share.

    The images are (V, H, W, 3) uint8 RGB, as the model gets them; they are not modified. A name
    decides the obstacles of a query; the transparency of obstacles is ignored. ``people`` holds V
    images of other people by side; the mapping is empty if people cover nobody.
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
            fitting = crops_for_side(occluders.sizes, side)
            places = [int(draw_by_name(seed, OBJECTS, side, x) * len(fitting)) for x in names]
            self._crops[OBJECTS, side] = [occluders[fitting[place]] for place in places]

    def __len__(self) -> int:
        return len(self.images)

    def cover(self, kind: str, side: str, visible_share: float, rows: range) -> Pixels:
        """Cover some of the queries from one side; return (len(rows), H, W, 3) uint8."""
        paste = cover_side if kind == OBJECTS else cover_side_with_person
        crops = self._crops[kind, side]
        return np.stack([paste(self.images[v], crops[v], side, visible_share) for v in rows])


# The choice of the queries: images of whole people, by a rule that no order and no folder changes.

QUERY, GALLERY, AUTO = "query", "gallery", "auto"
_PARTIAL_REID_NAMES = ("PartialREID", "PartialiLIDS", "OccludedREID")  # of fast-reid's project


@dataclass(frozen=True)
class WholeQueries:
    """Images of whole people (path, pid, camid), and the gallery to search.

    Each query has a right answer in the gallery. ``gallery_people`` has no distractors; ``rule`` is
    the rule of the choice, in one sentence.
    """

    queries: list[Item]
    gallery: list[Item]
    gallery_people: list[Item]
    rule: str


def has_occluded_queries(dataset: str) -> bool:
    """Tell whether a data set is one of the benchmarks with occluded queries."""
    ours = dataset in LAYOUTS and not LAYOUTS[dataset].checked_only
    return ours or dataset in _PARTIAL_REID_NAMES


def choose_whole_queries(
    dataset: str,
    query: Sequence[Item],
    gallery: Sequence[Item],
    *,
    most: int,
    per_identity: int = 2,
    source: str = AUTO,
) -> WholeQueries:
    """Choose images of whole people as queries.

    A set with whole queries gives its own queries. A set with occluded queries gives gallery
    images; the camera rule removes the image itself from its ranking. Every identity gives one
    image before any identity gives a second one, from another camera. The sha256 of the file names
    decides the order. Distractors, and files that are queries too, are never taken from a gallery,
    and a copy of a query is no right answer.
    If the gallery has one camera only, every image gets a camera of its own. The source ``"auto"``
    decides by the name of the set.

    Raises:
        ValueError: No image has a right answer from another camera, or an argument is out of range.
    """
    if most < 2 or per_identity < 1 or source not in (QUERY, GALLERY, AUTO):
        raise ValueError(
            f"expected 2 queries or more, 1 or more of an identity and a source of {QUERY!r}, "
            f"{GALLERY!r} or {AUTO!r}, got {most}, {per_identity} and {source!r}"
        )
    if source == AUTO:
        source = GALLERY if has_occluded_queries(dataset) else QUERY
    gallery = list(gallery)
    no_cameras = source == GALLERY and len({camid for _, _, camid in gallery}) == 1
    if no_cameras:
        gallery = [(path, pid, place) for place, (path, pid, _) in enumerate(gallery)]
    layout = LAYOUTS.get(dataset)
    distractors = {JUNK_PID, *(layout.distractor_pids if layout else ())}
    people = [item for item in gallery if item[1] not in distractors]
    candidates = list(query)
    if source == GALLERY:
        occluded = {os.path.basename(path) for path, _, _ in query}
        candidates = [item for item in people if os.path.basename(item[0]) not in occluded]
    answered, alone = _with_answers(candidates, gallery), None
    while answered and alone != set():
        chosen = _spread_over_identities(answered, most, per_identity)
        alone = _with_own_photos_alone(chosen, gallery)
        answered = [item for item in answered if item not in alone]
    if not answered:
        raise ValueError(
            f"{dataset}: expected {source} images with a right answer from another camera in the "
            f"gallery, got none but their own photos among {len(candidates)}; try another data set"
        )
    rule = _rule(source, len(chosen), most, per_identity, no_cameras)
    return WholeQueries(chosen, gallery, people, rule)


def _with_answers(candidates: Sequence[Item], gallery: Sequence[Item]) -> list[Item]:
    cameras: dict[int, set[int]] = {}
    for _, pid, camid in gallery:
        cameras.setdefault(pid, set()).add(camid)
    return [item for item in candidates if cameras.get(item[1], set()) - {item[2]}]


def _with_own_photos_alone(queries: Sequence[Item], gallery: Sequence[Item]) -> set[Item]:
    own: dict[Item, set[int]] = {}
    for row, place in same_photos(queries, gallery):
        own.setdefault(queries[row], set()).add(place)
    alone = set()
    for query, places in own.items():
        others = [item for place, item in enumerate(gallery) if place not in places]
        if not _with_answers([query], others):
            alone.add(query)
    return alone


def _spread_over_identities(items: Sequence[Item], most: int, per_identity: int) -> list[Item]:
    def name_hash(item: Item) -> str:
        return hashlib.sha256(os.fsencode(os.path.basename(item[0]))).hexdigest()

    turns: list[list[Item]] = [[] for _ in range(per_identity)]
    cameras: dict[int, set[int]] = {}
    for item in sorted(items, key=name_hash):
        taken = cameras.setdefault(item[1], set())
        if item[2] not in taken and len(taken) < per_identity:
            turns[len(taken)].append(item)
            taken.add(item[2])
    chosen = [item for turn in turns for item in turn][:most]
    return sorted(chosen, key=lambda item: os.path.basename(item[0]))


def _rule(source: str, count: int, most: int, per_identity: int, no_cameras: bool) -> str:
    images = "queries of the set" if source == QUERY else "gallery images against the gallery"
    cameras = "; each gallery image has a camera of its own" if no_cameras else ""
    return (
        f"{count} {images}: at most {most} in all and {per_identity} of a person, from different "
        f"cameras, chosen by the sha256 of their names{cameras}"
    )


# The settings of a curve.

VISIBLE_SHARES = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
"""Eighths, which are whole rows and columns of the usual input sizes."""

DRAWN_COUNT, DRAWN_SEED = 120, 90_210
"""Of the drawn occluders. The training draws with seed 0: no crop is in both sets."""


@dataclass(frozen=True)
class RobustnessSettings:
    """Settings that a robustness curve is measured with.

    The visible shares of the image's area are below 1 and fall; ``queries`` and ``per_identity``
    are upper limits; the source ``"auto"`` decides by the name of the set. An empty name of
    ``occluders`` takes drawn crops, another name is a folder. The seed decides what is pasted
    where.

    Raises:
        ValueError: A value is out of its range; the message names the command's flag.
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
        return list(product(self.kinds, SIDES, self.visible_shares))

    def load_occluders(self) -> OccluderSet:
        """Draw or decode the obstacles.

        Raises:
            FileNotFoundError: The folder is not there or holds no image.
            ValueError: A file of the folder cannot be decoded.
        """
        if self.occluders:
            return _decode(self.occluders)
        from fed_plugin.transforms import drawn_occluders

        return drawn_occluders(DRAWN_COUNT, DRAWN_SEED + self.seed)

    def describe_occluders(self, occluders: OccluderSet) -> dict[str, str]:
        """Return by kind what is pasted; two sets of crops differ in their hash, not their path."""
        digest = hashlib.sha256(b"".join(crop.tobytes() for crop in occluders)).hexdigest()[:12]
        crops = f"{len(occluders)} drawn crops, seed {DRAWN_SEED + self.seed}"
        if self.occluders:
            name = Path(self.occluders).resolve().name
            crops = f"{len(occluders)} crops of {name}, sha256 {digest}"
        words = {OBJECTS: crops, PEOPLE: "gallery images of other identities"}
        return {kind: words[kind] for kind in self.kinds}

    def as_json(self, weights_sha256: str | None) -> dict[str, Any]:
        """Return the settings of a measurement as JSON; equal settings give an equal curve.

        The hash of the model's checkpoint is None for random weights.
        """
        return {
            **asdict(self),
            **{"visible_shares": list(self.visible_shares), "kinds": list(self.kinds)},
            "occluders": self.describe_occluders(self.load_occluders()),
            "weights_sha256": weights_sha256,
        }


@functools.lru_cache(maxsize=1)
def _decode(folder: str) -> OccluderSet:
    from fed_plugin.transforms import OccluderSet

    return OccluderSet.from_folder(folder, key="--occluders")
