"""Crops that are there twice: the same pixels, or pictures of the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.datasets.fingerprints import NEAR, near_pairs, perceptual_hash
from fed_plugin.datasets.occluder_sets.crops import Crop, LeftOut, Pixels

NEAR_BITS = NEAR
"""Bits of the 64-bit perceptual hash in which near duplicates may differ."""

NEAR_LEVELS = 12.0
"""Grey levels by which their 8 x 8 colour thumbnails may differ on average."""

NEAR_RATIO = 1.1
"""Factor between the h/w ratios of near duplicates, at most."""

_THUMB = (8, 8)


@dataclass(frozen=True)
class Look:
    """Hold what is compared of a picture: hash, colours, shape."""

    hash: int
    thumbnail: NDArray[np.float64]  # (8, 8, 3)
    ratio: float


def look_of(pixels: Pixels) -> Look:
    """Describe an (H, W, 3) or (H, W, 4) uint8 picture; transparency lies on mid grey."""
    image = Image.fromarray(pixels)
    if pixels.shape[2] == 4:
        ground = Image.new("RGBA", image.size, (128, 128, 128, 255))
        image = Image.alpha_composite(ground, image).convert("RGB")
    thumbnail = np.asarray(image.resize(_THUMB, Image.Resampling.BOX), dtype=np.float64)
    return Look(perceptual_hash(image), thumbnail, pixels.shape[0] / pixels.shape[1])


def alike(left: Sequence[Look], right: Sequence[Look] | None = None) -> list[tuple[int, int]]:
    """List the pairs that show the same thing, by their indices.

    The perceptual hash knows neither colour nor shape, so both have to agree as well. A picture
    without any contrast is like no other.

    Args:
        left: pictures.
        right: other pictures; None finds pairs within ``left``, the lower index first.
    """
    others = left if right is None else right
    hashes = None if right is None else [look.hash for look in right]
    pairs = near_pairs([look.hash for look in left], hashes, NEAR_BITS).tolist()
    return [(a, b) for a, b in pairs if _agree(left[a], others[b])]


def without_duplicates(crops: Sequence[Crop]) -> tuple[list[Crop], list[LeftOut]]:
    """Keep the first of every group of equal or nearly equal crops.

    Returns:
        What is kept, in order, and what is left out.
    """
    first: dict[str, str] = {}
    left_out: list[LeftOut] = []
    unique: list[Crop] = []
    for crop in crops:
        if crop.digest in first:
            reason = f"the same pixels as {first[crop.digest]}"
            left_out.append(LeftOut(crop.origin, "duplicate", reason))
        else:
            first[crop.digest] = crop.origin
            unique.append(crop)
    gone: set[int] = set()
    for a, b in alike([look_of(crop.pixels) for crop in unique]):
        if a not in gone and b not in gone:
            gone.add(b)
            reason = f"nearly the same picture as {unique[a].origin}"
            left_out.append(LeftOut(unique[b].origin, "near duplicate", reason))
    return [crop for index, crop in enumerate(unique) if index not in gone], left_out


def _agree(first: Look, second: Look) -> bool:
    low, high = sorted((first.ratio, second.ratio))
    levels = float(np.abs(first.thumbnail - second.thumbnail).mean())
    return high <= NEAR_RATIO * low and levels <= NEAR_LEVELS
