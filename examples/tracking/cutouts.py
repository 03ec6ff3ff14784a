"""Cut-out people and things, which are pasted into a frame from the farthest to the nearest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from walks import Moment

from fed_plugin.synthocc.body import draw_pose
from fed_plugin.synthocc.clothes import carrying_side
from fed_plugin.synthocc.figure import Camera, Placement, draw_posed
from fed_plugin.synthocc.identity import Identity
from fed_plugin.synthocc.obstacles import THINGS

_THING_SCALE = 194.0  # pixels per metre of SynthOcc's things
_FILL = 0.92  # height of a person, a share of the box, as in SynthOcc's images

Spot = tuple[float, float, float]
"""Pixel (x, y) of a place on the ground, and pixels per metre at this place."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """Person or thing at a place of a picture.

    Attributes:
        colour: (H, W, 3) float32 in [0, 1], valid inside the mask.
        mask: (H, W) bool.
        left: first column in the picture; may lie outside.
        top: first row in the picture; may lie outside.
    """

    colour: NDArray[np.float32]
    mask: NDArray[np.bool_]
    left: int
    top: int

    def paste(self, picture: NDArray[np.float32], owner: NDArray[np.int16], number: int) -> int:
        """Paint into the picture, and write ``number`` into ``owner``; both change in place.

        Returns:
            Number of the cut-out's pixels in the picture.
        """
        rows, inner_rows = _common(self.top, self.mask.shape[0], owner.shape[0])
        cols, inner_cols = _common(self.left, self.mask.shape[1], owner.shape[1])
        here = self.mask[inner_rows, inner_cols]
        picture[rows, cols][here] = self.colour[inner_rows, inner_cols][here]
        owner[rows, cols][here] = number
        return int(here.sum())

    def box(self) -> NDArray[np.float64]:
        """Return a box (4,) left, top, right, bottom around the cut-out.

        The box is at least half as wide as high. A person fills the box as in SynthOcc's images.
        """
        rows, cols = (np.flatnonzero(self.mask.any(axis=axis)) for axis in (1, 0))
        high, wide = float(np.ptp(rows)) + 1, float(np.ptp(cols)) + 1
        half_high = high / _FILL / 2
        half_wide = max(half_high / 2, wide / 2 + 2)
        y, x = self.top + rows[0] + high / 2, self.left + cols[0] + wide / 2
        return np.array([x - half_wide, y - half_high, x + half_wide, y + half_high])


def cut_person(
    who: Identity, moment: Moment, spot: Spot, camera: Camera, rng: np.random.Generator
) -> Cutout:
    """Draw a person.

    Args:
        who: the person.
        moment: moment of the walk.
        spot: place on the ground.
        camera: camera with its light and height.
        rng: random stream of the person, equal in every frame: arms, folds and nod stay.
    """
    x, y, scale = spot
    high, half, below = (int(scale * metres) for metres in (who.height + 0.25, 0.85, 0.3))
    left, top = int(x) - half, int(y) - high
    pose = replace(draw_pose(rng, carrying_side(who)), phase=moment.phase)
    pose = replace(pose, stride=max(pose.stride, 0.55) if moment.walks else 0.1)
    place = Placement(
        (high + below, 2 * half), scale, (x - left, y - top), moment.yaw, camera.pitch
    )
    colour, mask = draw_posed(who, pose, place, camera.light(), rng)
    return Cutout(colour, mask, left, top)


def cut_thing(name: str, spot: Spot, rng: np.random.Generator) -> Cutout:
    """Draw one of SynthOcc's ``THINGS`` on a spot."""
    x, y, scale = spot
    drawn = THINGS[name][0](rng)
    size = tuple(round(side * scale / _THING_SCALE) for side in drawn.size)
    data = np.asarray(drawn.resize(size, Image.Resampling.NEAREST))
    mask = data[..., 3] > 127
    lowest = int(np.flatnonzero(mask.any(axis=1))[-1])
    colour = data[..., :3].astype(np.float32) / 255
    return Cutout(colour, mask, int(x) - size[0] // 2, int(y) - lowest)


def _common(start: int, length: int, whole: int) -> tuple[slice, slice]:
    """Return the part of a whole that a stretch covers, and this part of the stretch."""
    first, last = max(start, 0), max(min(start + length, whole), 0)
    return slice(first, last), slice(first - start, last - start)
