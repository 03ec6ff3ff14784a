"""Obstacles cut from the background beside the people of a training set.

A window at the left or right border of a training image is cut if at most ``MAX_PERSON`` of its
pixels probably show the person and if its grey levels vary by ``MIN_TEXTURE`` at least. On drawn
people (SynthOcc), whose true outlines are known, 2 to 3 % of the cut pixels belong to the person,
and over 10 % in one crop of twenty; 17 % of the pixels of all windows do. A crop shows what the
camera saw there: a wall as well as a bin, and sometimes another person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fed_plugin.datasets.occluder_sets import (
    MIN_SIDE,
    Crop,
    LeftOut,
    Pixels,
    Progress,
    no_progress,
    read_crop,
)
from fed_plugin.datasets.splits import Item

# Pixels of a training image that probably show the person, by colour alone.
#
# A pixel counts as the person if its colour is more common in the middle columns of its own image,
# at its height, than in the outermost columns of images of *other* identities of the same camera.
# Therefore several images of one camera, and of several people, have to agree on the background.

MIN_OTHERS = 2
"""Other identities of a camera that are needed to know its background."""

_BINS, _STEP = 8, 32  # per colour channel; grey levels in a bin
_COLOURS = _BINS**3
_BANDS = 4  # of rows, each with colours of its own
_MIDDLE = (3 / 8, 5 / 8)  # columns
_EDGE = 1 / 16  # columns on either side


def person_pixels(
    images: Sequence[Pixels], pids: Sequence[int]
) -> Iterator[NDArray[np.bool_] | None]:
    """Mark, for each image of ONE camera, the pixels that probably show the person.

    Args:
        images: (H, W, 3) uint8 RGB, of any sizes, each with a person in the middle.
        pids: identity of each image.

    Yields:
        (H, W) bool; None for an image without ``MIN_OTHERS`` other identities to compare with.
    """
    weights = np.array([_BINS * _BINS, _BINS, 1])  # of the number of a pixel's colour bin
    codes = [(image // _STEP).astype(np.int64) @ weights for image in images]  # (H, W) each
    edges = np.array([_edge_counts(code) for code in codes])  # (N, bands, colours)
    owners = np.array(pids)
    everyone = edges.sum(axis=0) if len(edges) else edges
    for code, pid in zip(codes, pids, strict=True):
        own = owners == pid
        if len(set(owners[~own].tolist())) < MIN_OTHERS:
            yield None
        else:
            yield _judge(code, everyone - edges[own].sum(axis=0))


def _edge_counts(code: NDArray[np.int64]) -> NDArray[np.int64]:
    columns = max(1, round(code.shape[1] * _EDGE))
    outer = np.concatenate([code[:, :columns], code[:, -columns:]], axis=1)
    bands = np.array_split(outer, _BANDS)
    return np.array([np.bincount(band.ravel(), minlength=_COLOURS) for band in bands])


def _judge(code: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    height, width = code.shape
    middle = code[:, int(width * _MIDDLE[0]) : max(1, int(width * _MIDDLE[1]))]
    reach = height // (2 * _BANDS)
    person = []
    top = 0
    for index, band in enumerate(np.array_split(code, _BANDS)):
        bottom = top + len(band)
        around = middle[max(0, top - reach) : bottom + reach]
        in_middle = _density(np.bincount(around.ravel(), minlength=_COLOURS))
        at_edge = _density(others[max(0, index - 1) : index + 2].sum(axis=0))
        person.append((in_middle > at_edge)[band])
        top = bottom
    return np.concatenate(person)


def _density(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn counts per colour into shares; each colour gives a part to its neighbours."""
    cube = counts.reshape(_BINS, _BINS, _BINS).astype(np.float64)
    for axis in range(3):
        padded = np.pad(cube, [(int(a == axis),) * 2 for a in range(3)], mode="edge")
        low, mid, high = (np.take(padded, range(i, i + _BINS), axis=axis) for i in range(3))
        cube = (low + 2 * mid + high) / 4
    shares = cube.ravel() + 1e-6  # a colour without a count is rare, not impossible
    return shares / shares.sum()


MAX_PERSON = 0.05
"""Share of a window's pixels that may show the person."""

MIN_TEXTURE = 8.0
"""Lowest standard deviation of a window's grey levels."""

IMAGES_PER_CAMERA = 300
"""More images do not change the colours of the background."""

_WIDE_PER_TALL = 2  # as in the drawn set: crops with h/w > 2 give the OEM no supervision


