"""Search for crops of occluders that were cut out of test images, at their original scale.

A training with pieces of the test images makes the test worthless. The search of a crop in an image
has two steps. First, the anchor of the crop is compared with every place in the image, all crops at
once. The anchor is the most distinctive 16 x 16 window (32 x 8 or 8 x 32 in a narrow crop), as the
16 mean colours of its 4 x 4 cells. Second, where the anchor fits, the whole crop is compared pixel
by pixel.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
_Floats = NDArray[np.float32]

MIN_CORRELATION = 0.9
"""Least normalised correlation of a leak and its place, colours centred."""

MAX_LEVELS = 12.0
"""Greatest mean difference of a leak's pixels in grey levels."""

MIN_CONTRAST = 4.0
"""Least standard deviation of an anchor's mean colours; a flatter crop would fit everywhere."""

_CELL = 4  # side in pixels
_SHAPES = ((16, 16), (32, 8), (8, 32))  # of anchors, 16 cells each; the first that fits a crop
_ANCHOR_LEVELS = 8.0  # root mean square difference of an anchor's colours that is looked into
_PLACES = 6  # of an anchor in one image that are looked into, the best ones
_PLACES_AT_ONCE = 1 << 15  # of an image; bounds the memory for large ones
_SLACK = 1  # pixels around a place
_OPAQUE = 250
_MID_GREY = 128.0


@dataclass(frozen=True)
class Leak:
    """Place of a crop, by its index, inside an image, by its path, in pixels.

    The correlation is normalised, in [-1, 1].
    """

    crop: int
    image: str
    top: int
    left: int
    correlation: float


class _Anchor(NamedTuple):
    """Window of a crop, for the first step of the search."""

    crop: int
    shape: tuple[int, int]
    top: int
    left: int
    cells: _Floats  # (48,)


