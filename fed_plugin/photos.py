"""What a photo is: the one way from an image file to pixels of 8 bits.

Everything that reads photos reads them here: training and evaluation (through the host's
``read_image``), descriptors, indexes, checks of data sets, occluders and pictures.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from fed_plugin.files import open_regular

logger = logging.getLogger("fastreid.fed_plugin.photos")

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".avif"),
    *(".gif", ".ppm", ".pgm", ".tga", ".jp2"),
)
"""Suffixes of photos, in upper or lower case."""

_FORMATS = {  # format and the module of PIL that reads it
    **{"JPEG": "Jpeg", "PNG": "Png", "TIFF": "Tiff", "BMP": "Bmp", "WEBP": "WebP", "AVIF": "Avif"},
    **{"GIF": "Gif", "PPM": "Ppm", "JPEG2000": "Jpeg2K", "TGA": "Tga"},
}
for _module in _FORMATS.values():
    with contextlib.suppress(ImportError):  # AVIF came with Pillow 11.3
        import_module(f"PIL.{_module}ImagePlugin")
FORMATS = tuple(name for name in _FORMATS if name in Image.OPEN)
"""Formats that are decoded, whatever the suffix. PIL starts other programs for some others."""

MOST_PIXELS = 50_000_000
"""Pixels of the largest photo that is decoded; a larger JPEG is decoded at a half to an eighth."""

MID_GREY = (128, 128, 128)
"""Colour under transparent pixels: zero after the method's normalisation."""

_DEPTHS = (8, 10, 12, 14, 16, 24, 31)  # bits that cameras and files hold
_LARGE = 8_000_000  # pixels; photos beyond are decoded one at a time
_AT_ONCE = 1 << 20  # levels that are scaled at once
_MOST_WARNINGS = 20  # of folders in one folder: a data set may have a folder per person
_warned: dict[str, str] = {}  # folders by their parents
_turn = threading.RLock()


def _new_turn() -> None:
    global _turn  # a fork may have copied a lock that nobody there will release
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_turn)


@contextmanager
def open_photo(source: str | os.PathLike[str] | BinaryIO) -> Iterator[Image.Image]:
    """Open a photo, a path or an open binary file, whose pixels are not decoded yet.

    Raises:
        OSError: no regular file, or no image in one of ``FORMATS``.
        ValueError: more than ``MOST_PIXELS`` pixels, unless a JPEG can be decoded smaller.
    """
    path = source if isinstance(source, (str, os.PathLike)) else None
    with open_regular(path) if path is not None else contextlib.nullcontext(source) as file:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit follows
            try:
                image = Image.open(file, formats=FORMATS)
            except Image.DecompressionBombError as error:
                raise ValueError(f"over {MOST_PIXELS} pixels ({error})") from error
            except UnidentifiedImageError as error:
                problem = f"cannot identify an image of the formats {', '.join(FORMATS)}"
                raise UnidentifiedImageError(problem) from error
        large = image.width * image.height > _LARGE
        with image, _turn if large else contextlib.nullcontext():
            _limit_pixels(image)
            image.info["path of the photo"] = os.fspath(path) if path is not None else ""
            try:
                yield image
            finally:
                if large:
                    image.close()
                    _return_memory()


def _return_memory() -> None:
    """Give freed memory back: glibc keeps that of every thread, which adds up."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def _limit_pixels(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        least = (MOST_PIXELS / (width * height)) ** 0.5
        image.draft(None, (int(width * least / 2), int(height * least / 2)))  # a JPEG gets smaller
    if image.width * image.height > MOST_PIXELS:
        expected = f"expected {MOST_PIXELS} or fewer, try a smaller copy"
        raise ValueError(f"{width} x {height} pixels; {expected}")


def read_rgb(source: str | os.PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    """Decode a photo, a path or an open binary file.

    Returns:
        (H, W, 3) uint8 RGB, upright by its EXIF data; transparent pixels lie on mid grey, of
        several frames the first is taken, and more than 8 bits are scaled by :func:`eight_bits`.

    Raises:
        Exception: any error of the decoder for a broken file.
    """
    with open_photo(source) as image:
        return pixels_of(image)


def read_rgba(source: str | os.PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    """Decode a photo, a path or an open binary file, with its transparency.

    Returns:
        (H, W, 4) uint8 RGBA, 255 = opaque and colours not multiplied by alpha, wholly transparent
        pixels mid grey; (H, W, 3) uint8 RGB where nothing is transparent.

    Raises:
        Exception: any error of the decoder for a broken file.
    """
    with open_photo(source) as image:
        pixels = with_transparency(image)
    if pixels.shape[2] == 4:
        pixels[pixels[..., 3] == 0, :3] = MID_GREY
    return pixels


def with_transparency(image: Image.Image) -> NDArray[np.uint8]:
    """Return pixels (H, W, 4) uint8 RGBA, or (H, W, 3) RGB where every pixel is opaque."""
    pixels: NDArray[np.uint8] = np.array(_rgb_or_rgba(image), dtype=np.uint8)
    if pixels.shape[2] == 3 or pixels[..., 3].min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    return pixels


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels (H, W, 3) uint8 RGB of an image of any mode, as :func:`read_rgb` does."""
    return np.array(opaque(image), dtype=np.uint8)


