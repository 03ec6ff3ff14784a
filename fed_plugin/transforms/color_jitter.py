"""Colour jitter of a crop: the factors are drawn elsewhere, here they are applied."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

ORDERS = tuple(permutations(("brightness", "contrast", "saturation")))


@dataclass(frozen=True)
class ColorJitter:
    """Three factors and the order in which they apply; 1 leaves the picture as it is.

    Args:
        brightness: multiplies every value.
        contrast: spreads the values around the mean grey level.
        saturation: spreads the channels around the pixel's own grey level.
        order: the three names in the order of application.
    """

    brightness: float
    contrast: float
    saturation: float
    order: tuple[str, ...] = ORDERS[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the three in order, rounding and clipping to 8 bits after each.

        Within one grey level per operation of torchvision's ``ColorJitter`` on PIL images.

        Args:
            image: (H, W, 3) uint8 RGB; not modified.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        for name in self.order:
            image = _OPERATIONS[name](image, getattr(self, name))
        return image


_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_LEVELS = np.arange(256, dtype=np.float32)


def _adjust_brightness(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    return _map_levels(image, _LEVELS * factor)


def _adjust_contrast(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    grey = cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0]
    centre = float(int(grey + 0.5))
    return _map_levels(image, centre + factor * (_LEVELS - centre))


def _adjust_saturation(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    mixing = factor * np.eye(3, dtype=np.float32) + (1 - factor) * _GREY_WEIGHTS
    return np.asarray(cv2.transform(image, mixing), dtype=np.uint8)


def _map_levels(image: NDArray[np.uint8], levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), dtype=np.uint8)


_OPERATIONS = {
    "brightness": _adjust_brightness,
    "contrast": _adjust_contrast,
    "saturation": _adjust_saturation,
}
