"""Small painting helpers shared by backgrounds and occluders."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from fed_plugin.datasets.synthocc.materials import RGB
from fed_plugin.datasets.synthocc.surface import Array

SCENE_SIZE = (840, 460)  # width and height in pixels; a window of 192 x 384 is cut out


def ink(colour: RGB, factor: float = 1.0) -> tuple[int, int, int]:
    """Return a colour in [0, 1] as 8-bit RGB, darkened or lightened by ``factor``."""
    r, g, b = (int(255 * min(max(c * factor, 0.0), 1.0)) for c in colour)
    return (r, g, b)


def any_colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> RGB:
    """Draw a colour whose channels lie between ``low`` and ``high``."""
    r, g, b = (float(v) for v in rng.uniform(low, high, 3))
    return (r, g, b)


def speckle(rng: np.random.Generator, size: tuple[int, int], cell: int) -> Image.Image:
    """Return grey noise with grains of ``cell`` pixels, mean 128, as an ``L`` picture."""
    width, height = size
    grains = rng.integers(0, 256, (height // cell + 2, width // cell + 2), dtype=np.uint8)
    picture = Image.fromarray(grains).resize(
        ((width // cell + 2) * cell, (height // cell + 2) * cell), Image.Resampling.BICUBIC
    )
    return picture.crop((0, 0, width, height))


def textured(
    picture: Image.Image, rng: np.random.Generator, amount: float, cell: int = 3
) -> Image.Image:
    """Return ``picture`` roughened with noise; ``amount`` is the share of full contrast."""
    noise = Image.blend(speckle(rng, picture.size, cell), speckle(rng, picture.size, cell * 7), 0.5)
    flat = Image.new("L", picture.size, 128)
    grey = Image.blend(flat, noise, amount)
    layer = Image.merge("RGB", (grey, grey, grey))
    return ImageChops.overlay(picture, layer)


def leaves(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    colour: RGB,
    count: int,
    size: float,
) -> None:
    """Fill an ellipse with leaves that are dark below and inside, light above."""
    left, top, right, bottom = box
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    x = (left + right) / 2 + np.cos(angle) * reach * (right - left) / 2
    y = (top + bottom) / 2 + np.sin(angle) * reach * (bottom - top) / 2
    high = 1 - (y - top) / max(bottom - top, 1e-6)
    light = 0.45 + 0.75 * high * np.linspace(0.55, 1.0, count) + rng.uniform(-0.12, 0.12, count)
    half = size * rng.uniform(0.6, 1.3, (count, 2))
    lean = rng.uniform(0, np.pi, count)
    for i in range(count):
        c, s = np.cos(lean[i]) * half[i, 0], np.sin(lean[i]) * half[i, 0]
        ox, oy = -s * 0.45, c * 0.45
        points = [
            (x[i] - c, y[i] - s),
            (x[i] + ox, y[i] + oy),
            (x[i] + c, y[i] + s),
            (x[i] - ox, y[i] - oy),
        ]
        draw.polygon(points, fill=ink(colour, float(light[i])))


def shaded_by(picture: Image.Image, shade: Image.Image) -> Image.Image:
    """Return the RGB picture multiplied by an ``L`` picture."""
    return ImageChops.multiply(picture, Image.merge("RGB", (shade, shade, shade)))


def soft(picture: Image.Image, radius: float) -> Image.Image:
    """Return the picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def as_floats(picture: Image.Image) -> Array:
    """Return an RGB picture as (H, W, 3) float32 in [0, 1]."""
    return np.asarray(picture, dtype=np.float32) / 255


def paving(
    draw: ImageDraw.ImageDraw,
    line: int,
    rng: np.random.Generator,
    colour: tuple[float, float, float],
    cell: int,
) -> None:
    """Pave the floor: rows grow towards the viewer, joints run to a vanishing point."""
    width, height = SCENE_SIZE
    draw.rectangle((0, line, width, height), fill=ink(colour))
    y, deep, row = float(line), cell * 0.22, 0
    while y < height:
        for x in range(-2 * width, 3 * width, cell):
            if rng.random() < 0.3:
                near, far = (y + deep - line) / 300 + 1, (y - line) / 300 + 1
                corners = [
                    _away(x, far, y),
                    _away(x + cell, far, y),
                    _away(x + cell, near, y + deep),
                    _away(x, near, y + deep),
                ]
                draw.polygon(corners, fill=ink(colour, float(rng.uniform(0.9, 1.07))))
        draw.line((0, y, width, y), fill=ink(colour, 0.72))
        y, deep, row = y + deep, deep * 1.28, row + 1
    for x in range(-2 * width, 3 * width, cell):
        near = (height - line) / 300 + 1
        draw.line((*_away(x, 1.0, line), *_away(x, near, height)), fill=ink(colour, 0.72))


def _away(x: float, factor: float, y: float) -> tuple[float, float]:
    return (SCENE_SIZE[0] / 2 + (x - SCENE_SIZE[0] / 2) * factor, y)
