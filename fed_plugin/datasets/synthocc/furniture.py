"""Occluders of street and house: bins, benches, boards, boxes, fences, pillars, trolleys."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fed_plugin.datasets.synthocc.brushes import any_colour, ink
from fed_plugin.datasets.synthocc.greens import rounded_light, sheet
from fed_plugin.datasets.synthocc.materials import RGB, shaded


def bin_(rng: np.random.Generator) -> Image.Image:
    """Draw a dustbin on wheels."""
    picture, draw = sheet(210, 300)
    paint = _pick(rng, [(0.16, 0.4, 0.2), (0.25, 0.27, 0.3), (0.16, 0.28, 0.5), (0.75, 0.6, 0.12)])
    draw.polygon([(16, 48), (194, 48), (178, 290), (32, 290)], fill=ink(paint))
    draw.rounded_rectangle((6, 20, 204, 56), 14, fill=ink(paint, 1.25))
    draw.rectangle((40, 8, 170, 24), fill=ink(paint, 0.8))
    for x in (62, 105, 148):
        draw.line((x, 70, 105 + (x - 105) * 0.85, 276), fill=ink(paint, 0.75), width=6)
    draw.rectangle((70, 104, 140, 150), fill=(236, 234, 226))
    draw.polygon([(105, 110), (126, 144), (84, 144)], fill=ink(paint))
    for x in (34, 146):
        draw.ellipse((x, 264, x + 30, 298), fill=(28, 28, 30))
    return rounded_light(picture, 0.85, 1.12, 0.6)


def bench(rng: np.random.Generator) -> Image.Image:
    """Draw a park bench from behind."""
    picture, draw = sheet(380, 240)
    wood = _pick(rng, [(0.55, 0.36, 0.2), (0.42, 0.26, 0.15), (0.24, 0.42, 0.28)])
    for x in (44, 316):
        draw.rectangle((x, 6, x + 20, 238), fill=(46, 46, 50))
    for row in range(6):
        y = 12 + row * 25
        draw.rounded_rectangle((4, y, 376, y + 21), 5, fill=ink(wood, 1.12 - 0.08 * row))
        draw.line((8, y + 4, 372, y + 4), fill=ink(wood, 1.4 - 0.08 * row), width=2)
    draw.rectangle((10, 168, 370, 190), fill=ink(wood, 0.55))
    return picture


def board(rng: np.random.Generator) -> Image.Image:
    """Draw an advertising board or a road sign's panel."""
    width, height = int(rng.integers(190, 300)), int(rng.integers(230, 340))
    picture, draw = sheet(width, height + 60)
    paint, letters = any_colour(rng, 0.1, 0.95), any_colour(rng, 0.0, 1.0)
    for x in (24, width - 36):
        draw.rectangle((x, height - 20, x + 12, height + 60), fill=(96, 96, 100))
    draw.rectangle((0, 0, width, height), fill=(212, 212, 208))
    draw.rectangle((9, 9, width - 9, height - 9), fill=ink(paint))
    _advert(draw, rng, (20, 20, width - 20, height - 20), letters)
    return picture


