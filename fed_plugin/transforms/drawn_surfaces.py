"""What drawn obstacles are made of: colours, noise, shading, a blurred street, a camera's finish.

All arithmetic is on integers, or on uint8 images inside OpenCV, so that the same seed gives the
same bits. Colours are (r, g, b) integers in 0..255, images (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

PAINTS: tuple[Color, ...] = (
    (196, 30, 38), (24, 64, 140), (236, 236, 232), (28, 28, 32), (148, 152, 158), (232, 186, 40),
    (20, 104, 72), (224, 108, 28), (92, 148, 200), (110, 32, 60), (86, 92, 60), (58, 48, 100),
)  # fmt: skip
STONES: tuple[Color, ...] = (
    (150, 146, 138), (178, 170, 156), (128, 126, 124), (196, 186, 168), (112, 104, 96),
)  # fmt: skip
BRICKS: tuple[Color, ...] = ((150, 72, 52), (176, 120, 84), (120, 60, 50), (160, 150, 140))
WOODS: tuple[Color, ...] = (
    (122, 84, 52), (96, 70, 48), (150, 112, 72), (84, 66, 54), (170, 134, 92),
)  # fmt: skip


def pick(rng: Generator, colors: Sequence[Color], spread: int = 14) -> Color:
    """Choose a colour, move its brightness by up to ``spread`` and its hue a little."""
    color = colors[int(rng.integers(len(colors)))]
    level = int(rng.integers(-spread, spread + 1))
    return shade(tuple(int(channel + level + rng.integers(-5, 6)) for channel in color), 100)


def shade(color: Sequence[int], percent: int) -> Color:
    """Scale a colour's brightness, clipped to 0..255."""
    red, green, blue = (min(255, max(0, channel * percent // 100)) for channel in color)
    return red, green, blue


def fill(height: int, width: int, color: Color) -> Pixels:
    """Return a plain image."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = color
    return image


def noise(rng: Generator, height: int, width: int, cell: tuple[int, int]) -> Pixels:
    """Return (H, W) smooth noise around 128 whose grains are about ``cell`` = (rows, columns)."""
    rows, columns = max(2, height // cell[0] + 1), max(2, width // cell[1] + 1)
    grid = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR))


def light(image: Pixels, gain: NDArray[np.integer]) -> Pixels:
    """Multiply every pixel by gain / 128.

    Args:
        image: (H, W, 3).
        gain: broadcasts to (H, W); 128 leaves a pixel as it is.
    """
    scale = np.broadcast_to(gain, image.shape[:2]).astype(np.int32)[..., None]
    return np.clip(image.astype(np.int32) * scale >> 7, 0, 255).astype(np.uint8)


def texture(rng: Generator, image: Pixels, cell: tuple[int, int], strength: int) -> Pixels:
    """Modulate brightness by smooth noise of up to ``strength`` / 128 either way."""
    grains = noise(rng, image.shape[0], image.shape[1], cell).astype(np.int32)
    return light(image, 128 + (grains - 128) * strength // 128)


def roundness(width: int, lit_from: int, low: int = 58, high: int = 158) -> NDArray[np.int32]:
    """Return (width,) gains of an upright cylinder lit from column ``lit_from``."""
    columns = np.arange(width, dtype=np.int32)
    reach = max(lit_from, width - 1 - lit_from, 1)
    falloff = (columns - lit_from) ** 2 * (high - low) // reach**2
    return np.asarray(high - falloff, dtype=np.int32)


def slope(length: int, start: int, end: int) -> NDArray[np.int32]:
    """Return (length,) gains that run evenly from ``start`` to ``end``."""
    steps = np.arange(length, dtype=np.int32)
    return np.asarray(start + (end - start) * steps // max(1, length - 1), dtype=np.int32)


def brickwork(rng: Generator, height: int, width: int) -> Pixels:
    """Return bricks in running bond."""
    tall, wide = int(rng.integers(8, 15)), int(rng.integers(20, 38))
    image = fill(height, width, pick(rng, STONES))
    base = pick(rng, BRICKS)
    for course, row in enumerate(range(0, height, tall)):
        for column in range(-(wide // 2) * (course % 2), width, wide):
            color = shade(base, int(rng.integers(76, 122)))
            cv2.rectangle(image, (column, row), (column + wide - 3, row + tall - 3), color, -1)
    return texture(rng, image, (4, 4), 30)


def lettering(rng: Generator, image: Pixels, box: tuple[int, int, int, int], color: Color) -> None:
    """Write rows of illegible words into ``box`` = (top, left, bottom, right) of ``image``."""
    top, left, bottom, right = box
    size = int(rng.integers(2, 6))
    for row in range(top, bottom - size, size * 2):
        column = left
        while column < right - size:
            word = int(rng.integers(size, size * 7))
            cv2.rectangle(image, (column, row), (min(right, column + word), row + size), color, -1)
            column += word + (size + 1) // 2 + 1
            if rng.integers(6) == 0:
                break


def street(rng: Generator, height: int, width: int) -> Pixels:
    """Return what stands behind an obstacle: wall, ground and a few things, out of focus."""
    image = fill(height, width, pick(rng, STONES))
    ground = int(rng.integers(height // 3, height))
    image[ground:] = pick(rng, STONES, 30)
    for _ in range(int(rng.integers(2, 6))):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.integers(8, 60)), int(rng.integers(8, 60))
        color = shade(pick(rng, PAINTS + STONES), int(rng.integers(50, 100)))
        cv2.rectangle(image, (left, top), (left + size[0], top + size[1]), color, -1)
    image = texture(rng, image, (6, 6), 40)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.5))


def photograph(rng: Generator, image: Pixels) -> Pixels:
    """Finish a drawing as a surveillance camera would: uneven light, cast, blur, sensor noise."""
    height, width = image.shape[:2]
    image = texture(rng, image, (height // 2, width // 2), int(rng.integers(10, 44)))
    level = int(rng.integers(84, 150))
    cast = np.clip(level + rng.integers(-6, 7, 3), 0, 255).astype(np.int32)
    image = np.clip(image.astype(np.int32) * cast >> 7, 0, 255).astype(np.uint8)
    width_of_blur = int(rng.integers(0, 3)) * 2 + 1
    image = np.asarray(cv2.GaussianBlur(image, (width_of_blur, width_of_blur), 0))
    grain = int(rng.integers(3, 9))
    speckles = rng.integers(-grain, grain + 1, image.shape, dtype=np.int16)
    return np.clip(image.astype(np.int16) + speckles, 0, 255).astype(np.uint8)
