"""Occluders: crops of obstacles, which NPO pastes over people.

A set is decoded once and never changes. Drawing a placement needs the sizes of a set alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fed_plugin.photos import IMAGE_SUFFIXES, read_rgb, read_rgba

logger = logging.getLogger("fastreid.fed_plugin.occluders")
_TINY = 1e-9  # rounding error of a whole number of pixels after a division


def shrink_to_side(image: NDArray[np.uint8], max_side: int) -> NDArray[np.uint8]:
    """Shrink an (H, W, 3 or 4) uint8 image whose longer side exceeds ``max_side``; 0 allows any."""
    return _shrunk(image, max_side / max(image.shape[:2])) if max_side else image


def shrink_to_cover(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Shrink an (H, W, 3 or 4) uint8 image that is larger than a rectangle, but still cover it."""
    return _shrunk(image, max(height / image.shape[0], width / image.shape[1]))


def _shrunk(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    if factor >= 1:
        return image
    height, width = image.shape[:2]
    tall = height > 2 * width  # rounding away from 2:1 keeps "h/w > 2" true or false
    columns = math.floor(width * factor + _TINY) if tall else math.ceil(width * factor - _TINY)
    columns, rows = max(1, columns), max(1, round(height * factor))
    size = columns, max(rows, 2 * columns + 1) if tall else rows
    shrunk = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    return np.array(shrunk, dtype=np.uint8)


Pixels = NDArray[np.uint8]
_EXPECTED = "*.jpg or *.png occluder crops (docs/data.md, Occluders)"


class OccluderSet:
    """Immutable sequence of RGB crops of obstacles, each with a name and perhaps an alpha channel.

    ``occluders[3]`` is a read-only array. A pickle holds lossless PNG bytes, therefore a spawned
    loader worker reads no file.

    Args:
        images: at least one crop (H, W, 3) uint8 RGB, or (H, W, 4) with alpha (255 = opaque,
            colours not multiplied by alpha); sizes may differ. Copied.
        names: one name per crop, for messages and cards; ``occluder-0000`` and so on by default.

    Raises:
        ValueError: no image, an image that is not (H, W, 3 or 4) uint8 or has no visible pixel,
            or a wrong number of names.
    """

    def __init__(self, images: Sequence[Pixels], names: Sequence[str] | None = None) -> None:
        if not len(images):
            raise ValueError("an OccluderSet needs at least one image, got none")
        if names is None:
            names = [f"occluder-{index:04d}" for index in range(len(images))]
        if len(names) != len(images):
            raise ValueError(f"expected one name per image, got {len(names)} for {len(images)}")
        for name, image in zip(names, images, strict=True):
            _check_crop(name, image)
        self._names = tuple(names)
        self._tensors = tuple(_own(image[..., :3]) for image in images)
        self._alphas = tuple(_own(one[..., 3]) if one.shape[2] == 4 else None for one in images)
        self._sizes = tuple((int(image.shape[0]), int(image.shape[1])) for image in images)

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        key: str = "path",
        max_side: int = 512,
        alpha: bool = False,
        most_shown: Callable[[tuple[int, int]], tuple[int, int]] | None = None,
    ) -> OccluderSet:
        """Decode every photo of a folder, in name order.

        Palettes, grey levels, 16 bits and CMYK become RGB, EXIF rotation is applied. Hidden files
        and sub-folders are passed over. Error messages call the folder ``key``.

        A crop is shrunk to a longer side of ``max_side``, 0 for no limit: input images are a few
        hundred pixels high, and more pixels only cost time. It is not shrunk below the most rows
        and columns of the pasted crop, which ``most_shown`` returns for its (height, width).
        Without ``alpha``, transparent pixels lie on mid grey, zero after the method's
        normalisation.

        Raises:
            FileNotFoundError: the folder does not exist, is no folder, or holds no image.
            ValueError: a file cannot be decoded or, with ``alpha``, has no visible pixel; the
                message names the file.
        """
        files = occluder_files(path, key)
        _warn_of_others(path, files, key)
        images = []
        read = read_rgba if alpha else read_rgb
        for file in files:
            try:
                image = shrink_to_side(read(file), max_side)
                if most_shown is not None:
                    image = shrink_to_cover(image, *most_shown((image.shape[0], image.shape[1])))
                _check_crop(file.name, image)
            except Exception as error:  # every decoder raises its own kinds
                raise ValueError(
                    f"{key}={path}: cannot read {file} ({error}); expected an image, try removing "
                    "the file or saving it again as JPEG or PNG"
                ) from error
            images.append(image)
        return cls(images, [file.name for file in files])

    @property
    def names(self) -> tuple[str, ...]:
        """Return the name of every crop, in order."""
        return self._names

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Return (height, width) of every crop, in order."""
        return self._sizes

    def tensor(self, index: int) -> Tensor:
        """Return crop ``index`` as (3, H, W) uint8; shared memory, not to be written to."""
        return self._tensors[index].permute(2, 0, 1)

    def alpha(self, index: int) -> Tensor | None:
        """Return crop ``index``'s (H, W) uint8 alpha, not to be written to; None if opaque."""
        return self._alphas[index]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Pixels:
        view: Pixels = self._tensors[index].numpy()
        view.flags.writeable = False
        return view

    def __iter__(self) -> Iterator[Pixels]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} crops: {self._names[0]} .. {self._names[-1]})"

    def __reduce__(self) -> tuple[Any, ...]:
        packed = []
        for image, alpha in zip(self, self._alphas, strict=True):
            # OpenCV takes the channels for BGR, here and in _unpack
            channels = image if alpha is None else np.dstack((image, alpha.numpy()))
            packed.append(bytes(cv2.imencode(".png", channels)[1]))
        return _unpack, (type(self), packed, self._names)


def occluder_files(path: str | Path, key: str = "path") -> list[Path]:
    """List the image files of a folder of occluders in name order, not of the folders below.

    Messages call the folder ``key``.

    Raises:
        FileNotFoundError: the folder does not exist, is no folder, or holds no image.
    """
    folder = Path(path)
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "no such folder"
        raise FileNotFoundError(f"{key}={path}: {problem}; expected a folder of {_EXPECTED}")
    seen = (file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in seen if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()]
    files.sort(key=lambda file: file.name)
    if not files:
        raise FileNotFoundError(f"{key}={path}: found no image; expected {_EXPECTED}")
    return files


def _warn_of_others(path: str | Path, files: list[Path], key: str) -> None:
    names = {file.name for file in files} | {"manifest.json"}  # of `data occluders build`
    there = {file.name for file in Path(path).iterdir() if not file.name.startswith(".")}
    if others := sorted(there - names):
        logger.warning(
            "%s=%s: passed over %d that are no images to read, first %a; expected %s",
            *(key, path, len(others), others[0], _EXPECTED),
        )


def _check_crop(name: str, image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or not image.size:
        raise ValueError(
            f"occluder {name}: expected an (H, W, 3) uint8 RGB or (H, W, 4) RGBA array, "
            f"got shape {image.shape} of {image.dtype}"
        )
    if image.shape[2] == 4 and not image[..., 3].any():
        raise ValueError(f"occluder {name}: every pixel is transparent")


def _own(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.array(pixels, order="C"))


def _unpack(kind: type[OccluderSet], packed: list[bytes], names: tuple[str, ...]) -> OccluderSet:
    data = (np.frombuffer(png, dtype=np.uint8) for png in packed)
    images = (cv2.imdecode(png, cv2.IMREAD_UNCHANGED) for png in data)
    return kind([np.asarray(image, dtype=np.uint8) for image in images], names)
