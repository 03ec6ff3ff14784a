"""What a photo is: the one way from an image file to pixels of 8 bits.

Everything that reads photos reads them here: training and evaluation (through the host's
``read_image``), descriptors, indexes, checks of data sets, occluders and pictures.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

logger = logging.getLogger("fastreid.fed_plugin.photos")

SUFFIXES = (
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
_warned: set[str] = set()  # folders


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading; refuse anything that could wait for ever or never end.

    Raises:
        FileNotFoundError: there is nothing.
        OSError: a folder, a pipe, a socket or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
    raise OSError(errno.EINVAL, what, os.fspath(path))


@contextmanager
def open_photo(source: str | os.PathLike[str] | BinaryIO) -> Iterator[Image.Image]:
    """Open a photo whose pixels are not decoded yet.

    Args:
        source: path of a regular file, or an open binary file.

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
        with image:
            _limit_pixels(image)
            image.info["path of the photo"] = os.fspath(path) if path is not None else ""
            yield image


def _limit_pixels(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        least = (MOST_PIXELS / (width * height)) ** 0.5
        image.draft(None, (int(width * least / 2), int(height * least / 2)))  # a JPEG gets smaller
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(
            f"{width} x {height} pixels; expected {MOST_PIXELS} or fewer, try a smaller copy"
        )


def read_rgb(source: str | os.PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    """Decode a photo.

    Args:
        source: path of a regular file, or an open binary file.

    Returns:
        (H, W, 3) uint8 RGB, upright by its EXIF data; transparent pixels lie on mid grey, of
        several frames the first is taken, and more than 8 bits are scaled by :func:`eight_bits`.

    Raises:
        Exception: any error of the decoder for a broken file.
    """
    with open_photo(source) as image:
        return pixels_of(image)


def read_rgba(source: str | os.PathLike[str] | BinaryIO) -> NDArray[np.uint8]:
    """Decode a photo with its transparency.

    Args:
        source: path of a regular file, or an open binary file.

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
    return np.array(opaque(image).convert("RGB"), dtype=np.uint8)


def opaque(image: Image.Image) -> Image.Image:
    """Return an image of any mode with 8 bits, upright and on mid grey where it is transparent."""
    image = _rgb_or_rgba(image)
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, (*MID_GREY, 255))
        image = Image.alpha_composite(background, image).convert("RGB")
    return image


def _rgb_or_rgba(image: Image.Image) -> Image.Image:
    name = image.info.get("path of the photo", "")
    with contextlib.suppress(Exception):  # broken EXIF data spoil no image
        image = ImageOps.exif_transpose(image)
    if image.mode[0] in "IF":
        image = Image.fromarray(eight_bits(np.asarray(image), str(name)))
    # some readers of animations keep a palette's transparency in the file's information alone
    transparent = "A" in image.getbands() or "transparency" in image.info
    return image.convert("RGBA" if transparent else "RGB")


def eight_bits(levels: NDArray[Any], name: str = "") -> NDArray[np.uint8]:
    """Scale grey levels of more than 8 bits by the range of their values.

    The largest value chooses the depth that holds it: 8, 10, 12, 14, 16, 24 or 31 bits, as cameras
    and files have them; the largest level of that depth becomes 255, 0 and negative values become
    0. Floats up to 1 are shares; larger floats are levels. PIL itself clips at 255.

    Args:
        levels: (H, W) integers or floats; values that are not finite count as 0.
        name: path of the photo, for one warning per folder.
    """
    values = np.nan_to_num(np.asarray(levels, np.float64), posinf=0, neginf=0).clip(min=0)
    most = float(values.max(initial=0))
    if levels.dtype.kind == "f" and most <= 1:
        top, what = 1.0, "shares of 1"
    else:
        bits = next((bits for bits in _DEPTHS if most < 1 << bits), None)
        top = float((1 << bits) - 1) if bits else most
        what = f"levels of {bits} bits" if bits else f"levels up to {most:g}"
    folder = os.path.dirname(name)
    if name and folder not in _warned:
        _warned.add(folder)
        logger.warning(
            "%s: photos of more than 8 bits; the values of each are scaled by the range that holds "
            "them, those of %s as %s (docs/data.md)",
            *(folder or ".", Path(name).name, what),
        )
    return np.floor(values * 255 / top).astype(np.uint8)