def opaque(image: Image.Image) -> Image.Image:
    """Return an image of any mode with 8 bits, upright and on mid grey where it is transparent."""
    image = _rgb_or_rgba(image)
    if image.mode == "RGB":
        return image
    whole, (width, height) = Image.new("RGB", image.size), image.size
    rows = max(1, _AT_ONCE // width)
    for top in range(0, height, rows):  # a large photo is in memory twice, not five times
        box = (0, top, width, min(top + rows, height))
        strip = Image.new("RGBA", (width, box[3] - top), (*MID_GREY, 255))
        strip.alpha_composite(image.crop(box))
        whole.paste(strip.convert("RGB"), box)
    return whole


def _rgb_or_rgba(image: Image.Image) -> Image.Image:
    name = str(image.info.get("path of the photo") or getattr(image, "filename", ""))
    if (levels := _colours_of_16_bits(image)) is not None:
        parts = np.split(levels, [3], axis=2)[: levels.shape[2] - 2]  # colours, perhaps alpha
        pixels = np.concatenate([eight_bits(part, name) for part in parts], axis=2)
        image.im, image.tile = Image.fromarray(pixels).im, []  # type: ignore[attr-defined]
    with contextlib.suppress(Exception):  # broken EXIF data spoil no image
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        image = Image.fromarray(eight_bits(np.asarray(image), name))
    # some readers of animations keep a palette's transparency in the file's information alone
    transparent = "A" in image.getbands() or "transparency" in image.info
    mode = "RGBA" if transparent else "RGB"
    image.load()
    return image if image.mode == mode else image.convert(mode)


def has_more_than_8_bits(image: Image.Image) -> bool:
    """Return whether the file of an image that is not decoded yet has more than 8 bits."""
    return image.mode[0] in "IF" or any(map(_is_deep, getattr(image, "tile", ())))


def _is_deep(tile: Any) -> bool:
    return ";16" in _raw_mode(tile) or (tile[0] == "ppm" and tile[3][1] > 255)


def _raw_mode(tile: Any) -> str:
    arguments = tile[3]
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _colours_of_16_bits(image: Image.Image) -> NDArray[np.uint16] | None:
    """Decode levels (H, W, 3 or 4), of which PIL keeps the upper 8 bits; None for other images."""
    tiles = list(getattr(image, "tile", ()))
    if image.mode not in ("RGB", "RGBA") or not any(map(_is_deep, tiles)):
        return None
    file, size = image.fp, (image.height, image.width)  # type: ignore[attr-defined]
    if tiles[0][0] == "ppm":
        file.seek(tiles[0][2])
        return np.frombuffer(file.read(6 * size[0] * size[1]), ">u2").reshape(*size, 3)
    high = np.asarray(image, np.uint16)
    with Image.open(file, formats=[image.format]) as again:  # type: ignore[list-item]
        again.tile = [tile._replace(args=_other_byte(tile)) for tile in tiles]  # type: ignore
        return high << 8 | np.asarray(again)


def _other_byte(tile: Any) -> Any:
    """Return the arguments of a tile that let PIL keep the lower 8 of 16 bits."""
    mode, _, order = _raw_mode(tile).partition(";16")
    little = order[:1] == "L" or (order[:1] == "N" and sys.byteorder == "little")
    other = f"{mode};16{'B' if little else 'L'}{order[1:]}"
    return other if isinstance(tile[3], str) else (other, *tile[3][1:])


def eight_bits(levels: NDArray[Any], name: str = "") -> NDArray[np.uint8]:
    """Scale levels of more than 8 bits by the range of their values.

    The largest value chooses the depth that holds it: 8, 10, 12, 14, 16, 24 or 31 bits, as cameras
    and files have them; the largest level of that depth becomes 255, 0 and negative values become
    0. Floats below 2 are shares of 1, a little over 1 where a filter overshot; larger floats are
    levels. PIL itself clips at 255, or keeps the upper 8 of 16 bits.

    Args:
        levels: (H, W) or (H, W, C) integers or floats; values that are not finite count as 0.
        name: path of the photo, for one warning per folder.
    """
    parts = np.array_split(levels, max(1, levels.size // _AT_ONCE))
    most = max(float(_finite(part).max(initial=0)) for part in parts)
    bits = next((bits for bits in _DEPTHS if most < 1 << bits), None)
    top, what = most, f"levels up to {most:g}"
    if levels.dtype.kind == "f" and most < 2:
        top, what = 1.0, "shares of 1"
    elif bits:
        top, what = float((1 << bits) - 1), f"levels of {bits} bits"
    _warn_of(name, what)
    return np.concatenate(
        [np.floor(_finite(part).clip(max=top) * 255 / top).astype(np.uint8) for part in parts]
    )


def _finite(levels: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(levels, np.float64), posinf=0, neginf=0).clip(min=0)


def _warn_of(name: str, what: str) -> None:
    folder = os.path.dirname(name)
    if not name or folder in _warned:
        return
    parent = _warned[folder] = os.path.dirname(folder)
    beside = list(_warned.values()).count(parent)
    if beside <= _MOST_WARNINGS:
        logger.warning(
            "%s: photos of more than 8 bits; the values of each are scaled by the range that holds "
            "them, those of %s as %s (docs/data.md)%s",
            *(folder or ".", Path(name).name, what),
            "; further folders beside it are not named" if beside == _MOST_WARNINGS else "",
        )
