"""Places: a wide picture for every camera; each image shows a window of the picture."""

from __future__ import annotations

from collections.abc import Callable

from numpy.random import Generator
from PIL import Image, ImageDraw

from fed_plugin.synthocc.surface import (
    SCENE_SIZE,
    Pen,
    any_colour,
    ink,
    leaves,
    paving,
    shaded_by,
    soft,
    textured,
)


def corridor(draw: Pen, line: int, rng: Generator) -> None:
    """Paint a corridor with doors and notice boards; ``line`` is the row between wall and floor."""
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


def garage(draw: Pen, line: int, rng: Generator) -> None:
    """Paint an underground garage; ``line`` is the row between wall and floor."""
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
        ends = ((104, 64), (124, 108), (190, 108), (206, 64))
        draw.polygon([(x + a, line - b) for a, b in ends], fill=ink((0.2, 0.24, 0.28)))
        for wheel in (x + 100, x + 176):
            draw.ellipse((wheel, line - 14, wheel + 28, line + 14), fill=(24, 24, 26))
    draw.rectangle((0, line, width, height), fill=ink((0.42, 0.42, 0.43)))
    for x in range(-200, width, 170):
        mark = [(x + 120, line + 14), (x + 128, line + 14), (x + 22, height), (x + 6, height)]
        draw.polygon(mark, fill=ink((0.84, 0.84, 0.8)))


def street(draw: Pen, line: int, rng: Generator) -> None:
    """Paint a brick house with windows and doors; ``line`` is the row between wall and floor."""
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
            low, middle, frame = line - 95, (line - 55) // 2, ink((0.9, 0.88, 0.84))
            draw.rectangle((x - 6, 34, x + 98, low + 10), fill=frame)
            glass = ink((0.28, 0.36, 0.44), float(rng.uniform(0.8, 1.3)))
            draw.rectangle((x, 40, x + 92, low), fill=glass)
            draw.polygon([(x, 40), (x + 40, 40), (x, 100)], fill=ink((0.5, 0.6, 0.68)))
            draw.rectangle((x + 44, 40, x + 48, low), fill=frame)
            draw.rectangle((x, middle - 2, x + 92, middle + 2), fill=frame)
        else:
            draw.rectangle((x, 60, x + 92, line), fill=ink((0.3, 0.28, 0.26)))
            draw.rectangle((x + 6, 66, x + 86, line), fill=ink(any_colour(rng, 0.1, 0.6)))
    paving(draw, line, rng, (0.58, 0.57, 0.56), 64)
    draw.rectangle((0, height - 46, width, height - 38), fill=ink((0.78, 0.77, 0.74)))
    draw.rectangle((0, height - 38, width, height), fill=ink((0.33, 0.33, 0.35)))


def park(draw: Pen, line: int, rng: Generator) -> None:
    """Paint trees, a hedge and a path; ``line`` is the row between wall and floor."""
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
    gravel = [(0, path), (width, path - 16), (width, height), (0, height)]
    draw.polygon(gravel, fill=ink((0.76, 0.69, 0.55)))


def shops(draw: Pen, line: int, rng: Generator) -> None:
    """Paint lit shop windows full of goods; ``line`` is the row between wall and floor."""
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
            strip = [(gx + 30, 70), (gx + 44, 70), (gx + 4, line - 26), (gx - 10, line - 26)]
            draw.polygon(strip, fill=ink((0.84, 0.9, 0.93)))
        x += wide
    draw.rectangle((0, line - 26, width, line), fill=ink((0.2, 0.2, 0.22)))
    paving(draw, line, rng, (0.66, 0.6, 0.56), 52)


def plaza(draw: Pen, line: int, rng: Generator) -> None:
    """Paint a square with high houses and lamps; ``line`` is the row between wall and floor."""
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


_PAINTERS = (street, corridor, park, shops, garage, plaza)
SCENES: dict[str, Callable[[Pen, int, Generator], None]] = {p.__name__: p for p in _PAINTERS}


def draw_scene(name: str, floor: float, rng: Generator) -> Image.Image:
    """Draw the place ``name`` of ``SCENES``, an RGB picture of ``SCENE_SIZE``.

    ``floor`` is the height of the line between wall and floor, as a share of the picture's height.
    """
    picture = Image.new("RGB", SCENE_SIZE, (128, 128, 128))
    line = int(SCENE_SIZE[1] * floor)
    SCENES[name](ImageDraw.Draw(picture), line, rng)
    picture = textured(picture, rng, 0.16)
    dusk = Image.new("L", SCENE_SIZE, 255)
    # A soft shadow lies on the line between wall and floor.
    ImageDraw.Draw(dusk).rectangle((0, line - 10, SCENE_SIZE[0], line + 12), fill=175)
    return soft(shaded_by(picture, soft(dusk, 14)), 1.3)


def window(scene: Image.Image, size: tuple[int, int], rng: Generator) -> Image.Image:
    """Cut a window of ``size`` (width, height) out of a scene, sometimes mirrored."""
    spare = (scene.width - size[0], scene.height - size[1])
    left, top = int(rng.integers(spare[0] + 1)), int(rng.integers(spare[1] // 3, spare[1] + 1))
    cut = scene.crop((left, top, left + size[0], top + size[1]))
    mirrored = rng.random() < 0.5
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cut
