"""Obstacles cut from the background beside the people of a training set.

A window at the left or right border of a training image is cut where at most ``MAX_PERSON`` of its
pixels are likely the person's (:mod:`.background` says how that is judged) and where its grey
levels vary by ``MIN_TEXTURE`` at least. On drawn people (SynthOcc), whose true outlines are known,
2 to 3 % of the cut pixels belong to the person, and over 10 % in one crop of twenty; 17 % of the
pixels of all windows do. What is cut is whatever the camera saw there: a wall as well as a bin, and
sometimes somebody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fed_plugin.datasets.layouts import Item
from fed_plugin.datasets.occluder_sets.background import MIN_OTHERS, person_pixels
from fed_plugin.datasets.occluder_sets.crops import (
    MIN_SIDE,
    Crop,
    LeftOut,
    Pixels,
    Progress,
    read_crop,
)

MAX_PERSON = 0.05
"""Share of a window's pixels that may be likely the person's."""

MIN_TEXTURE = 8.0
"""Standard deviation of a window's grey levels, at least."""

IMAGES_PER_CAMERA = 300
"""More neither change a background's colours nor are needed for a few hundred crops."""

_WIDE_PER_TALL = 2  # as in the drawn set: crops with h/w > 2 give the OEM no supervision


@dataclass(frozen=True)
class Window:
    """Place a window in an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def is_tall(self) -> bool:
        """Whether its height is over twice its width."""
        return self.height > 2 * self.width

    def of(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Cut it out."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def mine_crops(
    train: Sequence[Item], count: int, seed: int = 0, progress: Progress | None = None
) -> tuple[list[Crop], list[LeftOut]]:
    """Cut obstacles from the borders of training images; every third is tall.

    Args:
        train: (path, pid, camid) of TRAINING images; of each camera 300 are looked at.
        count: crops wanted; fewer where the images do not hold as many. No two come from the
            same image.
        seed: chooses among images and windows, at least 0.
        progress: called with (images done, images in all).

    Returns:
        The crops, and the images that could not be used.

    Raises:
        ValueError: a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise ValueError(f"expected count >= 1 and seed >= 0, got {count} and {seed}")
    rng = np.random.default_rng(seed)
    cameras = _sample_by_camera(train, rng)
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
            if progress is not None:
                progress(done, total)
        crops, unused = _mine_camera(images, rng)
        cut.append(crops)
        left_out += unused
    return _take_turns(cut)[:count], left_out


def _sample_by_camera(train: Sequence[Item], rng: Generator) -> list[list[Item]]:
    """Draw the images that are looked at, in random order, a list per camera."""
    by_camera: dict[int, list[Item]] = defaultdict(list)
    for item in sorted(train, key=lambda item: (Path(item[0]).name, item[0])):
        by_camera[item[2]].append(item)
    return [
        [items[index] for index in rng.permutation(len(items))[:IMAGES_PER_CAMERA]]
        for _, items in sorted(by_camera.items())
    ]


def _mine_camera(
    images: Sequence[tuple[Item, Pixels]], rng: Generator
) -> tuple[list[Crop], list[LeftOut]]:
    """Cut at most one window from every image of a camera."""
    crops: list[Crop] = []
    left_out: list[LeftOut] = []
    masks = person_pixels([pixels for _, pixels in images], [item[1] for item, _ in images])
    for ((path, _, camid), pixels), person in zip(images, masks, strict=True):
        if person is None:
            reason = f"camera {camid} shows fewer than {MIN_OTHERS} other identities"
            left_out.append(LeftOut(Path(path).name, "unfit", reason))
            continue
        window = _choose_window(pixels, person, rng)
        if window is not None:
            name = f"camera{camid}"
            place = f"rows {window.top}-{window.top + window.height - 1}, "
            place += f"columns {window.left}-{window.left + window.width - 1}"
            crops.append(Crop(name, window.of(pixels).copy(), f"{Path(path).name}, {place}"))
    return crops, left_out


def _choose_window(pixels: Pixels, person: NDArray[np.bool_], rng: Generator) -> Window | None:
    """Draw one of the windows that hold background; a tall one in a third of all images."""
    grey = pixels.mean(axis=2)
    fit = [
        window
        for window in border_windows(*pixels.shape[:2])
        if window.of(person).mean() <= MAX_PERSON and window.of(grey).std() >= MIN_TEXTURE
    ]
    draws = rng.random(2)  # always two, so that an image never shifts the next one's draws
    wants_tall = draws[0] < 1 / (1 + _WIDE_PER_TALL)
    preferred = [window for window in fit if window.is_tall == wants_tall] or fit
    return preferred[int(draws[1] * len(preferred))] if preferred else None


def border_windows(height: int, width: int) -> list[Window]:
    """List the windows at the left and right border of an image that may be cut.

    Tall ones take 3/16 of the columns, over the full height or half of it; wide ones 5/16 of the
    columns and a quarter of the rows, beside head, arms or feet.
    """
    columns = round(width * 3 / 16)
    half, quarter = height // 2, height // 4
    rows = [(0, height), (0, half), (height // 4, half), (height - half, half)]
    windows = [Window(top, 0, rows_, columns) for top, rows_ in rows]
    columns = round(width * 5 / 16)
    quarter = min(quarter, 2 * columns)
    tops = np.linspace(0, height - quarter, 7).round().astype(int).tolist()
    windows += [Window(top, 0, quarter, columns) for top in tops]
    windows = [w for w in windows if min(w.height, w.width) >= MIN_SIDE]
    return windows + [Window(w.top, width - w.width, w.height, w.width) for w in windows]


def _take_turns(cut: Sequence[Sequence[Crop]]) -> list[Crop]:
    """Order crops so that every beginning of the list holds all cameras and both kinds."""
    tall, wide = (
        [crop for turn in zip_longest(*kinds) for crop in turn if crop is not None]
        for kinds in (
            [[crop for crop in crops if crop.is_tall == is_tall] for crops in cut]
            for is_tall in (True, False)
        )
    )
    ordered: list[Crop] = []
    wides = iter(wide)
    for crop in tall:
        ordered += [crop, *islice(wides, _WIDE_PER_TALL)]
    return [*ordered, *wides]
