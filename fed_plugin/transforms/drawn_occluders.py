"""The built-in occluders: obstacles drawn by this program, so that nothing has to be downloaded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import Generator

from fed_plugin.transforms.drawn_street_furniture import (
    draw_bench,
    draw_billboard,
    draw_fence,
    draw_foliage,
    draw_wall,
)
from fed_plugin.transforms.drawn_surfaces import Pixels, photograph
from fed_plugin.transforms.drawn_tall import draw_banner, draw_pillar, draw_pole, draw_trunk
from fed_plugin.transforms.drawn_wide import draw_bin, draw_box, draw_car, draw_umbrella
from fed_plugin.transforms.occluders import OccluderSet

_Draw = Callable[[Generator, int, int], Pixels]
_TALL: tuple[tuple[str, _Draw], ...] = (
    ("pole", draw_pole),
    ("trunk", draw_trunk),
    ("banner", draw_banner),
    ("pillar", draw_pillar),
)
_WIDE: tuple[tuple[str, _Draw], ...] = (
    ("car", draw_car),
    ("foliage", draw_foliage),
    ("box", draw_box),
    ("umbrella", draw_umbrella),
    ("board", draw_billboard),
    ("bin", draw_bin),
    ("fence", draw_fence),
    ("bench", draw_bench),
    ("wall", draw_wall),
)


class DrawnOccluderSet(OccluderSet):
    """A set that was drawn here; it pickles as its count and seed, some tens of bytes."""

    def __init__(self, images: list[Pixels], names: list[str], count: int, seed: int) -> None:
        super().__init__(images, names)
        self._recipe = (count, seed)

    def __reduce__(self) -> tuple[Any, ...]:
        return drawn_occluders, self._recipe


def drawn_occluders(count: int = 200, seed: int = 0) -> OccluderSet:
    """Draw obstacles: poles, trunks, banners, pillars, cars, foliage, boxes, umbrellas and more.

    Every third crop has height / width > 2. All are opaque rectangles full of content, no two are
    equal, and the same seed gives the same bits; a smaller set is the beginning of a larger one.
    Drawn once per process and arguments.

    Args:
        count: number of crops, at least 1.
        seed: chooses the set, at least 0.

    Raises:
        ValueError: a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise ValueError(f"expected count >= 1 and seed >= 0, got {count} and {seed}")
    return _draw_set(count, seed)


@functools.cache
def _draw_set(count: int, seed: int) -> DrawnOccluderSet:
    images: list[Pixels] = []
    names: list[str] = []
    seen: set[bytes] = set()
    for index in range(count):
        attempt = 0
        name, image = _draw_one(index, seed, attempt)
        while image.tobytes() in seen:
            attempt += 1
            name, image = _draw_one(index, seed, attempt)
        seen.add(image.tobytes())
        images.append(image)
        names.append(f"{name}-{index:04d}")
    return DrawnOccluderSet(images, names, count, seed)


def _draw_one(index: int, seed: int, attempt: int) -> tuple[str, Pixels]:
    rng = np.random.default_rng((seed, index, attempt))
    if index % 3 == 0:
        name, draw = _TALL[index // 3 % len(_TALL)]
        height = int(rng.integers(200, 257))
        width = int(rng.integers(height * 25 // 100, height * 42 // 100))
    else:
        name, draw = _WIDE[(index - index // 3 - 1) % len(_WIDE)]
        height, width = int(rng.integers(92, 141)), int(rng.integers(120, 177))
    return name, photograph(rng, draw(rng, height, width))
