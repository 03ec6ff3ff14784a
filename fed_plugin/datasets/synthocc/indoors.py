"""Places under a roof: corridor and garage."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from fed_plugin.datasets.synthocc.brushes import SCENE_SIZE, any_colour, ink, paving


def corridor(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint a corridor with doors and notice boards; ``line`` is where wall and floor meet."""
    width, _ = SCENE_SIZE
    wall = (0.86, 0.87, 0.83)
    draw.rectangle((0, 0, width, line), fill=ink(wall))
    draw.rectangle((0, line - 150, width, line), fill=ink((0.62, 0.7, 0.68)))
    draw.rectangle((0, line - 156, width, line - 148), fill=ink((0.45, 0.5, 0.5)))
    for x in range(int(rng.integers(20, 120)), width, 260):
        tone = ink(any_colour(rng, 0.3, 0.75))
        draw.rectangle((x - 6, line - 290, x + 96, line), fill=ink((0.4, 0.4, 0.42)))
        draw.rectangle((x, line - 284, x + 90, line), fill=tone)
        draw.rectangle((x + 30, line - 260, x + 60, line - 190), fill=ink((0.78, 0.86, 0.9)))
        draw.ellipse((x + 76, line - 140, x + 85, line - 131), fill=(220, 215, 190))
    for x in range(int(rng.integers(130, 200)), width, 260):
        draw.rectangle((x, line - 270, x + 80, line - 180), fill=ink((0.55, 0.4, 0.26)))
        for _ in range(6):
            px, py = x + int(rng.integers(4, 56)), line - 266 + int(rng.integers(0, 60))
            draw.rectangle((px, py, px + 18, py + 22), fill=ink(any_colour(rng, 0.5, 1.0)))
    paving(draw, line, rng, (0.72, 0.7, 0.64), 40)


def garage(draw: ImageDraw.ImageDraw, line: int, rng: np.random.Generator) -> None:
    """Paint an underground garage; ``line`` is where wall and floor meet."""
    width, height = SCENE_SIZE
    draw.rectangle((0, 0, width, line), fill=ink((0.56, 0.55, 0.53)))
    draw.rectangle((0, line - 100, width, line - 56), fill=ink((0.85, 0.72, 0.2)))
    for y in (28, 52):
        draw.rectangle((0, y, width, y + 12), fill=ink((0.42, 0.42, 0.44)))
        draw.rectangle((0, y, width, y + 3), fill=ink((0.7, 0.7, 0.7)))
    for x in range(int(rng.integers(0, 160)), width, 230):
        for stripe in range(6):
            tone = (0.14, 0.14, 0.14) if stripe % 2 else (0.9, 0.78, 0.2)
            y = line - 20 - stripe * 22
            draw.rectangle((x, y, x + 56, y + 22), fill=ink(tone))
        draw.rectangle((x, 0, x + 56, line - 130), fill=ink((0.7, 0.69, 0.66)))
        draw.rectangle((x + 40, 0, x + 56, line), fill=ink((0.48, 0.47, 0.45)))
        tone = ink(any_colour(rng, 0.1, 0.8))
        draw.rounded_rectangle((x + 84, line - 66, x + 216, line + 6), 16, fill=tone)
        draw.polygon(
            [
                (x + 104, line - 64),
                (x + 124, line - 108),
                (x + 190, line - 108),
                (x + 206, line - 64),
            ],
            fill=ink((0.2, 0.24, 0.28)),
        )
        for wheel in (x + 100, x + 176):
            draw.ellipse((wheel, line - 14, wheel + 28, line + 14), fill=(24, 24, 26))
    draw.rectangle((0, line, width, height), fill=ink((0.42, 0.42, 0.43)))
    for x in range(-200, width, 170):
        draw.polygon(
            [(x + 120, line + 14), (x + 128, line + 14), (x + 22, height), (x + 6, height)],
            fill=ink((0.84, 0.84, 0.8)),
        )
