"""How an occluder gets in front of a person, and how much of the person is left to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from fed_plugin.datasets.synthocc.surface import Array

STRIPES = 4
_STEPS = 28


@dataclass(frozen=True)
class Cover:
    """Hold an occluder at its place.

    Args:
        colour: (H, W, 3) float32 in [0, 1], valid where the mask is set.
        mask: (H, W) bool.
    """

    colour: Array
    mask: Array


def visible_shares(person: Array, cover: Array) -> list[float]:
    """Return the share of the person that is not covered: overall, then per stripe.

    Args:
        person: (H, W) bool, the person's pixels.
        cover: (H, W) bool, the occluder's pixels.

    Returns:
        1 + ``STRIPES`` numbers in [0, 1], stripes from top to bottom, each a quarter of the
        picture's height; NaN for a stripe that shows no part of the person at all.
    """
    both = [person, *np.array_split(person, STRIPES)]
    covered = [person & cover, *np.array_split(person & cover, STRIPES)]
    return [
        1 - c.sum() / p.sum() if p.any() else float("nan")
        for p, c in zip(both, covered, strict=True)
    ]


def slide_in(
    cutout: Image.Image,
    side: str,
    person: Array,
    wanted: float,
    rng: np.random.Generator,
    deepest: float = 1.0,
) -> Cover:
    """Push a cut-out into the picture until about ``wanted`` of the person is visible.

    Args:
        cutout: RGBA picture of the occluder.
        side: where it comes from: "bottom", "top", "left" or "right".
        person: (H, W) bool, the person's pixels.
        wanted: visible share to reach.
        rng: source of the place along the other direction.
        deepest: share of the picture's width that the middle of a thing from the left or right
            may reach.
    """
    data = np.asarray(cutout)
    solid = data[..., 3] > 127
    best, best_gap = (0, 0), np.inf
    total = max(int(person.sum()), 1)
    for left, top in _ways(solid.shape, person.shape, side, rng, deepest):
        rows, cols, inner_rows, inner_cols = _overlap(solid.shape, person.shape, left, top)
        covered = (person[rows, cols] & solid[inner_rows, inner_cols]).sum()
        gap = abs(1 - covered / total - wanted)
        if gap < best_gap:
            best, best_gap = (left, top), gap
    rows, cols, inner_rows, inner_cols = _overlap(solid.shape, person.shape, *best)
    colour = np.zeros((*person.shape, 3), dtype=np.float32)
    mask = np.zeros(person.shape, dtype=bool)
    colour[rows, cols] = data[inner_rows, inner_cols, :3].astype(np.float32) / 255
    mask[rows, cols] = solid[inner_rows, inner_cols]
    return Cover(colour, mask)


def _ways(
    thing: tuple[int, ...],
    frame: tuple[int, ...],
    side: str,
    rng: np.random.Generator,
    deepest: float,
) -> list[tuple[int, int]]:
    """Return places (left, top) from just outside to as far in as the thing can go."""
    high, wide = thing
    rows, cols = frame
    slack = float(rng.uniform(0, 1))
    steps = np.linspace(0.02, 1.0, _STEPS)
    if side in ("bottom", "top"):
        # Wider than the picture: any part of it may stand in front; narrower: about the middle.
        left = (
            int((cols - wide) * slack) if wide > cols else int((cols - wide) * (0.2 + 0.6 * slack))
        )
        into = [int(s * min(high, rows)) for s in steps]
        return [(left, rows - i if side == "bottom" else i - high) for i in into]
    top = rows - high if high <= rows else -int((high - rows) * slack)
    into = [int(s * min(wide, cols, deepest * cols + wide / 2)) for s in steps]
    return [(i - wide if side == "left" else cols - i, top) for i in into]


def _overlap(
    thing: tuple[int, ...], frame: tuple[int, ...], left: int, top: int
) -> tuple[slice, slice, slice, slice]:
    rows = slice(max(top, 0), max(min(top + thing[0], frame[0]), 0))
    cols = slice(max(left, 0), max(min(left + thing[1], frame[1]), 0))
    inner_rows = slice(rows.start - top, rows.stop - top)
    inner_cols = slice(cols.start - left, cols.stop - left)
    return rows, cols, inner_rows, inner_cols
