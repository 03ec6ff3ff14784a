"""Occluders that grow or move: bushes, trees, branches, cars, vans, umbrellas."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from fed_plugin.datasets.synthocc.brushes import any_colour, ink, leaves
from fed_plugin.datasets.synthocc.materials import RGB, shaded

CLEAR = (0, 0, 0, 0)


def sheet(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty RGBA picture and its pen."""
    picture = Image.new("RGBA", (width, height), CLEAR)
    return picture, ImageDraw.Draw(picture)


def rounded_light(picture: Image.Image, left: float, middle: float, right: float) -> Image.Image:
    """Return the picture lit like a cylinder: brightness at its left, middle and right."""
    x = np.linspace(0, 1, picture.width)
    tone = np.interp(x, [0, 0.35, 1], [left, middle, right])[None, :, None]
    data = np.asarray(picture).astype(np.float32)
    data[..., :3] = np.clip(data[..., :3] * tone, 0, 255)
    return Image.fromarray(data.astype(np.uint8))


def bush(rng: np.random.Generator) -> Image.Image:
    """Draw a bush, with flowers now and then."""
    width, height = int(rng.integers(250, 340)), int(rng.integers(250, 330))
    picture, draw = sheet(width, height)
    green = (float(rng.uniform(0.16, 0.4)), float(rng.uniform(0.38, 0.58)), 0.18)
    for column in np.linspace(0.0, 1.0, 7):
        side = float(rng.uniform(0.34, 0.44)) * width
        x = column * (width - side)
        top = (float(rng.uniform(0.0, 0.12)) + 1.6 * (column - 0.5) ** 2) * height
        draw.ellipse((x + 10, top + 14, x + side - 10, height + 60), fill=ink(green, 0.5))
        for y in np.linspace(height - side * 0.6, top, 4):
            tone = shaded(green, 0.8 + 0.35 * (1 - y / height))
            leaves(draw, rng, (x, y, x + side, y + side), tone, 62, 10)
    if rng.random() < 0.4:
        petal = ink(any_colour(rng, 0.5, 1.0))
        for _ in range(26):
            x, y = rng.uniform(20, width - 20), rng.uniform(30, height)
            draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=petal)
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(250, 220, 90))
    return picture


def hedge(rng: np.random.Generator) -> Image.Image:
    """Draw a clipped hedge as wide as the picture."""
    picture, draw = sheet(420, 330)
    green = (float(rng.uniform(0.14, 0.26)), float(rng.uniform(0.34, 0.48)), 0.16)
    draw.rectangle((0, 16, 420, 330), fill=ink(green, 0.55))
    for y in range(8, 330, 30):
        for x in range(-20, 420, 36):
            tone = shaded(green, 1.25 - 0.5 * y / 330)
            leaves(draw, rng, (x, y - 8, x + 60, y + 44), tone, 22, 9)
    return picture


def branch(rng: np.random.Generator) -> Image.Image:
    """Draw the low crown of a tree that hangs into the picture from above."""
    width, height = 400, int(rng.integers(260, 330))
    picture, draw = sheet(width, height)
    green = (float(rng.uniform(0.2, 0.6)), float(rng.uniform(0.4, 0.55)), 0.16)
    draw.rectangle((0, 0, width, height * 0.45), fill=ink(green, 0.5))
    for x in range(-20, width, 50):
        hang = float(rng.uniform(0.5, 1.0)) * height
        draw.line((x + 40, 0, x + 50, hang - 30), fill=ink((0.3, 0.22, 0.15)), width=5)
        for part in (0.3, 0.62, 0.95):
            y = hang * part - 90
            leaves(draw, rng, (x - 10, y, x + 100, y + 90), green, 48, 11)
    return picture


def tree(rng: np.random.Generator) -> Image.Image:
    """Draw a trunk taller than the picture."""
    width = int(rng.integers(90, 170))
    picture, draw = sheet(width, 460)
    bark = any_colour(rng, 0.25, 0.4)
    bark = (bark[0] + 0.08, bark[1], bark[2] * 0.7)
    lean = rng.uniform(-14, 14, 6)
    edge = [(12 + lean[i], i * 92) for i in range(6)]
    other = [(width - 12 + lean[i], i * 92) for i in range(6)]
    draw.polygon(edge + other[::-1], fill=ink(bark))
    for _ in range(120):
        x, y = rng.uniform(20, width - 20), rng.uniform(0, 450)
        tone = ink(bark, float(rng.uniform(0.6, 1.3)))
        draw.line((x, y, x + rng.uniform(-5, 5), y + rng.uniform(14, 44)), fill=tone, width=3)
    return rounded_light(picture, 0.7, 1.2, 0.5)


