"""Obstacles that fill a crop with a repeated thing: leaves, bars, slats, bricks, posters.

Each function draws one crop: ``(generator, height, width) -> (H, W, 3) uint8 RGB``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from fed_plugin.transforms import drawn_surfaces as surface
from fed_plugin.transforms.drawn_surfaces import Pixels

_LEAVES = ((58, 96, 40), (84, 120, 48), (40, 82, 52), (112, 132, 60), (134, 84, 40))
_PETALS = ((226, 74, 110), (240, 214, 90), (236, 236, 240), (168, 96, 190))


def draw_foliage(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a bush: leaves in layers, the nearer the lighter, sometimes in flower."""
    base = surface.pick(rng, _LEAVES)
    image = surface.fill(height, width, surface.shade(base, 24))
    size = int(rng.integers(5, 12))
    layers = 4
    count = min(260, 2 * height * width // (size * size) // layers)
    for layer in range(layers):
        columns, rows = rng.integers(0, width, count), rng.integers(0, height, count)
        turns, lengths = rng.integers(0, 180, count), rng.integers(size // 2 + 1, size + 3, count)
        tones = rng.integers(40 + 22 * layer, 70 + 28 * layer, count)
        for column, row, turn, length, tone in zip(
            columns.tolist(), rows.tolist(), turns.tolist(), lengths.tolist(), tones.tolist(),
            strict=True,
        ):  # fmt: skip
            axes = (length, max(2, length * 2 // 5))
            color = surface.shade(base, tone)
            cv2.ellipse(image, (column, row), axes, turn, 0, 360, color, -1)
    if rng.integers(3) == 0:
        petal = surface.pick(rng, _PETALS)
        for _ in range(int(rng.integers(8, 30))):
            centre = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(image, centre, int(rng.integers(3, 7)), petal, -1, cv2.LINE_AA)
            cv2.circle(image, centre, 2, (230, 190, 60), -1)
    return surface.texture(rng, image, (26, 26), 56)


def draw_fence(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a fence before the street: pickets or iron bars, with rails."""
    image = surface.street(rng, height, width)
    iron = bool(rng.integers(2))
    color = surface.shade(surface.pick(rng, surface.PAINTS if iron else surface.WOODS), 90)
    bar = int(rng.integers(5, 9)) if iron else int(rng.integers(14, 26))
    step = bar + (int(rng.integers(6, 11)) if iron else int(rng.integers(2, 7)))
    for column in range(int(rng.integers(-step, 0)), width, step):
        start, end = max(0, column), min(width, column + bar)
        if end - start < 2:
            continue
        post = surface.fill(height, end - start, surface.shade(color, int(rng.integers(84, 116))))
        post = surface.texture(rng, post, (24, 3), 12 if iron else 54)
        image[:, start:end] = surface.light(post, surface.roundness(end - start, 1, 70, 150))
    for row in (height // 8, height * 3 // 4):
        image[row : row + 10] = surface.shade(color, 92)
        image[row : row + 2] = surface.shade(color, 140)
        image[row + 10 : row + 13] = image[row + 10 : row + 13] // 2
    return image


def draw_bench(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a bench from the front: back slats, seat, legs, the gaps between them dark."""
    image = surface.light(surface.street(rng, height, width), np.full((1, 1), 64))
    wood = surface.pick(rng, surface.WOODS + surface.PAINTS[:2])
    seat, slat = height * 11 // 20, int(rng.integers(10, 16))
    for row in [*range(0, seat - slat, slat + 4), seat, seat + slat + 2]:
        plank = surface.fill(slat, width, surface.shade(wood, int(rng.integers(84, 118))))
        plank = surface.texture(rng, plank, (3, 40), 40)
        gain = surface.slope(slat, 156, 96)[:, None]
        image[row : row + slat] = surface.light(plank, gain)[: height - row]
    iron = surface.shade((70, 72, 76), int(rng.integers(50, 120)))
    for column in (width // 10, width * 9 // 10):
        cv2.line(image, (column, 0), (column, height), iron, 9)
        cv2.line(image, (column - 3, 0), (column - 3, height), surface.shade(iron, 160), 2)
    return image


def draw_wall(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a low wall: brickwork with a coping, weathered."""
    image = surface.brickwork(rng, height, width)
    from_top = int(rng.integers(10, 22))
    stone = surface.fill(from_top, width, surface.pick(rng, surface.STONES))
    image[:from_top] = surface.texture(rng, stone, (4, 6), 26)
    image[from_top : from_top + 4] = image[from_top : from_top + 4] // 2
    return surface.texture(rng, image, (40, 40), 40)


def draw_billboard(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a wide board: a picture beside print, in a frame."""
    ground = surface.pick(rng, surface.PAINTS)
    ink = (232, 232, 226) if sum(ground) < 330 else (36, 36, 42)
    image = surface.light(surface.fill(height, width, ground), surface.slope(width, 142, 112))
    split = int(rng.integers(width // 3, width * 2 // 3))
    scene = surface.street(rng, height, split)
    image[:, :split] = surface.light(scene, np.full((1, 1), 150))
    hill = np.array(
        [(0, height), (0, int(rng.integers(height))), (split // 2, int(rng.integers(height))),
         (split, height)], dtype=np.int32,
    )  # fmt: skip
    cv2.fillPoly(image, [hill], surface.pick(rng, surface.PAINTS + _LEAVES), cv2.LINE_AA)
    sun = int(rng.integers(split)), int(rng.integers(height // 2))
    cv2.circle(image, sun, height // 8, surface.pick(rng, surface.PAINTS), -1, cv2.LINE_AA)
    surface.lettering(rng, image, (height // 8, split + 10, height * 7 // 8, width - 10), ink)
    frame = surface.shade(surface.pick(rng, surface.STONES), int(rng.integers(30, 110)))
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), frame, int(rng.integers(3, 8)))
    return image