@dataclass(frozen=True)
class Window:
    """Place of a window in an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def is_tall(self) -> bool:
        """Whether the height is over twice the width."""
        return self.height > 2 * self.width

    def of(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Cut the window out of an image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def mine_crops(
    train: Sequence[Item], count: int, seed: int = 0, progress: Progress = no_progress
) -> tuple[list[Crop], list[LeftOut]]:
    """Cut obstacles from the borders of training images; return the unusable images, too.

    Every third obstacle is tall.

    Args:
        train: (path, pid, camid) of TRAINING images; 300 of each camera are read.
        count: number of crops; the images may hold fewer. No two crops come from one image.
        seed: seed for the choice of images and windows, at least 0.
        progress: called with (images done, images in all).

    Raises:
        ValueError: ``count`` is below 1, or ``seed`` is negative.
    """
    if count < 1 or seed < 0:
        raise ValueError(f"expected count >= 1 and seed >= 0, got {count} and {seed}")
    rng = np.random.default_rng(seed)
    by_camera: dict[int, list[Item]] = defaultdict(list)
    for item in sorted(train, key=lambda item: (Path(item[0]).name, item[0])):
        by_camera[item[2]].append(item)
    cameras = []
    for _, items in sorted(by_camera.items()):
        order = rng.permutation(len(items))[:IMAGES_PER_CAMERA]
        cameras.append([items[index] for index in order])
    total = sum(map(len, cameras))
    left_out: list[LeftOut] = []
    cut: list[list[Crop]] = []
    done = 0
    for items in cameras:
        images = []
        for item in items:
            image = read_crop(Path(item[0]))
            if isinstance(image, LeftOut):
                left_out.append(image)
            else:
                images.append((item, np.ascontiguousarray(image.pixels[..., :3])))
            done += 1
            progress(done, total)
        cut.append(_mine_camera(images, rng, left_out))
    return _take_turns(cut)[:count], left_out


def _mine_camera(
    images: Sequence[tuple[Item, Pixels]], rng: Generator, left_out: list[LeftOut]
) -> list[Crop]:
    crops = []
    masks = person_pixels([pixels for _, pixels in images], [item[1] for item, _ in images])
    for ((path, _, camid), pixels), person in zip(images, masks, strict=True):
        if person is None:
            reason = f"camera {camid} shows fewer than {MIN_OTHERS} other identities"
            left_out.append(LeftOut(Path(path).name, "unfit", reason))
        elif window := _choose_window(pixels, person, rng):
            place = f"rows {window.top}-{window.top + window.height - 1}, "
            place += f"columns {window.left}-{window.left + window.width - 1}"
            origin = f"{Path(path).name}, {place}"
            crops.append(Crop(f"camera{camid}", window.of(pixels).copy(), origin))
    return crops


def _choose_window(pixels: Pixels, person: NDArray[np.bool_], rng: Generator) -> Window | None:
    """Draw a window that shows background; a tall window in a third of all images."""
    grey = pixels.mean(axis=2)
    fit = [
        window
        for window in border_windows(*pixels.shape[:2])
        if window.of(person).mean() <= MAX_PERSON and window.of(grey).std() >= MIN_TEXTURE
    ]
    draws = rng.random(2)  # always two: an image never shifts the draws of the next image
    wants_tall = draws[0] < 1 / (1 + _WIDE_PER_TALL)
    preferred = [window for window in fit if window.is_tall == wants_tall] or fit
    return preferred[int(draws[1] * len(preferred))] if preferred else None


def border_windows(height: int, width: int) -> list[Window]:
    """List the windows at the left and right border of an image that may be cut.

    Tall windows take 3/16 of the columns and all rows or half of them. Wide windows take 5/16 of
    the columns and a quarter of the rows, beside head, arms or feet.
    """
    columns, half = round(width * 3 / 16), height // 2
    rows = [(0, height), (0, half), (height // 4, half), (height - half, half)]
    windows = [Window(top, 0, rows_, columns) for top, rows_ in rows]
    columns = round(width * 5 / 16)
    quarter = min(height // 4, 2 * columns)
    tops = np.linspace(0, height - quarter, 7).round().astype(int).tolist()
    windows += [Window(top, 0, quarter, columns) for top in tops]
    windows = [w for w in windows if min(w.height, w.width) >= MIN_SIDE]
    return windows + [Window(w.top, width - w.width, w.height, w.width) for w in windows]


def _take_turns(cut: Sequence[Sequence[Crop]]) -> list[Crop]:
    """Order crops: every beginning of the list holds all cameras and both kinds."""
    kinds: dict[bool, list[Crop]] = {True: [], False: []}
    for is_tall, crops_of_kind in kinds.items():
        per_camera = [[crop for crop in crops if crop.is_tall == is_tall] for crops in cut]
        for turn in zip_longest(*per_camera):
            crops_of_kind += filter(None, turn)
    ordered: list[Crop] = []
    wides = iter(kinds[False])
    for crop in kinds[True]:
        ordered += [crop, *islice(wides, _WIDE_PER_TALL)]
    return [*ordered, *wides]
