"""Image files to RGB pixels: palettes, transparency, 16 bits, CMYK and EXIF rotation included."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

DECODED_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
MID_GREY = (128, 128, 128)
_TINY = 1e-9  # by which a whole number of pixels may miss itself after a division


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode one image file.

    Args:
        path: a file that PIL can decode.

    Returns:
        (H, W, 3) uint8 RGB; transparent pixels lie on mid grey.

    Raises:
        Exception: whatever the decoder raises for a broken file.
    """
    with Image.open(path) as opened:
        return pixels_of(opened)


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of an image in memory, as :func:`read_rgb` does those of a file.

    Args:
        image: of any mode.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = _rgb_or_rgba(image)
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, (*MID_GREY, 255))
        image = Image.alpha_composite(background, image).convert("RGB")
    return np.array(image, dtype=np.uint8)


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Decode one image file and keep its transparency.

    Args:
        path: a file that PIL can decode.

    Returns:
        (H, W, 4) uint8 RGBA, 255 = opaque and colours not multiplied by it, wholly transparent
        pixels mid grey; (H, W, 3) uint8 RGB where nothing is transparent.

    Raises:
        Exception: whatever the decoder raises for a broken file.
    """
    with Image.open(path) as opened:
        pixels: NDArray[np.uint8] = np.array(_rgb_or_rgba(opened), dtype=np.uint8)
    if pixels.shape[2] == 3 or pixels[..., 3].min() == 255:
        return pixels[..., :3]
    pixels[pixels[..., 3] == 0, :3] = MID_GREY
    return pixels


def _rgb_or_rgba(image: Image.Image) -> Image.Image:
    """Decode to mode RGB, or RGBA if the image has transparency."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        # PIL clips instead of scaling when it narrows 16 bits
        image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    transparent = "A" in image.getbands() or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def shrink_to_side(image: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Shrink an image whose longer side exceeds ``max_side``; a crop over 2:1 high stays so.

    Args:
        image: (H, W, 3) uint8, or (H, W, 4) with alpha.
        max_side: longest side allowed in pixels; 0 allows any.

    Returns:
        (H', W', 3 or 4) uint8, the same object where nothing had to be done.
    """
    return _shrunk(image, max_side / max(image.shape[:2])) if max_side else image


def shrink_to_cover(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink an image as long as it covers a rectangle; one that does not stays as it is.

    Args:
        image: (H, W, 3) uint8, or (H, W, 4) with alpha.
        height: rows of the rectangle.
        width: columns of the rectangle.

    Returns:
        (H', W', 3 or 4) uint8 of about the same shape, the same object where nothing had to be
        done; a crop over 2:1 high stays so.
    """
    return _shrunk(image, max(height / image.shape[0], width / image.shape[1]))


def _shrunk(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    if factor >= 1:
        return image
    height, width = image.shape[:2]
    tall = height > 2 * width  # rounding away from 2:1 keeps NPO's "h/w > 2" as it was
    columns = math.floor(width * factor + _TINY) if tall else math.ceil(width * factor - _TINY)
    columns, rows = max(1, columns), max(1, round(height * factor))
    size = columns, max(rows, 2 * columns + 1) if tall else rows
    shrunk = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    return np.array(shrunk, dtype=np.uint8)
