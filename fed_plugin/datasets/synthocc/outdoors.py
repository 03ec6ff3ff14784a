"""Places under the sky: street, park, shops, plaza."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from fed_plugin.datasets.synthocc.brushes import SCENE_SIZE, any_colour, ink, leaves, paving


def street(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint a brick house with windows and doors; ``line`` is where wall and floor meet."""
    width, height = SCENE_SIZE
    brick = any_colour(rng, 0.42, 0.6)
    brick = (brick[0] + 0.14, brick[1] * 0.8, brick[2] * 0.7)
    draw.rectangle((0, 0, width, line), fill=ink((0.66, 0.62, 0.58)))
    for row, y in enumerate(range(0, line, 13)):
        for x in range(-30 + 17 * (row % 2), width, 34):
            tone = ink(brick, float(rng.uniform(0.82, 1.12)))
            draw.rectangle((x, y, x + 32, y + 11), fill=tone)
    for x in range(int(rng.integers(0, 60)), width, int(rng.integers(140, 175))):
        if rng.random() < 0.6:
            _window(draw, (x, 40, x + 92, line - 95), rng, ink((0.9, 0.88, 0.84)))
        else:
            draw.rectangle((x, 60, x + 92, line), fill=ink((0.3, 0.28, 0.26)))
            draw.rectangle((x + 6, 66, x + 86, line), fill=ink(any_colour(rng, 0.1, 0.6)))
    paving(draw, line, rng, (0.58, 0.57, 0.56), 64)
    draw.rectangle((0, height - 46, width, height - 38), fill=ink((0.78, 0.77, 0.74)))
    draw.rectangle((0, height - 38, width, height), fill=ink((0.33, 0.33, 0.35)))


def park(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint trees, a hedge and a path; ``line`` is where wall and floor meet."""
    width, height = SCENE_SIZE
    for y in range(0, line, 4):
        share = y / line
        draw.rectangle((0, y, width, y + 4), fill=ink((0.62 + 0.2 * share, 0.78, 0.92)))
    for x in range(-60, width, 60):
        top = int(rng.integers(10, 150))
        green = (float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.42, 0.6)), 0.2)
        trunk = x + 55
        draw.rectangle((trunk, top + 80, trunk + 14, line), fill=ink((0.35, 0.26, 0.18)))
        leaves(draw, rng, (x - 20, top, x + 130, top + 180), green, 150, 13)
    for x in range(-40, width, 70):
        leaves(draw, rng, (x, line - 66, x + 130, line + 26), (0.25, 0.46, 0.2), 110, 9)
    draw.rectangle((0, line, width, height), fill=ink((0.42, 0.58, 0.28)))
    for _ in range(900):
        x, y = int(rng.integers(0, width)), int(rng.integers(line, height))
        tone = ink((0.42, 0.58, 0.28), float(rng.uniform(0.75, 1.2)))
        draw.line((x, y, x + int(rng.integers(-2, 3)), y - 6), fill=tone)
    path = line + int((height - line) * 0.4)
    draw.polygon(
        [(0, path), (width, path - 16), (width, height), (0, height)], fill=ink((0.76, 0.69, 0.55))
    )


def shops(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint lit shop windows full of goods; ``line`` is where wall and floor meet."""
    width, _ = SCENE_SIZE
    draw.rectangle((0, 0, width, line), fill=ink((0.28, 0.28, 0.31)))
    x = -int(rng.integers(0, 120))
    while x < width:
        wide = int(rng.integers(190, 270))
        sign = any_colour(rng, 0.1, 0.9)
        draw.rectangle((x, 6, x + wide - 8, 58), fill=ink(sign))
        for letter in range(x + 18, x + wide - 40, 22):
            tall = int(rng.integers(20, 36))
            draw.rectangle((letter, 46 - tall, letter + 13, 46), fill=ink((0.96, 0.94, 0.86)))
        draw.rectangle((x + 6, 70, x + wide - 14, line - 26), fill=ink((0.72, 0.8, 0.84)))
        for shelf in range(120, line - 40, 62):
            draw.rectangle((x + 6, shelf, x + wide - 14, shelf + 4), fill=ink((0.5, 0.45, 0.4)))
            for item in range(x + 12, x + wide - 40, 24):
                tall = int(rng.integers(14, 48))
                box = (item, shelf - tall, item + int(rng.integers(9, 21)), shelf)
                draw.rectangle(box, fill=ink(any_colour(rng, 0.15, 0.95)))
        for glint in (0.15, 0.6):
            gx = x + int(wide * glint)
            draw.polygon(
                [(gx + 30, 70), (gx + 44, 70), (gx + 4, line - 26), (gx - 10, line - 26)],
                fill=ink((0.84, 0.9, 0.93)),
            )
        x += wide
    draw.rectangle((0, line - 26, width, line), fill=ink((0.2, 0.2, 0.22)))
    paving(draw, line, rng, (0.66, 0.6, 0.56), 52)


def plaza(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint a square with high houses and lamps; ``line`` is where wall and floor meet."""
    width, height = SCENE_SIZE
    draw.rectangle((0, 0, width, line), fill=ink((0.82, 0.86, 0.9)))
    x = -30
    while x < width:
        wide, top = int(rng.integers(110, 190)), int(rng.integers(0, 120))
        tone = any_colour(rng, 0.5, 0.75)
        draw.rectangle((x, top, x + wide, line), fill=ink(tone))
        for wy in range(top + 16, line - 40, 44):
            for wx in range(x + 12, x + wide - 22, 34):
                glass = ink((0.3, 0.38, 0.46), float(rng.uniform(0.7, 1.5)))
                draw.rectangle((wx, wy, wx + 18, wy + 26), fill=glass)
        x += wide
    for x in range(int(rng.integers(0, 200)), width, 300):
        draw.rectangle((x, 40, x + 8, line + 8), fill=ink((0.2, 0.22, 0.24)))
        draw.ellipse((x - 12, 24, x + 20, 52), fill=ink((0.96, 0.95, 0.86)))
    for step in range(3):
        y = line - 20 + step * 10
        draw.rectangle((0, y, width, y + 10), fill=ink((0.7, 0.68, 0.66), 1 - 0.12 * (step % 2)))
    paving(draw, line + 8, rng, (0.75, 0.73, 0.7), 90)
    draw.line((0, height - 6, width, height - 6), fill=ink((0.6, 0.6, 0.6)), width=2)


def _window(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    rng: np.random.Generator,
    frame: tuple[int, int, int],
) -> None:
    left, top, right, bottom = box
    draw.rectangle((left - 6, top - 6, right + 6, bottom + 10), fill=frame)
    draw.rectangle(box, fill=ink((0.28, 0.36, 0.44), float(rng.uniform(0.8, 1.3))))
    draw.polygon([(left, top), (left + 40, top), (left, top + 60)], fill=ink((0.5, 0.6, 0.68)))
    draw.rectangle(((left + right) // 2 - 2, top, (left + right) // 2 + 2, bottom), fill=frame)
    draw.rectangle((left, (top + bottom) // 2 - 2, right, (top + bottom) // 2 + 2), fill=frame)
