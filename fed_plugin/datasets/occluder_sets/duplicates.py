"""Crops that are there twice: the same pixels, or pictures of the same thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from fed_plugin.datasets.fingerprints import (
    NEAR,
    NEAR_COLORS,
    color_distance,
    mean_colors,
    near_pairs,
    perceptual_hash,
)
from fed_plugin.datasets.occluder_sets.crops import Crop, LeftOut, Pixels

NEAR_RATIO = 1.1
"""Factor between the h/w ratios of near duplicates, at most.

As everywhere in the plugin, their perceptual hashes differ in at most 4 of 64 bits and their mean
colours by at most 10 levels.
"""


@dataclass(frozen=True)
class Look:
    """Hold what is compared of a picture: hash, colours, shape."""

    hash: int
    colors: bytes
    ratio: float


def look_of(pixels: Pixels) -> Look:
    """Describe an (H, W, 3) or (H, W, 4) uint8 picture; transparency lies on mid grey."""
    image = Image.fromarray(pixels)
    return Look(perceptual_hash(image), mean_colors(image), pixels.shape[0] / pixels.shape[1])


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
    pairs = near_pairs([look.hash for look in left], hashes, NEAR).tolist()
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
    alike_in_color = color_distance(first.colors, second.colors) <= NEAR_COLORS
    return high <= NEAR_RATIO * low and alike_in_color
