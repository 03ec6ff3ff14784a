"""Obstacles more than twice as high as wide: poles, trunks, banners, pillars.

Each function draws one crop: ``(generator, height, width) -> (H, W, 3) uint8 RGB``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from fed_plugin.transforms import drawn_surfaces as surface
from fed_plugin.transforms.drawn_surfaces import Pixels


def _stand_before_street(rng: Generator, thing: Pixels, width: int) -> Pixels:
    """Put an upright thing, narrower than the crop, before a blurred street."""
    image = surface.street(rng, thing.shape[0], width)
    left = int(rng.integers(0, width - thing.shape[1] + 1))
    right = left + thing.shape[1]
    image[:, left:right] = thing
    for edge in (left - 1, right):  # contact shadow
        if 0 <= edge < width:
            image[:, edge] = image[:, edge] // 2
    return image


def draw_pole(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a metal pole, plain, ringed as a barrier, or with stickers and a bracket."""
    across = int(rng.integers(width * 5 // 10, width * 9 // 10))
    metal = surface.fill(height, across, surface.pick(rng, surface.STONES + surface.PAINTS))
    kind = int(rng.integers(3))
    if kind == 1:
        stripe, step = surface.pick(rng, surface.PAINTS), int(rng.integers(22, 48))
        for top in range(int(rng.integers(step)), height, 2 * step):
            metal[top : top + step] = stripe
    metal = surface.texture(rng, metal, (24, 3), 18)
    if kind == 2:
        for _ in range(int(rng.integers(2, 6))):
            top, left = int(rng.integers(height - 24)), int(rng.integers(across // 2))
            size = int(rng.integers(10, 28)), int(rng.integers(10, across))
            color = surface.pick(rng, surface.PAINTS)
            cv2.rectangle(metal, (left, top), (left + size[1], top + size[0]), color, -1)
            ink = surface.shade(color, 45)
            surface.lettering(rng, metal, (top + 3, left + 3, top + size[0], across - 3), ink)
    metal = surface.light(metal, surface.roundness(across, int(rng.integers(across)), 40, 164))
    for _ in range(int(rng.integers(0, 4))):  # collars and weld seams
        row, thick = int(rng.integers(height)), int(rng.integers(2, 7))
        metal[row : row + thick] = metal[row : row + thick] // 2 + 20
        metal[max(0, row - 2) : row] = np.minimum(metal[max(0, row - 2) : row], 215) + 40
    return _stand_before_street(rng, metal, width)


def draw_trunk(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a tree trunk: furrowed bark, moss, a knot."""
    across = int(rng.integers(width * 6 // 10, width + 1))
    bark = surface.fill(height, across, surface.pick(rng, surface.WOODS))
    bark = surface.texture(rng, bark, (40, 12), 50)
    bark = surface.texture(rng, bark, (18, 3), 80)
    furrow = surface.shade(surface.pick(rng, surface.WOODS), 35)
    for _ in range(int(rng.integers(26, 52))):
        row, column = int(rng.integers(-20, height)), int(rng.integers(across))
        for _ in range(int(rng.integers(2, 6))):
            below, beside = row + int(rng.integers(6, 20)), column + int(rng.integers(-3, 4))
            cv2.line(bark, (column, row), (beside, below), furrow, 1, cv2.LINE_AA)
            row, column = below, beside
    for _ in range(int(rng.integers(0, 3))):
        centre = int(rng.integers(across)), int(rng.integers(height))
        axes = int(rng.integers(4, 10)), int(rng.integers(8, 18))
        cv2.ellipse(bark, centre, axes, 0, 0, 360, surface.shade(furrow, 70), -1)
        cv2.ellipse(bark, centre, axes, 0, 0, 360, surface.shade(furrow, 190), 2)
    if rng.integers(2):
        moss = surface.noise(rng, height, across, (14, 8)) > int(rng.integers(150, 220))
        bark[moss] = bark[moss] // 2 + np.array((40, 56, 20), dtype=np.uint8)
    bark = surface.light(bark, surface.roundness(across, int(rng.integers(across)), 48, 150))
    return _stand_before_street(rng, bark, width)


def draw_banner(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a narrow board or roll-up banner: a headed panel with a picture and print."""
    ground = surface.pick(rng, surface.PAINTS)
    dark = sum(ground) < 330
    ink = surface.shade((235, 235, 230) if dark else (40, 40, 46), int(rng.integers(70, 108)))
    image = surface.light(
        surface.fill(height, width, ground), surface.slope(height, 140, 108)[:, None]
    )
    accent = surface.pick(rng, surface.PAINTS)
    head = int(rng.integers(height // 8, height // 4))
    cv2.rectangle(image, (0, 0), (width, head), accent, -1)
    surface.lettering(rng, image, (head // 3, width // 8, head, width * 7 // 8), ink)
    middle = int(rng.integers(height * 2 // 5, height // 2))
    radius = int(rng.integers(width // 5, width * 2 // 5))
    shape = int(rng.integers(3))
    if shape == 0:
        cv2.circle(image, (width // 2, middle), radius, accent, -1, cv2.LINE_AA)
        cv2.circle(image, (width // 2, middle), radius // 2, ink, -1, cv2.LINE_AA)
    elif shape == 1:
        corners = [(width // 2 - radius, middle - radius), (width // 2 + radius, middle + radius)]
        cv2.rectangle(image, corners[0], corners[1], ink, -1)
        cv2.rectangle(image, corners[0], corners[1], accent, 4)
    else:
        points = rng.integers(0, 2 * radius, (5, 2)) + (width // 2 - radius, middle - radius)
        cv2.fillPoly(image, [cv2.convexHull(points.astype(np.int32))], accent, cv2.LINE_AA)
    surface.lettering(
        rng, image, (middle + radius + 8, width // 8, height * 9 // 10, width * 7 // 8), ink
    )
    frame = surface.shade(surface.pick(rng, surface.STONES), int(rng.integers(40, 120)))
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), frame, int(rng.integers(2, 7)))
    return surface.light(image, surface.slope(width, int(rng.integers(96, 150)), 120))


def draw_pillar(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a pillar or the end of a wall: concrete with joints, or brickwork."""
    across = int(rng.integers(width * 7 // 10, width + 1))
    if rng.integers(2):
        wall = surface.brickwork(rng, height, across)
    else:
        wall = surface.fill(height, across, surface.pick(rng, surface.STONES))
        wall = surface.texture(rng, wall, (30, 20), 34)
        wall = surface.texture(rng, wall, (3, 3), 22)
        step = int(rng.integers(40, 90))
        for row in range(int(rng.integers(step)), height, step):
            wall[row : row + 2] = wall[row : row + 2] // 2
    face = int(rng.integers(across // 4, across * 3 // 4))
    gain = np.full(across, int(rng.integers(120, 146)))
    gain[face:] = int(rng.integers(62, 100))
    return _stand_before_street(rng, surface.light(wall, gain), width)
