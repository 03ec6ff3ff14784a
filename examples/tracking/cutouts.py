"""People and things cut out, to be pasted into a frame from the farthest to the nearest."""

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

_THING_SCALE = 194.0  # pixels per metre that SynthOcc's things are drawn for
_FILL = 0.92  # share of a box's height that the person takes, as in SynthOcc's images

Spot = tuple[float, float, float]
"""Pixel x and y of a place on the ground, and pixels per metre there."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """Something that stands in a picture.

    Attributes:
        colour: (H, W, 3) float32 in [0, 1], valid where the mask is set.
        mask: (H, W) bool.
        left: column of the picture at which the cut-out begins; may lie outside.
        top: row, likewise.
    """

    colour: NDArray[np.float32]
    mask: NDArray[np.bool_]
    left: int
    top: int

    def paste(self, picture: NDArray[np.float32], owner: NDArray[np.int16], number: int) -> int:
        """Paint the picture, and ``number`` into ``owner``, both changed in place.

        Returns:
            How many pixels of the cut-out lie in the picture.
        """
        rows, inner_rows = _common(self.top, self.mask.shape[0], owner.shape[0])
        cols, inner_cols = _common(self.left, self.mask.shape[1], owner.shape[1])
        here = self.mask[inner_rows, inner_cols]
        picture[rows, cols][here] = self.colour[inner_rows, inner_cols][here]
        owner[rows, cols][here] = number
        return int(here.sum())

    def box(self) -> NDArray[np.float64]:
        """Return (4,) left, top, right, bottom of a box around it all.

        It is at least half as wide as high, and a person fills it as in SynthOcc's images.
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
        moment: place in the walk.
        spot: where the person stands.
        camera: whose light and height.
        rng: of the person, the same in every frame: arms, folds and the nod of the head stay.
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
    """Draw one of SynthOcc's ``THINGS``, standing on the spot."""
    x, y, scale = spot
    drawn = THINGS[name][0](rng)
    size = tuple(round(side * scale / _THING_SCALE) for side in drawn.size)
    data = np.asarray(drawn.resize(size, Image.Resampling.NEAREST))
    mask = data[..., 3] > 127
    lowest = int(np.flatnonzero(mask.any(axis=1))[-1])
    colour = data[..., :3].astype(np.float32) / 255
    return Cutout(colour, mask, int(x) - size[0] // 2, int(y) - lowest)


def _common(start: int, length: int, whole: int) -> tuple[slice, slice]:
    """Return where a stretch lies in a whole, and which part of the stretch that is."""
    first, last = max(start, 0), max(min(start + length, whole), 0)
    return slice(first, last), slice(first - start, last - start)