def _advert(
    draw: ImageDraw.ImageDraw,
    rng: np.random.Generator,
    box: tuple[int, int, int, int],
    letters: RGB,
) -> None:
    left, top, right, bottom = box
    tall = (bottom - top) // 3
    shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
    middle, half = (left + right) // 2, int((right - left) * rng.uniform(0.22, 0.42))
    half = min(half, tall // 2 + 12)
    shape((middle - half, top, middle + half, top + 2 * half), fill=ink(any_colour(rng, 0.2, 1)))
    y = top + 2 * half + 16
    while y + 12 < bottom:
        reach = left + int((right - left) * rng.uniform(0.5, 1.0))
        x = left
        while x < reach:
            word = int(rng.integers(10, 34))
            draw.rectangle((x, y, min(x + word, reach), y + 9), fill=ink(letters))
            x += word + 8
        y += 22


def boxes(rng: np.random.Generator) -> Image.Image:
    """Draw a stack of cardboard boxes."""
    picture, draw = sheet(300, 380)
    y = 380
    while y > 120:
        tall, wide = int(rng.integers(80, 128)), int(rng.integers(170, 280))
        left = int(rng.integers(0, 300 - wide))
        card = shaded((0.72, 0.54, 0.34), float(rng.uniform(0.8, 1.15)))
        draw.rectangle((left, y - tall, left + wide, y), fill=ink(card))
        draw.polygon(
            [
                (left + wide * 0.78, y - tall),
                (left + wide, y - tall),
                (left + wide, y),
                (left + wide * 0.78, y),
            ],
            fill=ink(card, 0.75),
        )
        draw.rectangle((left, y - tall, left + wide, y - tall + 5), fill=ink(card, 1.2))
        draw.rectangle((left + wide * 0.33, y - tall, left + wide * 0.42, y), fill=ink(card, 1.15))
        draw.rectangle((left + 14, y - 44, left + 54, y - 20), fill=(238, 236, 226))
        draw.line((left, y - 1, left + wide, y - 1), fill=ink(card, 0.5), width=3)
        y -= tall
    return picture


def fence(rng: np.random.Generator) -> Image.Image:
    """Draw a fence of upright planks with narrow gaps."""
    picture, draw = sheet(420, 360)
    wood = _pick(rng, [(0.6, 0.42, 0.26), (0.86, 0.85, 0.8), (0.35, 0.38, 0.4), (0.28, 0.44, 0.32)])
    gap = int(rng.integers(6, 20))
    for y in (90, 250):
        draw.rectangle((0, y, 420, y + 20), fill=ink(wood, 0.6))
    x = -int(rng.integers(0, 30))
    while x < 420:
        tone = float(rng.uniform(0.88, 1.08))
        draw.polygon(
            [(x, 26), (x + 21, 2), (x + 42, 26), (x + 42, 360), (x, 360)], fill=ink(wood, tone)
        )
        draw.line((x + 40, 26, x + 40, 360), fill=ink(wood, tone * 0.7), width=4)
        x += 42 + gap
    return picture


def pillar(rng: np.random.Generator) -> Image.Image:
    """Draw a pillar taller than the picture, sometimes with posters or tiles."""
    width = int(rng.integers(100, 190))
    picture, draw = sheet(width, 460)
    stone = shaded((0.72, 0.7, 0.66), float(rng.uniform(0.6, 1.2)))
    draw.rectangle((0, 0, width, 460), fill=ink(stone))
    style = int(rng.integers(3))
    if style == 0:
        for y in range(-10, 460, 46):
            draw.line((0, y, width, y), fill=ink(stone, 0.75), width=3)
    elif style == 1:
        for y in range(20, 420, 150):
            box = (int(width * 0.16), y, int(width * 0.8), y + 120)
            draw.rectangle(box, fill=ink(any_colour(rng, 0.3, 1)))
            inner = (box[0] + 8, y + 8, box[2] - 8, y + 112)
            _advert(draw, rng, inner, any_colour(rng, 0, 0.4))
    else:
        draw.rectangle((0, 220, width, 300), fill=ink((0.85, 0.7, 0.15)))
    return rounded_light(picture, 0.7, 1.15, 0.55)


def trolley(rng: np.random.Generator) -> Image.Image:
    """Draw a luggage trolley loaded with suitcases."""
    picture, draw = sheet(300, 340)
    draw.line((14, 20, 36, 300), fill=(150, 152, 158), width=9)
    draw.line((4, 20, 60, 20), fill=(60, 60, 64), width=13)
    y = 292
    while y > 70:
        tall, wide = int(rng.integers(66, 104)), int(rng.integers(200, 252))
        paint = any_colour(rng, 0.1, 0.75)
        box = (40, y - tall, 40 + wide, y - 2)
        draw.rounded_rectangle(box, 14, fill=ink(paint))
        draw.rounded_rectangle(
            (48, y - tall + 4, 40 + wide - 8, y - tall + 16), 6, fill=ink(paint, 1.3)
        )
        for x in range(70, 30 + wide, 40):
            draw.line((x, y - tall + 20, x, y - 10), fill=ink(paint, 0.75), width=4)
        draw.rectangle(
            (40 + wide // 2 - 18, y - tall - 4, 40 + wide // 2 + 18, y - tall + 3),
            fill=(50, 50, 54),
        )
        y -= tall
    draw.rectangle((30, 292, 296, 304), fill=(150, 152, 158))
    for x in (46, 252):
        draw.ellipse((x, 300, x + 36, 336), fill=(28, 28, 30))
        draw.ellipse((x + 11, 311, x + 25, 325), fill=(160, 160, 164))
    return picture


def barrier(rng: np.random.Generator) -> Image.Image:
    """Draw a builders' barrier with slanted red and white stripes."""
    picture, draw = sheet(400, 250)
    warm = _pick(rng, [(0.82, 0.16, 0.14), (0.9, 0.5, 0.1), (0.15, 0.3, 0.6)])
    for x in (50, 330):
        draw.rectangle((x, 20, x + 16, 250), fill=(120, 120, 124))
    for y in (10, 96, 178):
        draw.rectangle((0, y, 400, y + 58), fill=(240, 238, 232))
        for x in range(-60, 400, 76):
            draw.polygon([(x + 30, y), (x + 68, y), (x + 38, y + 58), (x, y + 58)], fill=ink(warm))
        draw.rectangle((0, y + 50, 400, y + 58), fill=(170, 168, 164))
    return picture


def _pick(rng: np.random.Generator, colours: list[RGB]) -> RGB:
    return shaded(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.85, 1.15)))
