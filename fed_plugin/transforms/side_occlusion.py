"""One side of an image covered by an obstacle or by another person, for tests; nothing is drawn.

Training's random placements are in ``placement`` and ``npo``. Here the share that stays visible is
asked for, and the same arguments give the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

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
