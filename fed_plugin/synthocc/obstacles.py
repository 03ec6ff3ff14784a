"""Occluders: things and people in front of the person of an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from fed_plugin.synthocc.figure import Camera, Placement, draw_figure
from fed_plugin.synthocc.identity import Identity
from fed_plugin.synthocc.surface import RGB, Array, Pen, any_colour, ink, leaves, shaded


def sheet(width: int, height: int) -> tuple[Image.Image, Pen]:
    """Return an empty RGBA picture and its pen."""
    picture = Image.new("RGBA", (width, height))
    return picture, ImageDraw.Draw(picture)


def rounded_light(picture: Image.Image, left: float, middle: float, right: float) -> Image.Image:
    """Return the picture with the brightness of a cylinder at left, middle and right."""
    x = np.linspace(0, 1, picture.width)
    tone = np.interp(x, [0, 0.35, 1], [left, middle, right])[None, :, None]
    data = np.asarray(picture).astype(np.float32)
    data[..., :3] = np.clip(data[..., :3] * tone, 0, 255)
    return Image.fromarray(data.astype(np.uint8))


def bush(rng: Generator) -> Image.Image:
    """Draw a bush, sometimes with flowers."""
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


def hedge(rng: Generator) -> Image.Image:
    """Draw a clipped hedge as wide as the picture."""
    picture, draw = sheet(420, 330)
    green = (float(rng.uniform(0.14, 0.26)), float(rng.uniform(0.34, 0.48)), 0.16)
    draw.rectangle((0, 16, 420, 330), fill=ink(green, 0.55))
    for y in range(8, 330, 30):
        for x in range(-20, 420, 36):
            tone = shaded(green, 1.25 - 0.5 * y / 330)
            leaves(draw, rng, (x, y - 8, x + 60, y + 44), tone, 22, 9)
    return picture


def branch(rng: Generator) -> Image.Image:
    """Draw the low crown of a tree, for the upper edge of an image."""
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


def tree(rng: Generator) -> Image.Image:
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


def car(rng: Generator) -> Image.Image:
    """Draw a car from the side."""
    width, height = 620, 262
    picture, draw = sheet(width, height)
    paint = any_colour(rng, 0.08, 0.92)
    roof = int(rng.integers(150, 200))
    front = [(8, 216), (8, 150), (40, 122), (roof, 108), (roof + 60, 22), (roof + 100, 10)]
    rear = [(430, 10), (480, 30), (540, 110), (596, 122), (612, 160), (612, 216)]
    draw.polygon(front + rear, fill=ink(paint))
    glass, glint = ink((0.25, 0.32, 0.38)), ink((0.5, 0.58, 0.64))
    first = [(roof + 18, 108), (roof + 68, 32), (roof + 130, 24), (roof + 130, 108)]
    second = [(roof + 144, 108), (roof + 144, 24), (424, 24), (468, 40), (512, 108)]
    draw.polygon(first, fill=glass)
    draw.polygon(second, fill=glass)
    for x in (roof + 60, 400):
        draw.polygon([(x + 26, 30), (x + 44, 30), (x + 10, 106), (x - 8, 106)], fill=glint)
    draw.rectangle((8, 128, 612, 134), fill=ink(paint, 1.35))
    draw.rectangle((8, 176, 612, 216), fill=ink(paint, 0.62))
    draw.line((roof + 137, 24, roof + 137, 200), fill=ink(paint, 0.55), width=3)
    draw.rectangle((roof + 150, 146, roof + 184, 153), fill=ink((0.85, 0.85, 0.85)))
    draw.rectangle((8, 140, 30, 160), fill=(248, 240, 200))
    draw.rectangle((596, 140, 612, 164), fill=(190, 30, 30))
    for x in (126, 498):
        draw.pieslice((x - 58, 152, x + 58, 268), 180, 360, fill=ink(paint, 0.3))
        draw.ellipse((x - 48, 164, x + 48, 260), fill=(26, 26, 28))
        draw.ellipse((x - 28, 184, x + 28, 240), fill=(170, 172, 176))
        for turn in np.arange(5) * 2 * np.pi / 5:
            tip = (x + 24 * np.cos(turn), 212 + 24 * np.sin(turn))
            draw.line((x, 212, *tip), fill=(90, 92, 96), width=6)
    flipped = rng.random() < 0.5
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else picture


def van(rng: Generator) -> Image.Image:
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


def umbrella(rng: Generator) -> Image.Image:
    """Draw an open umbrella, for the upper edge of an image."""
    width, height = 420, 300
    picture, draw = sheet(width, height)
    paint, other = any_colour(rng, 0.1, 0.95), any_colour(rng, 0.1, 0.95)
    draw.line((210, 40, 210, height), fill=(60, 60, 64), width=7)
    ribs = np.linspace(10, width - 10, 7)
    two = rng.random() < 0.5
    for left, right in pairwise(ribs):
        middle = (left + right) / 2
        light = 1.1 - 0.55 * abs(middle - 150) / width
        panel, far = (
            [(210 + (x - 210) * c, 216 - 190 * np.sqrt(1 - c**2)) for c in np.linspace(*ends, 9)]
            for x, ends in ((left, (0, 1)), (right, (1, 0)))
        )
        way = np.linspace(0, 1, 7)
        hem = [(left + (right - left) * c, 216 - 26 * np.sin(np.pi * c)) for c in way]
        tone = other if two and int(left) % 2 else paint
        draw.polygon(panel + hem + far, fill=ink(tone, light))
        draw.line(panel, fill=ink(paint, 0.45), width=2)
    draw.rectangle((206, 14, 214, 34), fill=(60, 60, 64))
    return picture


def bin_(rng: Generator) -> Image.Image:
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


def bench(rng: Generator) -> Image.Image:
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


def board(rng: Generator) -> Image.Image:
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


def _advert(draw: Pen, rng: Generator, box: tuple[int, int, int, int], letters: RGB) -> None:
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


def boxes(rng: Generator) -> Image.Image:
    """Draw a stack of cardboard boxes."""
    picture, draw = sheet(300, 380)
    y = 380
    while y > 120:
        tall, wide = int(rng.integers(80, 128)), int(rng.integers(170, 280))
        left = int(rng.integers(0, 300 - wide))
        card = shaded((0.72, 0.54, 0.34), float(rng.uniform(0.8, 1.15)))
        draw.rectangle((left, y - tall, left + wide, y), fill=ink(card))
        edge, right = left + wide * 0.78, left + wide
        side = [(edge, y - tall), (right, y - tall), (right, y), (edge, y)]
        draw.polygon(side, fill=ink(card, 0.75))
        draw.rectangle((left, y - tall, left + wide, y - tall + 5), fill=ink(card, 1.2))
        draw.rectangle((left + wide * 0.33, y - tall, left + wide * 0.42, y), fill=ink(card, 1.15))
        draw.rectangle((left + 14, y - 44, left + 54, y - 20), fill=(238, 236, 226))
        draw.line((left, y - 1, left + wide, y - 1), fill=ink(card, 0.5), width=3)
        y -= tall
    return picture


def fence(rng: Generator) -> Image.Image:
    """Draw a fence of upright planks with narrow gaps."""
    picture, draw = sheet(420, 360)
    wood = _pick(rng, [(0.6, 0.42, 0.26), (0.86, 0.85, 0.8), (0.35, 0.38, 0.4), (0.28, 0.44, 0.32)])
    gap = int(rng.integers(6, 20))
    for y in (90, 250):
        draw.rectangle((0, y, 420, y + 20), fill=ink(wood, 0.6))
    x = -int(rng.integers(0, 30))
    while x < 420:
        tone = float(rng.uniform(0.88, 1.08))
        plank = [(x, 26), (x + 21, 2), (x + 42, 26), (x + 42, 360), (x, 360)]
        draw.polygon(plank, fill=ink(wood, tone))
        draw.line((x + 40, 26, x + 40, 360), fill=ink(wood, tone * 0.7), width=4)
        x += 42 + gap
    return picture


def pillar(rng: Generator) -> Image.Image:
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


def trolley(rng: Generator) -> Image.Image:
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
        rim = (48, y - tall + 4, 40 + wide - 8, y - tall + 16)
        draw.rounded_rectangle(rim, 6, fill=ink(paint, 1.3))
        for x in range(70, 30 + wide, 40):
            draw.line((x, y - tall + 20, x, y - 10), fill=ink(paint, 0.75), width=4)
        middle = 40 + wide // 2
        draw.rectangle((middle - 18, y - tall - 4, middle + 18, y - tall + 3), fill=(50, 50, 54))
        y -= tall
    draw.rectangle((30, 292, 296, 304), fill=(150, 152, 158))
    for x in (46, 252):
        draw.ellipse((x, 300, x + 36, 336), fill=(28, 28, 30))
        draw.ellipse((x + 11, 311, x + 25, 325), fill=(160, 160, 164))
    return picture


def barrier(rng: Generator) -> Image.Image:
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


def _pick(rng: Generator, colours: list[RGB]) -> RGB:
    return shaded(colours[int(rng.integers(len(colours)))], float(rng.uniform(0.85, 1.15)))


# Placing an occluder in front of a person.

STRIPES = 4
_STEPS = 28


@dataclass(frozen=True)
class Cover:
    """Occluder at its place: a mask (H, W), bool, with colours (H, W, 3), float32 in [0, 1]."""

    colour: Array
    mask: Array


def visible_shares(person: Array, cover: Array) -> list[float]:
    """Return the visible share of the whole person, then of each stripe from top to bottom.

    The pixels of the person and of the cover are (H, W) bool. The 1 + ``STRIPES`` numbers are in
    [0, 1]; a stripe without a pixel of the person is NaN.
    """
    whole, hidden = (
        [int(part.sum()) for part in (mask, *np.array_split(mask, STRIPES))]
        for mask in (person, person & cover)
    )
    return [1 - h / w if w else float("nan") for w, h in zip(whole, hidden, strict=True)]


def slide_in(
    cutout: Image.Image, side: str, person: Array, wanted: float, rng: Generator, deepest: float = 1
) -> Cover:
    """Move an RGBA cut-out into the picture until about ``wanted`` of the person is visible.

    The cut-out comes from ``side``: "bottom", "top", "left" or "right"; ``rng`` draws its place
    along this side. The person's pixels are (H, W) bool. ``deepest`` is the share of the picture's
    width that the middle of a cut-out from the left or right may reach.
    """
    data = np.asarray(cutout)
    solid = data[..., 3] > 127
    total = max(int(person.sum()), 1)

    def gap(place: tuple[int, int]) -> float:
        rows, cols, inner_rows, inner_cols = _overlap(solid.shape, person.shape, *place)
        covered = (person[rows, cols] & solid[inner_rows, inner_cols]).sum()
        return abs(1 - covered / total - wanted)

    best = min(_ways(solid.shape, person.shape, side, rng, deepest), key=gap)
    rows, cols, inner_rows, inner_cols = _overlap(solid.shape, person.shape, *best)
    colour = np.zeros((*person.shape, 3), dtype=np.float32)
    mask = np.zeros(person.shape, dtype=bool)
    colour[rows, cols] = data[inner_rows, inner_cols, :3].astype(np.float32) / 255
    mask[rows, cols] = solid[inner_rows, inner_cols]
    return Cover(colour, mask)


def _ways(
    thing: tuple[int, ...], frame: tuple[int, ...], side: str, rng: Generator, deepest: float
) -> list[tuple[int, int]]:
    """Return places (left, top), from outside the picture to the deepest place."""
    (high, wide), (rows, cols) = thing, frame
    slack = float(rng.uniform(0, 1))
    steps = np.linspace(0.02, 1.0, _STEPS)
    if side in ("bottom", "top"):
        # Any part of a wide thing may stand in front; a narrow thing stands near the middle.
        left = int((cols - wide) * (slack if wide > cols else 0.2 + 0.6 * slack))
        into = [int(s * min(high, rows)) for s in steps]
        return [(left, rows - i if side == "bottom" else i - high) for i in into]
    top = rows - high if high <= rows else -int((high - rows) * slack)
    into = [int(s * min(wide, cols, deepest * cols + wide / 2)) for s in steps]
    return [(i - wide if side == "left" else cols - i, top) for i in into]


def _overlap(
    thing: tuple[int, ...], frame: tuple[int, ...], left: int, top: int
) -> tuple[slice, slice, slice, slice]:
    rows = slice(max(top, 0), max(min(top + thing[0], frame[0]), 0))
    cols = slice(max(left, 0), max(min(left + thing[1], frame[1]), 0))
    inner_rows = slice(rows.start - top, rows.stop - top)
    inner_cols = slice(cols.start - left, cols.stop - left)
    return rows, cols, inner_rows, inner_cols


# Name in visibility.csv: function that draws the thing, and its possible sides.
THINGS: dict[str, tuple[Callable[[Generator], Image.Image], tuple[str, ...]]] = {
    "car": (car, ("bottom",)), "van": (van, ("left", "right")),
    "bush": (bush, ("bottom", "left", "right")), "hedge": (hedge, ("bottom",)),
    "branch": (branch, ("top",)), "tree": (tree, ("left", "right")),
    "umbrella": (umbrella, ("top",)), "bin": (bin_, ("bottom",)), "bench": (bench, ("bottom",)),
    "board": (board, ("left", "right", "top", "bottom")),
    "boxes": (boxes, ("bottom", "left", "right")), "fence": (fence, ("bottom",)),
    "pillar": (pillar, ("left", "right")), "trolley": (trolley, ("bottom", "left", "right")),
    "barrier": (barrier, ("bottom",)),
}  # fmt: skip
_CLOSE_ENOUGH = 0.04
# The person of the image is in the middle; other people stay in the outer parts.
_ASIDE = 0.27


@dataclass(frozen=True)
class Occlusion:
    """Occluder at its place, with the words of visibility.csv.

    The kind is "object" or "person", the name a key of ``THINGS`` or "person".
    """

    cover: Cover
    kind: str
    name: str
    side: str


def hide_behind_thing(person: Array, wanted: float, rng: Generator) -> Occlusion:
    """Put an object in front of a person; about ``wanted`` of the person stays visible."""
    tries: list[tuple[float, Occlusion]] = []
    names = list(THINGS)
    while len(tries) < 5 and not (tries and tries[-1][0] < _CLOSE_ENOUGH):
        name = names[int(rng.integers(len(names)))]
        draw, sides = THINGS[name]
        side = sides[int(rng.integers(len(sides)))]
        cutout, factor = draw(rng), float(rng.uniform(0.85, 1.3))
        size = (int(cutout.width * factor), int(cutout.height * factor))
        cutout = cutout.resize(size, Image.Resampling.NEAREST)
        cover = slide_in(cutout, side, person, wanted, rng)
        gap = abs(visible_shares(person, cover.mask)[0] - wanted)
        tries.append((gap, Occlusion(cover, "object", name, side)))
    return min(tries, key=lambda one: one[0])[1]


def hide_behind_person(
    person: Array, passer: Identity, camera: Camera, scale: float, wanted: float, rng: Generator
) -> Occlusion:
    """Put ``passer`` in front of a person, nearer to the camera and to one side.

    The person's pixels are (H, W) bool, at ``scale`` pixels per metre. About ``wanted`` of the
    person stays visible. Pose, side and distance come from ``rng``.
    """
    rows, cols = person.shape
    nearer = float(rng.uniform(1.04, 1.28))
    place = Placement(
        shape=(rows, int(cols * 1.5)),
        scale=scale * nearer,
        foot=(cols * 0.75, rows * float(rng.uniform(1.0, 1.0 + 0.8 * (nearer - 1)))),
        yaw=float(rng.uniform(-np.pi, np.pi)),
        pitch=camera.pitch,
        stretch=float(rng.uniform(1.0, 1.12)),
    )
    colour, mask = draw_figure(passer, place, camera.light(), rng)
    used = np.flatnonzero(mask.any(axis=0))
    cut = np.dstack([colour * 255, mask * 255.0]).astype(np.uint8)[:, used[0] : used[-1] + 1]
    side = "left" if rng.random() < 0.5 else "right"
    cover = slide_in(Image.fromarray(cut), side, person, wanted, rng, _ASIDE)
    return Occlusion(cover, "person", "person", side)