def car(rng: np.random.Generator) -> Image.Image:
    """Draw a car from the side."""
    width, height = 620, 262
    picture, draw = sheet(width, height)
    paint = any_colour(rng, 0.08, 0.92)
    roof = int(rng.integers(150, 200))
    body = [
        (8, 150),
        (40, 122),
        (roof, 108),
        (roof + 60, 22),
        (roof + 100, 10),
        (430, 10),
        (480, 30),
        (540, 110),
        (596, 122),
        (612, 160),
        (612, 216),
        (8, 216),
    ]
    draw.polygon(body, fill=ink(paint))
    draw.polygon(
        [(roof + 18, 108), (roof + 68, 32), (roof + 130, 24), (roof + 130, 108)],
        fill=ink((0.25, 0.32, 0.38)),
    )
    draw.polygon(
        [(roof + 144, 108), (roof + 144, 24), (424, 24), (468, 40), (512, 108)],
        fill=ink((0.25, 0.32, 0.38)),
    )
    for x in (roof + 60, 400):
        draw.polygon(
            [(x + 26, 30), (x + 44, 30), (x + 10, 106), (x - 8, 106)], fill=ink((0.5, 0.58, 0.64))
        )
    draw.rectangle((8, 128, 612, 134), fill=ink(paint, 1.35))
    draw.rectangle((8, 176, 612, 216), fill=ink(paint, 0.62))
    draw.line((roof + 137, 24, roof + 137, 200), fill=ink(paint, 0.55), width=3)
    draw.rectangle((roof + 150, 146, roof + 184, 153), fill=ink((0.85, 0.85, 0.85)))
    draw.rectangle((8, 140, 30, 160), fill=(248, 240, 200))
    draw.rectangle((596, 140, 612, 164), fill=(190, 30, 30))
    _wheels(draw, paint)
    flipped = rng.random() < 0.5
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else picture


def _wheels(draw: ImageDraw.ImageDraw, paint: RGB) -> None:
    for x in (126, 498):
        draw.pieslice((x - 58, 152, x + 58, 268), 180, 360, fill=ink(paint, 0.3))
        draw.ellipse((x - 48, 164, x + 48, 260), fill=(26, 26, 28))
        draw.ellipse((x - 28, 184, x + 28, 240), fill=(170, 172, 176))
        for spoke in range(5):
            turn = spoke * 2 * np.pi / 5
            tip = (x + 24 * np.cos(turn), 212 + 24 * np.sin(turn))
            draw.line((x, 212, *tip), fill=(90, 92, 96), width=6)


def van(rng: np.random.Generator) -> Image.Image:
    """Draw the rear half of a van, taller than a person."""
    picture, draw = sheet(400, 440)
    paint = (0.9, 0.9, 0.88) if rng.random() < 0.6 else any_colour(rng, 0.2, 0.9)
    draw.rounded_rectangle((10, 6, 470, 400), 26, fill=ink(paint))
    draw.rectangle((10, 340, 400, 400), fill=ink(paint, 0.6))
    stripe = ink(any_colour(rng, 0.1, 0.8))
    draw.polygon([(10, 200), (400, 150), (400, 204), (10, 254)], fill=stripe)
    draw.rectangle((230, 50, 400, 140), fill=ink((0.25, 0.31, 0.36)))
    draw.polygon([(280, 50), (310, 50), (260, 140), (230, 140)], fill=ink((0.45, 0.53, 0.6)))
    draw.line((200, 20, 200, 390), fill=ink(paint, 0.7), width=3)
    draw.rectangle((10, 90, 22, 160), fill=(190, 30, 30))
    draw.ellipse((60, 340, 160, 440), fill=(26, 26, 28))
    draw.ellipse((86, 366, 134, 414), fill=(150, 152, 156))
    return picture


def umbrella(rng: np.random.Generator) -> Image.Image:
    """Draw an open umbrella that comes into the picture from above."""
    width, height = 420, 300
    picture, draw = sheet(width, height)
    paint, other = any_colour(rng, 0.1, 0.95), any_colour(rng, 0.1, 0.95)
    draw.line((210, 40, 210, height), fill=(60, 60, 64), width=7)
    ribs = np.linspace(10, width - 10, 7)
    two = rng.random() < 0.5
    for left, right in pairwise(ribs):
        middle = (left + right) / 2
        light = 1.1 - 0.55 * abs(middle - 150) / width
        panel = [
            (210 + (left - 210) * c, 216 - 190 * np.sqrt(1 - c**2)) for c in np.linspace(0, 1, 9)
        ]
        far = [
            (210 + (right - 210) * c, 216 - 190 * np.sqrt(1 - c**2)) for c in np.linspace(1, 0, 9)
        ]
        hem = [
            (left + (right - left) * c, 216 - 26 * np.sin(np.pi * c)) for c in np.linspace(0, 1, 7)
        ]
        tone = other if two and int(left) % 2 else paint
        draw.polygon(panel + hem + far, fill=ink(tone, light))
        draw.line(panel, fill=ink(paint, 0.45), width=2)
    draw.rectangle((206, 14, 214, 34), fill=(60, 60, 64))
    return picture
