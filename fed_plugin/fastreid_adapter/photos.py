"""Photos as people hold them: paths, arrays, PIL images, one or many."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from fastreid.data import data_utils
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.transforms.decoding import pixels_of

Photo: TypeAlias = "str | os.PathLike[str] | Image.Image | NDArray[np.uint8]"
FIRST = 5


class BrokenPhotoError(ValueError):
    """Photos that cannot be read.

    Args:
        reasons: why, by the index of the photo.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        shown = [f"photo {index}: {why}" for index, why in list(reasons.items())[:FIRST]]
        more = f"; and {len(reasons) - FIRST} more" if len(reasons) > FIRST else ""
        super().__init__("; ".join(shown) + more)
        self.reasons = dict(reasons)


def one_by_one(photos: Photo | Iterable[Photo]) -> tuple[Iterator[Photo], int | None]:
    """Return the photos of one or many, and how many they are, None where only the end tells."""
    one = isinstance(photos, (str, os.PathLike, Image.Image))
    if one or (isinstance(photos, np.ndarray) and photos.ndim < 4):
        return iter([photos]), 1  # type: ignore[list-item]
    # what is no photo would come in as many: a file as lines, bytes as numbers
    if not isinstance(photos, Iterable) or isinstance(photos, (bytes, Mapping, io.IOBase)):
        raise TypeError(
            f"photos are {type(photos).__name__}: expected a path, an array, a PIL image, or an "
            "iterable of them; try PIL.Image.open(...) for files and bytes"
        )
    return iter(photos), len(photos) if hasattr(photos, "__len__") else None


def as_rgb(photo: Any) -> Image.Image:
    """Return a photo as the host's data sets read it.

    Args:
        photo: a path, a PIL image of any mode, or an array (H, W, 3) or (H, W) uint8, RGB or grey.

    Returns:
        An image of mode RGB.

    Raises:
        ValueError: An array of another shape or type, or an image without pixels.
        RuntimeError: A file that cannot be read.
    """
    if isinstance(photo, (str, os.PathLike)):
        image: Image.Image = data_utils.read_image(os.fspath(photo))
        return image
    pixels = pixels_of(photo) if isinstance(photo, Image.Image) else photo
    if not isinstance(pixels, np.ndarray):
        raise ValueError(
            f"expected a path, an array or a PIL image, got {type(photo).__name__}; try "
            "numpy.asarray(photo)"
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(
            f"expected an array (H, W, 3) uint8 in RGB, or (H, W) in grey, got {pixels.shape} "
            f"{pixels.dtype}"
        )
    return Image.fromarray(np.ascontiguousarray(pixels))
