"""Crops of obstacles as they come: any kind of image file, decoded; what is no crop, by name."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fed_plugin.datasets.listing import IMAGE_SUFFIXES, printable, visible_entries
from fed_plugin.datasets.occluder_sets.manifest import MANIFEST

Pixels = NDArray[np.uint8]
Progress = Callable[[int, int], None]

KINDS = (*IMAGE_SUFFIXES, ".gif", ".webp", ".ppm", ".pgm", ".tga", ".jp2")
"""Suffixes that a folder of crops is searched for, in any case."""

MIN_SIDE = 8
"""Pixels: a smaller crop is a smear once it covers half an image."""

MAX_ELONGATION = 16.0
"""Longer over shorter side: a longer crop is a line, and squeezed beyond recognition."""

_LARGEST = 50_000_000  # pixels
_FORMATS = {"JPEG", "MPO", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "TGA", "JPEG2000"}
_OPAQUE = 255


@dataclass(frozen=True)
class LeftOut:
    """Name what did not become part of a set, and why.

    Attributes:
        name: file or crop.
        kind: "not an image", "broken", "unfit", "duplicate", "near duplicate" or "leak".
        reason: for a reader.
    """

    name: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Crop:
    """Hold one obstacle.

    Attributes:
        name: what it is called; becomes part of its file name.
        pixels: (h, w, 3) RGB or (h, w, 4) RGBA, uint8.
        origin: where it came from, for the manifest.
    """

    name: str
    pixels: Pixels
    origin: str

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of shape and pixels, in hex."""
        data = repr(self.pixels.shape).encode() + np.ascontiguousarray(self.pixels).tobytes()
        return hashlib.sha256(data).hexdigest()

    @property
    def is_tall(self) -> bool:
        """Whether NPO's rule "h/w > 2" makes it cover the full height of an image."""
        return self.pixels.shape[0] > 2 * self.pixels.shape[1]


def read_crops(
    folder: str | Path, progress: Progress | None = None
) -> tuple[list[Crop], list[LeftOut]]:
    """Decode every image of a folder, in name order; nothing that is passed over goes unnamed.

    Args:
        folder: not searched recursively; hidden files and a ``manifest.json`` are no crops.
        progress: called with (files done, files in all).

    Returns:
        The crops, and what was no usable crop.

    Raises:
        FileNotFoundError: no such folder, or it is a file.
    """
    if not Path(folder).is_dir():
        found = "is a file" if Path(folder).exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {found}; expected a folder of occluder crops")
    crops: list[Crop] = []
    left_out: list[LeftOut] = []
    entries = [entry for entry in visible_entries(str(folder)) if entry.name != MANIFEST]
    for done, entry in enumerate(entries, start=1):
        found_one = read_crop(Path(entry.path))
        if isinstance(found_one, Crop):
            crops.append(found_one)
        else:
            left_out.append(found_one)
        if progress is not None:
            progress(done, len(entries))
    return crops, left_out


def read_crop(path: Path) -> Crop | LeftOut:
    """Decode one file; a file that is no usable crop is returned as what was left out."""
    name = printable(path.name)
    if path.is_dir():
        return LeftOut(name, "not an image", "a folder: only the files beside it are read")
    if not path.name.lower().endswith(KINDS):
        return LeftOut(name, "not an image", f"expected one of {' '.join(KINDS)}")
    if path.exists() and not path.is_file():
        return LeftOut(name, "not an image", "neither a file nor a folder")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata: what cannot be read is named below
            pixels, note = _decode(path)
    except Exception as error:  # every decoder raises its own kinds
        reason = f"{type(error).__name__}: {error}".replace(str(path), name)
        return LeftOut(name, "broken", f"cannot be read ({printable(reason)})")
    unfit = _why_unfit(pixels)
    if unfit:
        return LeftOut(name, "unfit", unfit)
    return Crop(printable(path.stem), pixels, name + note)


def _decode(path: Path) -> tuple[Pixels, str]:
    """Return RGB or, where any pixel is not opaque, RGBA; and what a reader should know."""
    with Image.open(path) as opened:
        if opened.format not in _FORMATS:
            raise ValueError(f"holds {opened.format}, which is no picture of pixels")
        if opened.width * opened.height > _LARGEST:
            raise ValueError(f"{opened.width} x {opened.height} pixels; at most {_LARGEST}")
        frames = int(getattr(opened, "n_frames", 1))
        image: Image.Image = ImageOps.exif_transpose(opened)
        # some readers of animations keep a palette's transparency in the file's information alone
        transparent = "A" in image.getbands() or "transparency" in image.info
        pixels = np.array(_to_eight_bits(image).convert("RGBA" if transparent else "RGB"))
    if transparent and (pixels[..., 3] == _OPAQUE).all():
        pixels = np.ascontiguousarray(pixels[..., :3])
    return pixels, f" (first of {frames} pictures)" if frames > 1 else ""


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 bits and floats, which PIL clips when it narrows them."""
    if image.mode.startswith("I"):
        levels: NDArray[Any] = np.asarray(image) // 257
    elif image.mode == "F":
        values = np.nan_to_num(np.asarray(image))
        levels = (values - values.min()) / max(float(np.ptp(values)), 1e-9) * 255
    else:
        return image
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def _why_unfit(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        return f"{height} x {width} (h x w) pixels; expected at least {MIN_SIDE} a side"
    if max(height, width) > MAX_ELONGATION * min(height, width):
        return f"{height} x {width} (h x w) pixels; expected at most {MAX_ELONGATION:g} : 1"
    if pixels.shape[2] == 4 and not pixels[..., 3].any():
        return "wholly transparent"
    return ""
