"""Places of occluders, drawn from the sizes alone, before any pixel is touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ORDERS = tuple(permutations(("brightness", "contrast", "saturation")))

_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_LEVELS = np.arange(256, dtype=np.float32)
_DRAWS = 9


@dataclass(frozen=True)
class ColorJitter:
    """Colour change of a crop by three factors, in an order; the factor 1 changes nothing.

    The brightness multiplies every value, the contrast spreads the values around the mean grey
    level, the saturation the channels around the pixel's own grey level.
    """

    brightness: float
    contrast: float
    saturation: float
    order: tuple[str, ...] = ORDERS[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the factors in order; round and clip to 8 bits after each.

        Image and result are (H, W, 3) uint8 RGB; the image is not modified. The result is within
        one grey level per operation of torchvision's ``ColorJitter`` on PIL images.
        """
        for name in self.order:
            factor = getattr(self, name)
            if name == "brightness":
                image = _map_levels(image, _LEVELS * factor)
            elif name == "contrast":
                grey = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
                centre = float(int(grey + 0.5))
                image = _map_levels(image, centre + factor * (_LEVELS - centre))
            else:
                mixing = factor * np.eye(3, dtype=np.float32) + (1 - factor) * _GREY_WEIGHTS
                image = np.asarray(cv2.transform(image, mixing), dtype=np.uint8)
        return image


def _map_levels(image: NDArray[np.uint8], levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


@dataclass(frozen=True)
class Placement:
    """Place of obstacle number ``occluder`` of a set: the covered rows and columns.

    ``flip`` mirrors it left to right. ``jitter`` is a colour change applied before the resize; None
    for high, narrow crops.
    """

    occluder: int
    flip: bool
    top: int
    left: int
    height: int
    width: int
    jitter: ColorJitter | None = None


@dataclass(frozen=True)
class PersonPlacement:
    """Place of another person, with the visible part of that person's image.

    Image number ``person`` of a ``PeopleSet`` is resized to a frame, which ``flip`` mirrors left to
    right; the covered rows and columns are a window of the frame. The frame's row ``frame_top``
    lies on ``top``, its column ``frame_left`` on ``left``.
    """

    person: int
    flip: bool
    top: int
    left: int
    height: int
    width: int
    frame_height: int
    frame_width: int
    frame_top: int
    frame_left: int


AnyPlacement = Placement | PersonPlacement
Sizes = Sequence[tuple[int, int]]
"""Height and width of every occluder of a set."""


def draw_placement(
    sizes: Sizes, image_height: int, image_width: int, generator: torch.Generator | None = None
) -> Placement:
    """Draw an occluder and its place by the reference's rules.

    A crop with height / width > 2 covers the full image height and U{W//4 .. W//2} columns, left
    or right. Any other crop covers the full width and U{H//4 .. H//2} rows, top or bottom; factors
    U[0.5, 1.5] in random order jitter its colours. Bounds are inclusive and at least one pixel. The
    corner is uniform over four, which for either shape come in equal pairs.

    Each call takes one ``torch.rand`` of nine numbers (occluder, flip, extent, top or bottom, left
    or right, brightness, contrast, saturation, order), whatever the outcome. Therefore one image
    never shifts the draws of the next image.

    ``sizes`` are (height, width) of every occluder, at least one. Without a generator, torch's
    default one is used, which is seeded per loader worker.

    Raises:
        ValueError: no occluder, or an image without pixels.
    """
    check_sizes(sizes, image_height, image_width)
    draws = torch.rand(_DRAWS, generator=generator, dtype=torch.float64).tolist()
    return place_by_reference(sizes, image_height, image_width, draws)


def check_sizes(sizes: Sizes, image_height: int, image_width: int) -> None:
    """Raise ValueError for an empty set of occluders, or an image without pixels."""
    if not sizes or image_height < 1 or image_width < 1:
        got = f"{len(sizes)} occluders and {image_height} x {image_width}"
        raise ValueError(f"expected occluders and an image of at least 1 x 1, got {got}")


def place_by_reference(
    sizes: Sizes, image_height: int, image_width: int, draws: Sequence[float]
) -> Placement:
    """Turn nine numbers in [0, 1), in the order of ``draw_placement``, into its placement."""
    occluder = int(draws[0] * len(sizes))
    occluder_height, occluder_width = sizes[occluder]
    height, width, jitter = image_height, image_width, None
    if occluder_height > 2 * occluder_width:
        width = between(image_width // 4, image_width // 2, draws[2])
    else:
        height = between(image_height // 4, image_height // 2, draws[2])
        jitter = jitter_from(draws)
    top = 0 if draws[3] < 0.5 else image_height - height
    left = 0 if draws[4] < 0.5 else image_width - width
    return Placement(occluder, draws[1] < 0.5, top, left, height, width, jitter)


def between(low: int, high: int, draw: float) -> int:
    """Turn a number in [0, 1) into pixels, uniform over ``low .. high`` and at least one."""
    low = max(1, low)
    return low + int(draw * (max(low, high) - low + 1))


def jitter_from(draws: Sequence[float]) -> ColorJitter:
    """Turn numbers 5 to 8 of a placement into factors U[0.5, 1.5] in random order."""
    brightness, contrast, saturation = (0.5 + draw for draw in draws[5:8])
    return ColorJitter(brightness, contrast, saturation, ORDERS[int(draws[8] * len(ORDERS))])


def occlusion_mask(placement: AnyPlacement, image_height: int, image_width: int) -> Tensor:
    """Mark the rectangle that a placement covers, (H, W) bool.

    There alone ``paste`` may change the image. Of a crop with an alpha channel,
    ``NPOAugmentation.apply`` returns the mask, which lies inside this one.
    """
    mask = torch.zeros(image_height, image_width, dtype=torch.bool)
    bottom, right = placement.top + placement.height, placement.left + placement.width
    mask[placement.top : bottom, placement.left : right] = True
    return mask
