"""Obstacles about as wide as high, or wider, made by people: cars, boxes, umbrellas, bins.

Each function draws one crop: ``(generator, height, width) -> (H, W, 3) uint8 RGB``.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from fed_plugin.transforms import drawn_surfaces as surface
from fed_plugin.transforms.drawn_surfaces import Color, Pixels


def draw_car(rng: Generator, height: int, width: int) -> Pixels:
    """Draw part of a parked car, from the side or from behind."""
    paint = surface.pick(rng, surface.PAINTS)
    image = surface.fill(height, width, paint)
    waist = int(rng.integers(height * 3 // 10, height * 45 // 100))
    body = surface.slope(height - waist, 150, 70)
    image = surface.light(image, np.concatenate((np.full(waist, 128), body))[:, None])
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
    glass = surface.fill(height, width, surface.shade((70, 84, 96), int(rng.integers(50, 110))))
    start = int(rng.integers(0, width))
    band = np.array(
        [(start, 0), (start + 26, 0), (start - 20, height), (start - 46, height)], dtype=np.int32
    )
    cv2.fillPoly(glass, [band], surface.shade((150, 170, 186), int(rng.integers(70, 120))))
    glass = surface.light(glass, surface.slope(height, 150, 90)[:, None])
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.fillPoly(mask, [np.array(corners, dtype=np.int32)], 255)
    image[mask > 0] = glass[mask > 0]
    cv2.polylines(image, [np.array(corners, dtype=np.int32)], True, (18, 18, 20), 2, cv2.LINE_AA)


def _draw_side(rng: Generator, image: Pixels, waist: int, paint: Color) -> None:
    height, width = image.shape[:2]
    post = int(rng.integers(width * 3 // 10, width * 7 // 10))
    lean = int(rng.integers(6, 26))
    _draw_glass(rng, image, [(lean, 6), (post - 5, 6), (post - 5, waist), (-2, waist)])
    _draw_glass(
        rng, image, [(post + 5, 6), (width - lean, 6), (width + 2, waist), (post + 5, waist)]
    )
    seam = surface.shade(paint, 40)
    cv2.line(image, (post, waist), (post, height - height // 6), seam, 2)
    cv2.line(image, (0, height * 6 // 7), (width, height * 6 // 7), seam, 2)
    handle = post - int(rng.integers(20, 34)), waist + int(rng.integers(9, 16))
    cv2.rectangle(image, handle, (handle[0] + 16, handle[1] + 4), surface.shade(paint, 55), -1)
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
    _draw_glass(
        rng,
        image,
        [(inset + 10, 6), (width - inset - 10, 6), (width - inset, waist), (inset, waist)],
    )
    lamp_bottom = waist + height // 4
    for left in (3, width - width // 6):
        right = left + width // 6 - 4
        cv2.rectangle(image, (left, waist + 6), (right, lamp_bottom), (150, 20, 24), -1)
        cv2.rectangle(image, (left, waist + 6), (right, waist + 14), (240, 130, 60), -1)
        cv2.rectangle(image, (left, waist + 6), (right, lamp_bottom), (50, 10, 12), 1)
    plate_left, plate_top = width // 2 - 24, waist + int(rng.integers(12, 22))
    plate = (plate_left, plate_top), (plate_left + 48, plate_top + 14)
    cv2.rectangle(image, *plate, surface.pick(rng, ((230, 230, 224), (226, 196, 70))), -1)
    box = plate_top + 4, plate_left + 5, plate_top + 12, plate_left + 44
    surface.lettering(rng, image, box, (30, 30, 34))
    bumper = height * 7 // 10
    cv2.rectangle(image, (0, bumper), (width, height), surface.shade(paint, 70), -1)
    cv2.line(image, (0, bumper), (width, bumper), surface.shade(paint, 30), 3)
    cv2.rectangle(image, (0, height * 9 // 10), (width, height), (30, 30, 32), -1)


def draw_box(rng: Generator, height: int, width: int) -> Pixels:
    """Draw stacked cardboard boxes with flaps, tape and labels."""
    image = surface.fill(height, width, (30, 28, 26))
    top = 0
    while top < height - 6:
        tall = min(height - top, int(rng.integers(height // 3, height)))
        tall = height - top if height - top - tall < height // 5 else tall
        left = 0
        while left < width:
            wide = int(rng.integers(width // 3, width))
            wide = width - left if width - left - wide < width // 5 else wide
            image[top : top + tall - 2, left : left + wide - 2] = _draw_carton(
                rng, tall, min(wide, width - left)
            )[: tall - 2, : wide - 2]
            left += wide
        top += tall
    return image


def _draw_carton(rng: Generator, height: int, width: int) -> Pixels:
    card = surface.pick(rng, ((184, 140, 92), (168, 124, 80), (200, 164, 118), (214, 208, 196)))
    carton = surface.texture(rng, surface.fill(height, width, card), (2, 40), 10)
    lid = int(rng.integers(height // 8, height // 4))
    carton[:lid] = surface.light(carton[:lid], np.full((1, 1), 152))
    carton[lid : lid + 2] = surface.shade(card, 50)
    tape = width // 2 + int(rng.integers(-width // 8, width // 8 + 1))
    color = surface.shade(surface.pick(rng, ((206, 178, 120), (150, 104, 56))), 100)
    cv2.rectangle(carton, (tape - 6, 0), (tape + 6, height * 2 // 5), color, -1)
    label_top, label_left = height // 2, int(rng.integers(4, max(5, width // 2)))
    bottom, right = min(height - 6, label_top + 26), min(width - 6, label_left + 40)
    if bottom - label_top > 10 and right - label_left > 12:
        cv2.rectangle(carton, (label_left, label_top), (right, bottom), (232, 232, 226), -1)
        box = label_top + 4, label_left + 4, bottom - 1, right - 3
        surface.lettering(rng, carton, box, (50, 50, 54))
    return surface.light(carton, surface.slope(width, int(rng.integers(106, 146)), 112))


def draw_umbrella(rng: Generator, height: int, width: int) -> Pixels:
    """Draw an open umbrella: shaded panels between curved ribs, scalloped rim, stick."""
    image = surface.street(rng, height, width)
    tip = width // 2 + int(rng.integers(-width // 6, width // 6 + 1)), int(rng.integers(-24, 6))
    rim = int(rng.integers(height * 8 // 10, height))
    cv2.line(image, (tip[0], rim // 2), (tip[0], height), (60, 60, 64), 4)
    first = surface.pick(rng, surface.PAINTS)
    second = surface.pick(rng, surface.PAINTS) if rng.integers(2) else first
    panels = int(rng.integers(5, 8))
    reach = int(rng.integers(width * 50 // 100, width * 60 // 100))
    # equal panels of a dome look narrower towards its sides
    turns = [2 * index - panels for index in range(panels + 1)]
    columns = [
        width // 2 + reach * turn * (3 * panels**2 - turn**2) // (2 * panels**3) for turn in turns
    ]
    rows = [rim - abs(column - width // 2) * height // (3 * width) for column in columns]
    for index in range(panels):
        left, right = (columns[index], rows[index]), (columns[index + 1], rows[index + 1])
        middle = (left[0] + right[0]) // 2, (left[1] + right[1]) // 2 - height // 7
        away = abs(2 * index - panels + 1 + int(rng.integers(-1, 2)))
        color = surface.shade(second if index % 2 else first, 116 - 70 * away // panels)
        ribs = _bend(tip, (left[0], tip[1] + rim // 5), left)
        outline = (
            ribs + _bend(left, middle, right) + _bend(right, (right[0], tip[1] + rim // 5), tip)
        )
        cv2.fillPoly(image, [np.array(outline, dtype=np.int32)], color, cv2.LINE_AA)
        cv2.polylines(
            image, [np.array(ribs, dtype=np.int32)], False, surface.shade(color, 60), 2, cv2.LINE_AA
        )
    return surface.texture(rng, image, (height // 3, width // 5), 26)


def _bend(
    start: tuple[int, int], pull: tuple[int, int], end: tuple[int, int]
) -> list[tuple[int, int]]:
    """Return nine points of the quadratic curve from ``start`` to ``end``."""
    return [
        (
            (start[0] * (8 - t) ** 2 + 2 * pull[0] * t * (8 - t) + end[0] * t * t) // 64,
            (start[1] * (8 - t) ** 2 + 2 * pull[1] * t * (8 - t) + end[1] * t * t) // 64,
        )
        for t in range(9)
    ]


def draw_bin(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a wheeled bin from the front: lid, ribs, a sticker, the wheels."""
    color = surface.pick(rng, ((40, 84, 56), (44, 48, 56), (60, 92, 140), (120, 120, 124)))
    image = surface.fill(height, width, color)
    for column in range(int(rng.integers(6, 14)), width, int(rng.integers(12, 26))):
        image[:, column : column + 3] = surface.shade(color, 66)
        image[:, column + 3 : column + 4] = surface.shade(color, 136)
    image = surface.light(image, surface.roundness(width, int(rng.integers(width)), 78, 150))
    lid = int(rng.integers(height // 6, height // 4))
    image[:lid] = surface.shade(surface.pick(rng, (color, (210, 170, 40), (60, 60, 66))), 115)
    image[lid : lid + 4] = surface.shade(color, 30)
    image[3:6] = np.minimum(image[3:6], 205) + 50
    side, top = int(rng.integers(20, 40)), int(rng.integers(height * 2 // 5, height // 2))
    left = int(rng.integers(width // 8, width - side - 8))
    cv2.rectangle(image, (left, top), (left + side, top + side), (226, 226, 220), -1)
    surface.lettering(rng, image, (top + 4, left + 4, top + side, left + side - 3), (50, 60, 60))
    for hub in (width // 8, width * 7 // 8):
        cv2.circle(image, (hub, height), height // 9, (20, 20, 22), -1, cv2.LINE_AA)
    return surface.texture(rng, image, (10, 10), 16)
