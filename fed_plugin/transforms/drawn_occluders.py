"""Built-in occluders: obstacles that this program draws; no download is needed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fed_plugin.transforms.occluders import OccluderSet

# The parts of drawn obstacles: colours, noise, shading, a blurred street, the finish of a camera.
#
# All arithmetic is on integers, or on uint8 images inside OpenCV. Therefore the same seed gives the
# same bits. Colours are (r, g, b) integers in 0..255, images (H, W, 3) uint8 RGB.

Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

PAINTS: tuple[Color, ...] = (
    (196, 30, 38), (24, 64, 140), (236, 236, 232), (28, 28, 32), (148, 152, 158), (232, 186, 40),
    (20, 104, 72), (224, 108, 28), (92, 148, 200), (110, 32, 60), (86, 92, 60), (58, 48, 100),
)  # fmt: skip
STONES: tuple[Color, ...] = (
    (150, 146, 138), (178, 170, 156), (128, 126, 124), (196, 186, 168), (112, 104, 96),
)  # fmt: skip
BRICKS: tuple[Color, ...] = ((150, 72, 52), (176, 120, 84), (120, 60, 50), (160, 150, 140))
WOODS: tuple[Color, ...] = (
    (122, 84, 52), (96, 70, 48), (150, 112, 72), (84, 66, 54), (170, 134, 92),
)  # fmt: skip


def pick(rng: Generator, colors: Sequence[Color], spread: int = 14) -> Color:
    """Choose a colour, move its brightness by up to ``spread`` and its hue a little."""
    color = colors[int(rng.integers(len(colors)))]
    level = int(rng.integers(-spread, spread + 1))
    return shade(tuple(int(channel + level + rng.integers(-5, 6)) for channel in color), 100)


def shade(color: Sequence[int], percent: int) -> Color:
    """Scale a colour's brightness, clipped to 0..255."""
    red, green, blue = (min(255, max(0, channel * percent // 100)) for channel in color)
    return red, green, blue


def fill(height: int, width: int, color: Color) -> Pixels:
    """Return a plain image."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:] = color
    return image


def noise(rng: Generator, height: int, width: int, cell: tuple[int, int]) -> Pixels:
    """Return (H, W) smooth noise around 128 whose grains are about ``cell`` = (rows, columns)."""
    rows, columns = max(2, height // cell[0] + 1), max(2, width // cell[1] + 1)
    grid = rng.integers(0, 256, (rows, columns), dtype=np.uint8)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR))


def _points(corners: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    """Return corners (x, y) as OpenCV takes them."""
    return np.array(corners, dtype=np.int32)


def light(image: Pixels, gain: NDArray[np.integer]) -> Pixels:
    """Multiply every pixel by gain / 128; the gain broadcasts to (H, W)."""
    scale = np.broadcast_to(gain, image.shape[:2]).astype(np.int32)[..., None]
    return np.clip(image.astype(np.int32) * scale >> 7, 0, 255).astype(np.uint8)


def texture(rng: Generator, image: Pixels, cell: tuple[int, int], strength: int) -> Pixels:
    """Modulate brightness by smooth noise of up to ``strength`` / 128 either way."""
    grains = noise(rng, image.shape[0], image.shape[1], cell).astype(np.int32)
    return light(image, 128 + (grains - 128) * strength // 128)


def roundness(width: int, lit_from: int, low: int = 58, high: int = 158) -> NDArray[np.int32]:
    """Return (width,) gains of an upright cylinder lit from column ``lit_from``."""
    columns = np.arange(width, dtype=np.int32)
    reach = max(lit_from, width - 1 - lit_from, 1)
    falloff = (columns - lit_from) ** 2 * (high - low) // reach**2
    return np.asarray(high - falloff, dtype=np.int32)


def slope(length: int, start: int, end: int) -> NDArray[np.int32]:
    """Return (length,) gains that run evenly from ``start`` to ``end``."""
    steps = np.arange(length, dtype=np.int32)
    return np.asarray(start + (end - start) * steps // max(1, length - 1), dtype=np.int32)


def brickwork(rng: Generator, height: int, width: int) -> Pixels:
    """Return bricks in running bond."""
    tall, wide = int(rng.integers(8, 15)), int(rng.integers(20, 38))
    image = fill(height, width, pick(rng, STONES))
    base = pick(rng, BRICKS)
    for course, row in enumerate(range(0, height, tall)):
        for column in range(-(wide // 2) * (course % 2), width, wide):
            color = shade(base, int(rng.integers(76, 122)))
            cv2.rectangle(image, (column, row), (column + wide - 3, row + tall - 3), color, -1)
    return texture(rng, image, (4, 4), 30)


def lettering(rng: Generator, image: Pixels, box: tuple[int, int, int, int], color: Color) -> None:
    """Write rows of illegible words into ``box`` = (top, left, bottom, right) of ``image``."""
    top, left, bottom, right = box
    size = int(rng.integers(2, 6))
    for row in range(top, bottom - size, size * 2):
        column = left
        while column < right - size:
            word = int(rng.integers(size, size * 7))
            cv2.rectangle(image, (column, row), (min(right, column + word), row + size), color, -1)
            column += word + (size + 1) // 2 + 1
            if rng.integers(6) == 0:
                break


def street(rng: Generator, height: int, width: int) -> Pixels:
    """Return the scene behind an obstacle: wall, ground and a few things, out of focus."""
    image = fill(height, width, pick(rng, STONES))
    ground = int(rng.integers(height // 3, height))
    image[ground:] = pick(rng, STONES, 30)
    for _ in range(int(rng.integers(2, 6))):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        size = int(rng.integers(8, 60)), int(rng.integers(8, 60))
        color = shade(pick(rng, PAINTS + STONES), int(rng.integers(50, 100)))
        cv2.rectangle(image, (left, top), (left + size[0], top + size[1]), color, -1)
    image = texture(rng, image, (6, 6), 40)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.5))


def photograph(rng: Generator, image: Pixels) -> Pixels:
    """Finish a drawing as a surveillance camera would: uneven light, cast, blur, sensor noise."""
    height, width = image.shape[:2]
    image = texture(rng, image, (height // 2, width // 2), int(rng.integers(10, 44)))
    level = int(rng.integers(84, 150))
    cast = np.clip(level + rng.integers(-6, 7, 3), 0, 255).astype(np.int32)
    image = np.clip(image.astype(np.int32) * cast >> 7, 0, 255).astype(np.uint8)
    width_of_blur = int(rng.integers(0, 3)) * 2 + 1
    image = np.asarray(cv2.GaussianBlur(image, (width_of_blur, width_of_blur), 0))
    grain = int(rng.integers(3, 9))
    speckles = rng.integers(-grain, grain + 1, image.shape, dtype=np.int16)
    return np.clip(image.astype(np.int16) + speckles, 0, 255).astype(np.uint8)


# Obstacles that fill a crop with a repeated thing: leaves, bars, slats, bricks, posters.
#
# Each function draws one crop: ``(generator, height, width) -> (H, W, 3) uint8 RGB``.

_LEAVES = ((58, 96, 40), (84, 120, 48), (40, 82, 52), (112, 132, 60), (134, 84, 40))
_PETALS = ((226, 74, 110), (240, 214, 90), (236, 236, 240), (168, 96, 190))


def draw_foliage(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a bush: leaves in layers, the nearer the lighter, sometimes in flower."""
    base = pick(rng, _LEAVES)
    image = fill(height, width, shade(base, 24))
    size, layers = int(rng.integers(5, 12)), 4
    count = min(260, 2 * height * width // (size * size) // layers)
    for layer in range(layers):
        tones = 40 + 22 * layer, 70 + 28 * layer
        ranges = ((0, width), (0, height), (0, 180), (size // 2 + 1, size + 3), tones)
        drawn = np.stack([rng.integers(low, high, count) for low, high in ranges], axis=1)
        for column, row, turn, length, tone in drawn.tolist():
            axes = (length, max(2, length * 2 // 5))
            cv2.ellipse(image, (column, row), axes, turn, 0, 360, shade(base, tone), -1)
    if rng.integers(3) == 0:
        petal = pick(rng, _PETALS)
        for _ in range(int(rng.integers(8, 30))):
            centre = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(image, centre, int(rng.integers(3, 7)), petal, -1, cv2.LINE_AA)
            cv2.circle(image, centre, 2, (230, 190, 60), -1)
    return texture(rng, image, (26, 26), 56)


def draw_fence(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a fence before the street: pickets or iron bars, with rails."""
    image = street(rng, height, width)
    iron = bool(rng.integers(2))
    color = shade(pick(rng, PAINTS if iron else WOODS), 90)
    bar = int(rng.integers(5, 9)) if iron else int(rng.integers(14, 26))
    step = bar + (int(rng.integers(6, 11)) if iron else int(rng.integers(2, 7)))
    for column in range(int(rng.integers(-step, 0)), width, step):
        start, end = max(0, column), min(width, column + bar)
        if end - start < 2:
            continue
        post = fill(height, end - start, shade(color, int(rng.integers(84, 116))))
        post = texture(rng, post, (24, 3), 12 if iron else 54)
        image[:, start:end] = light(post, roundness(end - start, 1, 70, 150))
    for row in (height // 8, height * 3 // 4):
        image[row : row + 10] = shade(color, 92)
        image[row : row + 2] = shade(color, 140)
        image[row + 10 : row + 13] = image[row + 10 : row + 13] // 2
    return image


def draw_bench(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a bench from the front: back slats, seat, legs, the gaps between them dark."""
    image = light(street(rng, height, width), np.full((1, 1), 64))
    wood = pick(rng, WOODS + PAINTS[:2])
    seat, slat = height * 11 // 20, int(rng.integers(10, 16))
    for row in [*range(0, seat - slat, slat + 4), seat, seat + slat + 2]:
        plank = fill(slat, width, shade(wood, int(rng.integers(84, 118))))
        plank = texture(rng, plank, (3, 40), 40)
        gain = slope(slat, 156, 96)[:, None]
        image[row : row + slat] = light(plank, gain)[: height - row]
    iron = shade((70, 72, 76), int(rng.integers(50, 120)))
    for column in (width // 10, width * 9 // 10):
        cv2.line(image, (column, 0), (column, height), iron, 9)
        cv2.line(image, (column - 3, 0), (column - 3, height), shade(iron, 160), 2)
    return image


def draw_wall(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a low wall: brickwork with a coping, weathered."""
    image = brickwork(rng, height, width)
    from_top = int(rng.integers(10, 22))
    image[:from_top] = texture(rng, fill(from_top, width, pick(rng, STONES)), (4, 6), 26)
    image[from_top : from_top + 4] = image[from_top : from_top + 4] // 2
    return texture(rng, image, (40, 40), 40)


def draw_billboard(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a wide board: a picture beside print, in a frame."""
    ground = pick(rng, PAINTS)
    ink = (232, 232, 226) if sum(ground) < 330 else (36, 36, 42)
    image = light(fill(height, width, ground), slope(width, 142, 112))
    split = int(rng.integers(width // 3, width * 2 // 3))
    scene = street(rng, height, split)
    image[:, :split] = light(scene, np.full((1, 1), 150))
    left, top = int(rng.integers(height)), int(rng.integers(height))
    hill = [(0, height), (0, left), (split // 2, top), (split, height)]
    cv2.fillPoly(image, [_points(hill)], pick(rng, PAINTS + _LEAVES), cv2.LINE_AA)
    sun = int(rng.integers(split)), int(rng.integers(height // 2))
    cv2.circle(image, sun, height // 8, pick(rng, PAINTS), -1, cv2.LINE_AA)
    lettering(rng, image, (height // 8, split + 10, height * 7 // 8, width - 10), ink)
    frame = shade(pick(rng, STONES), int(rng.integers(30, 110)))
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), frame, int(rng.integers(3, 8)))
    return image


# Obstacles more than twice as high as wide: poles, trunks, banners, pillars.


def _stand_before_street(rng: Generator, thing: Pixels, width: int) -> Pixels:
    """Put an upright thing, narrower than the crop, before a blurred street."""
    image = street(rng, thing.shape[0], width)
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
    metal = fill(height, across, pick(rng, STONES + PAINTS))
    kind = int(rng.integers(3))
    if kind == 1:
        stripe, step = pick(rng, PAINTS), int(rng.integers(22, 48))
        for top in range(int(rng.integers(step)), height, 2 * step):
            metal[top : top + step] = stripe
    metal = texture(rng, metal, (24, 3), 18)
    if kind == 2:
        for _ in range(int(rng.integers(2, 6))):
            top, left = int(rng.integers(height - 24)), int(rng.integers(across // 2))
            size = int(rng.integers(10, 28)), int(rng.integers(10, across))
            color = pick(rng, PAINTS)
            cv2.rectangle(metal, (left, top), (left + size[1], top + size[0]), color, -1)
            ink = shade(color, 45)
            lettering(rng, metal, (top + 3, left + 3, top + size[0], across - 3), ink)
    metal = light(metal, roundness(across, int(rng.integers(across)), 40, 164))
    for _ in range(int(rng.integers(0, 4))):  # collars and weld seams
        row, thick = int(rng.integers(height)), int(rng.integers(2, 7))
        metal[row : row + thick] = metal[row : row + thick] // 2 + 20
        metal[max(0, row - 2) : row] = np.minimum(metal[max(0, row - 2) : row], 215) + 40
    return _stand_before_street(rng, metal, width)


def draw_trunk(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a tree trunk: furrowed bark, moss, a knot."""
    across = int(rng.integers(width * 6 // 10, width + 1))
    bark = texture(rng, fill(height, across, pick(rng, WOODS)), (40, 12), 50)
    bark = texture(rng, bark, (18, 3), 80)
    furrow = shade(pick(rng, WOODS), 35)
    for _ in range(int(rng.integers(26, 52))):
        row, column = int(rng.integers(-20, height)), int(rng.integers(across))
        for _ in range(int(rng.integers(2, 6))):
            below, beside = row + int(rng.integers(6, 20)), column + int(rng.integers(-3, 4))
            cv2.line(bark, (column, row), (beside, below), furrow, 1, cv2.LINE_AA)
            row, column = below, beside
    for _ in range(int(rng.integers(0, 3))):
        centre = int(rng.integers(across)), int(rng.integers(height))
        axes = int(rng.integers(4, 10)), int(rng.integers(8, 18))
        cv2.ellipse(bark, centre, axes, 0, 0, 360, shade(furrow, 70), -1)
        cv2.ellipse(bark, centre, axes, 0, 0, 360, shade(furrow, 190), 2)
    if rng.integers(2):
        moss = noise(rng, height, across, (14, 8)) > int(rng.integers(150, 220))
        bark[moss] = bark[moss] // 2 + np.array((40, 56, 20), dtype=np.uint8)
    bark = light(bark, roundness(across, int(rng.integers(across)), 48, 150))
    return _stand_before_street(rng, bark, width)


def draw_banner(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a narrow board or roll-up banner: a headed panel with a picture and print."""
    ground = pick(rng, PAINTS)
    dark = sum(ground) < 330
    ink = shade((235, 235, 230) if dark else (40, 40, 46), int(rng.integers(70, 108)))
    image = light(fill(height, width, ground), slope(height, 140, 108)[:, None])
    accent = pick(rng, PAINTS)
    head = int(rng.integers(height // 8, height // 4))
    cv2.rectangle(image, (0, 0), (width, head), accent, -1)
    lettering(rng, image, (head // 3, width // 8, head, width * 7 // 8), ink)
    middle = int(rng.integers(height * 2 // 5, height // 2))
    radius = int(rng.integers(width // 5, width * 2 // 5))
    shape = int(rng.integers(3))
    if shape == 0:
        cv2.circle(image, (width // 2, middle), radius, accent, -1, cv2.LINE_AA)
        cv2.circle(image, (width // 2, middle), radius // 2, ink, -1, cv2.LINE_AA)
    elif shape == 1:
        start, end = ((width // 2 + way * radius, middle + way * radius) for way in (-1, 1))
        cv2.rectangle(image, start, end, ink, -1)
        cv2.rectangle(image, start, end, accent, 4)
    else:
        points = rng.integers(0, 2 * radius, (5, 2)) + (width // 2 - radius, middle - radius)
        cv2.fillPoly(image, [cv2.convexHull(points.astype(np.int32))], accent, cv2.LINE_AA)
    lettering(rng, image, (middle + radius + 8, width // 8, height * 9 // 10, width * 7 // 8), ink)
    frame = shade(pick(rng, STONES), int(rng.integers(40, 120)))
    cv2.rectangle(image, (0, 0), (width - 1, height - 1), frame, int(rng.integers(2, 7)))
    return light(image, slope(width, int(rng.integers(96, 150)), 120))


def draw_pillar(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a pillar or the end of a wall: concrete with joints, or brickwork."""
    across = int(rng.integers(width * 7 // 10, width + 1))
    if rng.integers(2):
        wall = brickwork(rng, height, across)
    else:
        wall = texture(rng, fill(height, across, pick(rng, STONES)), (30, 20), 34)
        wall = texture(rng, wall, (3, 3), 22)
        step = int(rng.integers(40, 90))
        for row in range(int(rng.integers(step)), height, step):
            wall[row : row + 2] = wall[row : row + 2] // 2
    face = int(rng.integers(across // 4, across * 3 // 4))
    gain = np.full(across, int(rng.integers(120, 146)))
    gain[face:] = int(rng.integers(62, 100))
    return _stand_before_street(rng, light(wall, gain), width)


# Obstacles about as wide as high, or wider, made by people: cars, boxes, umbrellas, bins.


def draw_car(rng: Generator, height: int, width: int) -> Pixels:
    """Draw part of a parked car, from the side or from behind."""
    paint = pick(rng, PAINTS)
    image = fill(height, width, paint)
    waist = int(rng.integers(height * 3 // 10, height * 45 // 100))
    body = slope(height - waist, 150, 70)
    image = light(image, np.concatenate((np.full(waist, 128), body))[:, None])
    shine = waist + int(rng.integers(6, 16))
    image[shine : shine + 3] = np.minimum(image[shine : shine + 3], 195) + 60
    if rng.integers(2):
        _draw_side(rng, image, waist, paint)
    else:
        _draw_rear(rng, image, waist, paint)
    return image


def _draw_glass(rng: Generator, image: Pixels, corners: list[tuple[int, int]]) -> None:
    """Fill a quadrilateral with dark glass that mirrors a bright sky band."""
    height, width = image.shape[:2]
    glass = fill(height, width, shade((70, 84, 96), int(rng.integers(50, 110))))
    start = int(rng.integers(0, width))
    band = [(start, 0), (start + 26, 0), (start - 20, height), (start - 46, height)]
    cv2.fillPoly(glass, [_points(band)], shade((150, 170, 186), int(rng.integers(70, 120))))
    glass = light(glass, slope(height, 150, 90)[:, None])
    mask, outline = np.zeros((height, width), dtype=np.uint8), [_points(corners)]
    cv2.fillPoly(mask, outline, 255)
    image[mask > 0] = glass[mask > 0]
    cv2.polylines(image, outline, True, (18, 18, 20), 2, cv2.LINE_AA)


def _draw_side(rng: Generator, image: Pixels, waist: int, paint: Color) -> None:
    height, width = image.shape[:2]
    post = int(rng.integers(width * 3 // 10, width * 7 // 10))
    lean = int(rng.integers(6, 26))
    _draw_glass(rng, image, [(lean, 6), (post - 5, 6), (post - 5, waist), (-2, waist)])
    rear = [(post + 5, 6), (width - lean, 6), (width + 2, waist), (post + 5, waist)]
    _draw_glass(rng, image, rear)
    seam = shade(paint, 40)
    cv2.line(image, (post, waist), (post, height - height // 6), seam, 2)
    cv2.line(image, (0, height * 6 // 7), (width, height * 6 // 7), seam, 2)
    handle = post - int(rng.integers(20, 34)), waist + int(rng.integers(9, 16))
    cv2.rectangle(image, handle, (handle[0] + 16, handle[1] + 4), shade(paint, 55), -1)
    image[height * 6 // 7 :] = (34, 34, 36)
    radius = height // 3
    hub = (0 if rng.integers(2) else width, height - radius // 4)
    cv2.circle(image, hub, radius + 5, (16, 16, 18), -1, cv2.LINE_AA)
    cv2.circle(image, hub, radius * 6 // 10, (168, 170, 174), -1, cv2.LINE_AA)
    for turn in range(5):
        spoke = int(hub[0] + (radius // 2) * (turn - 2) / 2), hub[1] - radius // 2
        cv2.line(image, hub, spoke, (74, 76, 80), 3, cv2.LINE_AA)


def _draw_rear(rng: Generator, image: Pixels, waist: int, paint: Color) -> None:
    height, width = image.shape[:2]
    inset = int(rng.integers(8, 24))
    pane = [(inset + 10, 6), (width - inset - 10, 6), (width - inset, waist), (inset, waist)]
    _draw_glass(rng, image, pane)
    lamp_bottom = waist + height // 4
    for left in (3, width - width // 6):
        right = left + width // 6 - 4
        cv2.rectangle(image, (left, waist + 6), (right, lamp_bottom), (150, 20, 24), -1)
        cv2.rectangle(image, (left, waist + 6), (right, waist + 14), (240, 130, 60), -1)
        cv2.rectangle(image, (left, waist + 6), (right, lamp_bottom), (50, 10, 12), 1)
    plate_left, plate_top = width // 2 - 24, waist + int(rng.integers(12, 22))
    plate = (plate_left, plate_top), (plate_left + 48, plate_top + 14)
    cv2.rectangle(image, *plate, pick(rng, ((230, 230, 224), (226, 196, 70))), -1)
    box = plate_top + 4, plate_left + 5, plate_top + 12, plate_left + 44
    lettering(rng, image, box, (30, 30, 34))
    bumper = height * 7 // 10
    cv2.rectangle(image, (0, bumper), (width, height), shade(paint, 70), -1)
    cv2.line(image, (0, bumper), (width, bumper), shade(paint, 30), 3)
    cv2.rectangle(image, (0, height * 9 // 10), (width, height), (30, 30, 32), -1)


def draw_box(rng: Generator, height: int, width: int) -> Pixels:
    """Draw stacked cardboard boxes with flaps, tape and labels."""
    image = fill(height, width, (30, 28, 26))
    top = 0
    while top < height - 6:
        tall = min(height - top, int(rng.integers(height // 3, height)))
        tall = height - top if height - top - tall < height // 5 else tall
        left = 0
        while left < width:
            wide = int(rng.integers(width // 3, width))
            wide = width - left if width - left - wide < width // 5 else wide
            carton = _draw_carton(rng, tall, min(wide, width - left))
            image[top : top + tall - 2, left : left + wide - 2] = carton[: tall - 2, : wide - 2]
            left += wide
        top += tall
    return image


def _draw_carton(rng: Generator, height: int, width: int) -> Pixels:
    card = pick(rng, ((184, 140, 92), (168, 124, 80), (200, 164, 118), (214, 208, 196)))
    carton = texture(rng, fill(height, width, card), (2, 40), 10)
    lid = int(rng.integers(height // 8, height // 4))
    carton[:lid] = light(carton[:lid], np.full((1, 1), 152))
    carton[lid : lid + 2] = shade(card, 50)
    tape = width // 2 + int(rng.integers(-width // 8, width // 8 + 1))
    color = shade(pick(rng, ((206, 178, 120), (150, 104, 56))), 100)
    cv2.rectangle(carton, (tape - 6, 0), (tape + 6, height * 2 // 5), color, -1)
    label_top, label_left = height // 2, int(rng.integers(4, max(5, width // 2)))
    bottom, right = min(height - 6, label_top + 26), min(width - 6, label_left + 40)
    if bottom - label_top > 10 and right - label_left > 12:
        cv2.rectangle(carton, (label_left, label_top), (right, bottom), (232, 232, 226), -1)
        box = label_top + 4, label_left + 4, bottom - 1, right - 3
        lettering(rng, carton, box, (50, 50, 54))
    return light(carton, slope(width, int(rng.integers(106, 146)), 112))


def draw_umbrella(rng: Generator, height: int, width: int) -> Pixels:
    """Draw an open umbrella: shaded panels between curved ribs, scalloped rim, stick."""
    image = street(rng, height, width)
    tip = width // 2 + int(rng.integers(-width // 6, width // 6 + 1)), int(rng.integers(-24, 6))
    rim = int(rng.integers(height * 8 // 10, height))
    cv2.line(image, (tip[0], rim // 2), (tip[0], height), (60, 60, 64), 4)
    first = pick(rng, PAINTS)
    second = pick(rng, PAINTS) if rng.integers(2) else first
    panels = int(rng.integers(5, 8))
    reach = int(rng.integers(width * 50 // 100, width * 60 // 100))
    # equal panels of a dome look narrower towards its sides
    turns = [2 * index - panels for index in range(panels + 1)]
    offsets = [turn * (3 * panels**2 - turn**2) for turn in turns]
    columns = [width // 2 + reach * offset // (2 * panels**3) for offset in offsets]
    rows = [rim - abs(column - width // 2) * height // (3 * width) for column in columns]
    for index in range(panels):
        left, right = (columns[index], rows[index]), (columns[index + 1], rows[index + 1])
        middle = (left[0] + right[0]) // 2, (left[1] + right[1]) // 2 - height // 7
        away = abs(2 * index - panels + 1 + int(rng.integers(-1, 2)))
        color = shade(second if index % 2 else first, 116 - 70 * away // panels)
        ribs = _bend(tip, (left[0], tip[1] + rim // 5), left)
        rest = _bend(left, middle, right) + _bend(right, (right[0], tip[1] + rim // 5), tip)
        cv2.fillPoly(image, [_points(ribs + rest)], color, cv2.LINE_AA)
        cv2.polylines(image, [_points(ribs)], False, shade(color, 60), 2, cv2.LINE_AA)
    return texture(rng, image, (height // 3, width // 5), 26)


def _bend(
    start: tuple[int, int], pull: tuple[int, int], end: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return nine points of the quadratic curve from ``start`` to ``end``."""
    weights = [((8 - t) ** 2, 2 * t * (8 - t), t * t) for t in range(9)]
    axes = zip(start, pull, end, strict=True)
    x, y = ([(a * p + b * q + c * r) // 64 for p, q, r in weights] for a, b, c in axes)
    return list(zip(x, y, strict=True))


def draw_bin(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a wheeled bin from the front: lid, ribs, a sticker, the wheels."""
    color = pick(rng, ((40, 84, 56), (44, 48, 56), (60, 92, 140), (120, 120, 124)))
    image = fill(height, width, color)
    for column in range(int(rng.integers(6, 14)), width, int(rng.integers(12, 26))):
        image[:, column : column + 3] = shade(color, 66)
        image[:, column + 3 : column + 4] = shade(color, 136)
    image = light(image, roundness(width, int(rng.integers(width)), 78, 150))
    lid = int(rng.integers(height // 6, height // 4))
    image[:lid] = shade(pick(rng, (color, (210, 170, 40), (60, 60, 66))), 115)
    image[lid : lid + 4] = shade(color, 30)
    image[3:6] = np.minimum(image[3:6], 205) + 50
    side, top = int(rng.integers(20, 40)), int(rng.integers(height * 2 // 5, height // 2))
    left = int(rng.integers(width // 8, width - side - 8))
    cv2.rectangle(image, (left, top), (left + side, top + side), (226, 226, 220), -1)
    lettering(rng, image, (top + 4, left + 4, top + side, left + side - 3), (50, 60, 60))
    for hub in (width // 8, width * 7 // 8):
        cv2.circle(image, (hub, height), height // 9, (20, 20, 22), -1, cv2.LINE_AA)
    return texture(rng, image, (10, 10), 16)


_Draw = Callable[[Generator, int, int], Pixels]
_TALL: tuple[tuple[str, _Draw], ...] = (
    ("pole", draw_pole), ("trunk", draw_trunk), ("banner", draw_banner), ("pillar", draw_pillar),
)  # fmt: skip
_WIDE: tuple[tuple[str, _Draw], ...] = (
    ("car", draw_car), ("foliage", draw_foliage), ("box", draw_box), ("umbrella", draw_umbrella),
    ("board", draw_billboard), ("bin", draw_bin), ("fence", draw_fence), ("bench", draw_bench),
    ("wall", draw_wall),
)  # fmt: skip


class DrawnOccluderSet(OccluderSet):
    """Drawn set; a pickle holds the count and the seed alone."""

    def __init__(self, images: list[Pixels], names: list[str], count: int, seed: int) -> None:
        super().__init__(images, names)
        self._recipe = (count, seed)

    def __reduce__(self) -> tuple[Any, ...]:
        return drawn_occluders, self._recipe


def drawn_occluders(count: int = 200, seed: int = 0) -> OccluderSet:
    """Draw obstacles: poles, trunks, banners, pillars, cars, foliage, boxes, umbrellas and more.

    Every third crop has height / width > 2. All crops are opaque rectangles, and no two are equal.
    The same seed gives the same bits; a smaller set is the beginning of a larger one. A process
    draws each set once.

    Raises:
        ValueError: a count below 1 or a negative seed.
    """
    if count < 1 or seed < 0:
        raise ValueError(f"expected count >= 1 and seed >= 0, got {count} and {seed}")
    return _draw_set(count, seed)


@functools.cache
def _draw_set(count: int, seed: int) -> DrawnOccluderSet:
    images: dict[bytes, Pixels] = {}
    names: list[str] = []
    for index in range(count):
        attempts = (_draw_one(index, seed, attempt) for attempt in itertools.count())
        name, image = next(one for one in attempts if one[1].tobytes() not in images)
        images[image.tobytes()] = image
        names.append(f"{name}-{index:04d}")
    return DrawnOccluderSet(list(images.values()), names, count, seed)


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