class LeakSearch:
    """Search for crops, (h, w, 3) RGB or (h, w, 4) RGBA uint8, in images.

    Only opaque pixels are compared. ``unsearchable`` are the indices of crops that are too small,
    too flat or too transparent for a search.
    """

    def __init__(self, crops: Sequence[Pixels]) -> None:
        self._crops = list(crops)
        anchors = [_find_anchor(index, crop) for index, crop in enumerate(crops)]
        self._anchors = [anchor for anchor in anchors if anchor is not None]
        self.unsearchable = [index for index, anchor in enumerate(anchors) if anchor is None]

    def in_image(self, image: Pixels, name: str = "") -> list[Leak]:
        """Return the crops that occur in an (H, W, 3) uint8 RGB image, each once at most."""
        leaks = []
        for shape in _SHAPES:
            anchors = [anchor for anchor in self._anchors if anchor.shape == shape]
            if anchors and image.shape[0] >= shape[0] and image.shape[1] >= shape[1]:
                leaks += self._with_anchors(anchors, image, name)
        return sorted(leaks, key=lambda leak: leak.crop)

    def _with_anchors(self, anchors: list[_Anchor], image: Pixels, name: str) -> list[Leak]:
        shape = anchors[0].shape
        wanted = np.stack([anchor.cells for anchor in anchors])  # (A, 48)
        rows, columns = image.shape[0] - shape[0] + 1, image.shape[1] - shape[1] + 1
        fits: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
        step = max(1, _PLACES_AT_ONCE // columns)
        for top in range(0, rows, step):
            places = _cells_everywhere(image[top : top + step + shape[0] - 1], shape)
            excess = _excess(places, wanted)
            for hit in np.flatnonzero(excess <= 0).tolist():  # far faster than in two dimensions
                place, index = divmod(hit, len(anchors))
                row, column = divmod(place, columns)
                fits[index].append((float(excess[place, index]), top + row, column))
        leaks = []
        for index, candidates in sorted(fits.items()):
            best = sorted(candidates)[:_PLACES]
            matches = [self._compare(anchors[index], image, name, y, x) for _, y, x in best]
            leaks += sorted(filter(None, matches), key=lambda leak: -leak.correlation)[:1]
        return leaks

    def _compare(
        self, anchor: _Anchor, image: Pixels, name: str, row: int, column: int
    ) -> Leak | None:
        """Compare the whole crop with the places around the place of its anchor."""
        crop = self._crops[anchor.crop]
        height, width = crop.shape[:2]
        top, left = max(0, row - anchor.top - _SLACK), max(0, column - anchor.left - _SLACK)
        region = image[top : top + height + 2 * _SLACK, left : left + width + 2 * _SLACK]
        if region.shape[0] < height or region.shape[1] < width:
            return None
        colours = np.ascontiguousarray(crop[..., :3])
        mask = None
        if crop.shape[2] == 4:
            mask = np.repeat((crop[..., 3:] >= _OPAQUE).astype(np.float32), 3, axis=2)
        scores = cv2.matchTemplate(region, colours, cv2.TM_CCOEFF_NORMED, mask=mask)
        scores = np.where(np.isfinite(scores), scores, -1.0)
        y, x = np.unravel_index(int(scores.argmax()), scores.shape)
        place = region[y : y + height, x : x + width]
        levels = np.abs(place.astype(np.float32) - colours)
        mean = float(levels.mean() if mask is None else (levels * mask).sum() / mask.sum())
        correlation = float(min(scores[y, x], 1.0))
        if correlation < MIN_CORRELATION or mean > MAX_LEVELS:
            return None
        return Leak(anchor.crop, name, int(top + y), int(left + x), correlation)


def _excess(places: _Floats, wanted: _Floats) -> _Floats:
    """Return the squared distances of anchors from places, less the limit, (places, A)."""
    # |p - w|^2 - bound = p . (-2 w) + 1 * |w|^2 + (|p|^2 - bound) * 1, in one product
    bound = wanted.shape[1] * _ANCHOR_LEVELS**2
    norms = np.einsum("ij,ij->i", places, places) - bound
    left = np.column_stack([places, np.ones_like(norms), norms])
    right = np.column_stack([-2 * wanted, (wanted**2).sum(axis=1), np.ones(len(wanted))])
    return np.asarray(left @ right.astype(np.float32).T, dtype=np.float32)


def _cells_everywhere(image: NDArray[np.generic], shape: tuple[int, int]) -> _Floats:
    """Return the cells of an anchor at every place of an (H, W, 3) image, (rows * columns, 48).

    Places run row by row over the top left corners of all windows of the anchor's shape.
    """
    pixels = image.astype(np.float32) - _MID_GREY  # small numbers, for the sake of rounding
    # at each pixel, the mean of the cell that begins there
    means = cv2.boxFilter(pixels, cv2.CV_32F, (_CELL, _CELL), anchor=(0, 0))
    rows, columns = image.shape[0] - shape[0] + 1, image.shape[1] - shape[1] + 1
    corners = product(range(0, shape[0], _CELL), range(0, shape[1], _CELL))
    grid = [means[top : top + rows, left : left + columns] for top, left in corners]
    cells = np.concatenate(grid, axis=2).reshape(rows * columns, -1)
    return np.asarray(cells, dtype=np.float32)


def _find_anchor(index: int, crop: Pixels) -> _Anchor | None:
    """Choose the opaque window of a crop whose mean colours vary most."""
    fitting = [s for s in _SHAPES if s[0] <= crop.shape[0] and s[1] <= crop.shape[1]]
    if not fitting:
        return None
    shape = fitting[0]
    cells = _cells_everywhere(crop[..., :3], shape)  # (places, 48)
    contrast = cells.reshape(len(cells), -1, 3).std(axis=1).mean(axis=1)
    if crop.shape[2] == 4:
        opaque = _cells_everywhere(np.repeat(crop[..., 3:] >= _OPAQUE, 3, axis=2), shape)
        contrast[opaque.min(axis=1) < 1 - _MID_GREY] = 0
    place = int(contrast.argmax())
    if contrast[place] < MIN_CONTRAST:
        return None
    top, left = divmod(place, crop.shape[1] - shape[1] + 1)
    return _Anchor(index, shape, top, left, cells[place])
