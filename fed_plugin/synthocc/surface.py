"""Shapes of body parts, garments and bags, and the look of cloth.

A shape is a stack of ellipses along a path, in metres. The person's frame is right-handed: x to the
person's left, y up, z forward. Paths run downwards, and forwards for feet; therefore angle 0 of
every ellipse is the front of the part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Array = np.ndarray
Keep = Callable[[Array, Array], Array]
Paint = Callable[["Spots"], Array]
Knot = tuple[float, float, float]


@dataclass(frozen=True)
class Rings:
    """Stack of R ellipses: (R, 3) centres, half axes to the person's left, and to the front."""

    centre: Array
    side: Array
    front: Array


@dataclass(frozen=True)
class Part:
    """Shape with its look.

    Args:
        paint: function from ``Spots`` (visible points of the part) to (N, 3) colours in [0, 1].
        keep: function from (position u in [0, 1], angle in [-pi, pi]) to True for cloth.
        roundness: 1 gives ellipses, smaller values boxes with rounded corners.
        bump: relative height of random lumps, for curls and fur.
        gloss: strength of the highlight in [0, 1].
        folds: strength of the folds in [0, 1].
        layer: metres towards the viewer that are added to the depth, for thin parts on others.
    """

    rings: Rings
    paint: Paint
    keep: Keep | None = None
    roundness: float = 1.0
    bump: float = 0.0
    gloss: float = 0.0
    folds: float = 0.0
    layer: float = 0.0


@dataclass(frozen=True)
class Spots:
    """Places of N surface points on their part, (N,) each, with lengths in metres.

    ``u`` is the position along the path, in [0, 1], ``along`` its length. ``angle`` is in
    [-pi, pi]; 0 is the front, positive the person's left. ``across`` is the distance from the front
    (or back) middle line, positive to the left, ``arc`` the way around from the front one.
    """

    u: Array
    angle: Array
    along: Array
    across: Array
    arc: Array

    def where(self, mask: Array) -> Spots:
        """Return only the points that ``mask`` selects."""
        return Spots(*(values[mask] for values in vars(self).values()))


def tube(
    path: Sequence[Array], profile: Sequence[Knot], across: Array, count: int = 20, soft: int = 0
) -> Rings:
    """Lay ``count`` ellipses along a path of corner points, (3,) each.

    ``profile`` holds knots (u, half width, half depth) with u rising from 0 to 1 along the path.
    Of the direction ``across`` (3,) of the half width, the part perpendicular to the path counts.
    The corners of the path are smoothed ``soft`` times.
    """
    corners = np.array(path, dtype=np.float64)
    reach = np.zeros(len(corners))
    np.cumsum(lengths(corners[1:] - corners[:-1]), out=reach[1:])
    u = _EVEN.setdefault(count, np.linspace(0.0, 1.0, count))
    at = u * reach[-1]
    centre = np.empty((count, 3))
    for axis in range(3):
        centre[:, axis] = np.interp(at, reach, corners[:, axis])
    for _ in range(soft):
        centre[1:-1] = (centre[:-2] + 2 * centre[1:-1] + centre[2:]) / 4
    tangent = np.empty_like(centre)
    tangent[1:-1] = centre[2:] - centre[:-2]
    tangent[0], tangent[-1] = centre[1] - centre[0], centre[-1] - centre[-2]
    tangent /= lengths(tangent)[:, None] + 1e-9
    side = across - tangent * (tangent @ across)[:, None]
    side /= lengths(side)[:, None] + 1e-9
    knots = np.array(profile, dtype=np.float64)
    wide = np.interp(u, knots[:, 0], knots[:, 1])[:, None]
    deep = np.interp(u, knots[:, 0], knots[:, 2])[:, None]
    return Rings(centre, side * wide, cross(tangent, side) * deep)


_EVEN: dict[int, Array] = {}
_BALL = np.linspace(0.02, np.pi - 0.02, 14)[:, None]


def lengths(vectors: Array) -> Array:
    """Return the lengths of (N, 3) vectors."""
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def cross(a: Array, b: Array) -> Array:
    """Return cross products along the last axis; NumPy's function is slow for few vectors."""
    out = np.empty_like(a)
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def ball(centre: Array, wide: float, high: float, deep: float, frame: Array | None = None) -> Rings:
    """Return an ellipsoid; the rows of ``frame`` (3, 3) are left, up and front."""
    left, up, front = np.eye(3) if frame is None else frame
    sin = np.sin(_BALL)
    return Rings(centre + up * np.cos(_BALL) * high, left * sin * wide, front * sin * deep)


def slab(path: Sequence[Array], wide: float, deep: float, across: Array) -> Rings:
    """Return a closed box along a path, for bags and shoes' soles."""
    profile = [(0.0, wide * 0.05, deep * 0.05), (0.04, wide * 0.9, deep * 0.9), (0.12, wide, deep)]
    profile += [(0.88, wide, deep), (0.96, wide * 0.95, deep * 0.95), (1.0, 0.01, 0.01)]
    return tube(path, profile, across, count=26)


def limb(path: list[Array], profile: Sequence[Knot], across: Array, size: float) -> Rings:
    """Return a limb along a bent path; ``profile`` is in metres for ``size`` 1."""
    return tube(path, scaled(profile, size), across, count=28, soft=3)


def scaled(profile: Sequence[Knot], size: float) -> list[Knot]:
    """Return the profile of a larger or smaller part."""
    return [(u, a * size, b * size) for u, a, b in profile]


def cut_limb(path: list[Array], reach: float) -> list[Array]:
    """Return the first ``reach`` (by length) of a two-bone path."""
    upper, lower = (np.linalg.norm(b - a) for a, b in pairwise(path))
    want = reach * (upper + lower)
    if want <= upper:
        return [path[0], path[0] + (path[1] - path[0]) * (want / upper)]
    return [*path[:2], path[1] + (path[2] - path[1]) * ((want - upper) / lower)]


# The look of cloth: colours, patterns and logos, by the place on the cloth.

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Cloth:
    """Surface of one garment, with two colours; a call with spots returns their colours.

    Args:
        pattern: one of ``PATTERNS``.
        logo: one of ``LOGOS``, drawn in the colour ``ink``.
        logo_at: metres from the top of the garment to the logo's centre.
        logo_size: metres from the logo's centre to its edge.
        trim: share of the length, at the end, in the accent colour (cuffs, hems).
        split: metres from the top where ``top_block`` and ``bottom_block`` change colour.
        seam: True for an accent stripe down both sides.
    """

    base: RGB
    accent: RGB = (1.0, 1.0, 1.0)
    pattern: str = "plain"
    logo: str = "none"
    ink: RGB = (1.0, 1.0, 1.0)
    logo_front: bool = True
    logo_back: bool = True
    logo_at: float = 0.24
    logo_size: float = 0.1
    trim: float = 0.0
    split: float = 0.3
    zip_line: bool = False
    seam: bool = False

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        share = pattern_share(self.pattern, spots, self.split)[:, None]
        colour = np.asarray(self.base) * (1 - share) + np.asarray(self.accent) * share
        if self.trim:
            colour[spots.u > 1 - self.trim] = self.accent
        if self.zip_line:
            colour[(np.abs(spots.arc) < 0.008)] = np.asarray(self.base) * 0.45
        if self.seam:
            colour[np.abs(np.cos(spots.angle)) < 0.34] = self.accent
        if self.logo != "none":
            ahead = np.abs(spots.angle) < np.pi / 2
            x = np.where(ahead, spots.across, -spots.across) / self.logo_size
            y = (self.logo_at - spots.along) / self.logo_size
            colour[logo_mask(self.logo, x, y) & (self.logo_front | ~ahead)] = self.ink
        return colour


def pattern_share(pattern: str, spots: Spots, split: float) -> Array:
    """Return the share of accent colour of N places, (N,); blocks change at ``split`` metres."""
    along, arc = spots.along, spots.arc
    shares = {
        "plain": lambda: np.zeros(along.shape, dtype=bool),
        "hoops": lambda: along % 0.096 < 0.048,
        "wide_hoops": lambda: (along + 0.06) % 0.21 < 0.105,
        "pinstripes": lambda: (arc + 0.016) % 0.085 < 0.032,
        "bars": lambda: (arc + 0.05) % 0.2 < 0.1,
        "checks": lambda: (along % 0.13 < 0.065) ^ ((arc + 0.033) % 0.13 < 0.065),
        "dots": lambda: _dots(along, arc),
        "top_block": lambda: along < split,
        "bottom_block": lambda: along >= split,
        "half": lambda: spots.across > 0,
        "diagonal": lambda: (along + arc * 0.9) % 0.16 < 0.065,
        "chest_band": lambda: np.abs(along - split * 0.9) < 0.065,
        "zigzag": lambda: (along + 0.7 * np.abs(arc % 0.1 - 0.05)) % 0.12 < 0.05,
        "diamonds": lambda: np.abs(along % 0.16 - 0.08) + np.abs(arc % 0.13 - 0.065) < 0.055,
        "tartan": lambda: 0.5 * (along % 0.12 < 0.05) + 0.5 * ((arc + 0.02) % 0.12 < 0.05),
        "blotches": lambda: _blotches(along, arc),
    }
    return shares[pattern]().astype(np.float64)


def _dots(along: Array, arc: Array) -> Array:
    row = np.floor(along / 0.075)
    x = (arc + 0.045 * (row % 2)) % 0.09 - 0.045
    return np.hypot(x, along % 0.075 - 0.0375) < 0.026


def _blotches(along: Array, arc: Array) -> Array:
    waves = np.sin(along * 41 + 2.1 * np.sin(arc * 29))
    return waves + np.sin(arc * 37 + 1.7 * np.sin(along * 31)) > 0.25


def logo_mask(logo: str, x: Array, y: Array) -> Array:
    """Return True for places with ink, for a logo of half size 1 around (0, 0); y points up."""
    r, box = np.hypot(x, y), np.maximum(np.abs(x), np.abs(y))
    turn = np.arctan2(x, y)
    masks = {
        "disc": lambda: r < 0.95,
        "square": lambda: box < 0.82,
        "triangle": lambda: (y > -0.75) & (np.abs(x) < (0.95 - y) * 0.58),
        "ring": lambda: (r < 1.05) & (r > 0.58),
        "cross": lambda: (box < 1.0) & (np.minimum(np.abs(x), np.abs(y)) < 0.3),
        "star": lambda: _star(r, turn),
        "heart": lambda: (x**2 + (y * 1.05 - 0.62 * np.sqrt(np.abs(x))) ** 2) < 0.72,
        "bars": lambda: (np.abs(x) < 1.15) & (np.abs(y) < 0.95) & (np.floor(y * 2.6 + 0.5) % 2 < 1),
        "bolt": lambda: (np.abs(x + 0.5 * y - 0.45 * np.sign(y)) < 0.36) & (np.abs(y) < 1.1),
    }
    return masks[logo]()


def _star(r: Array, turn: Array) -> Array:
    tip, dent, fold = 1.15, 0.5, np.pi / 5
    angle = np.abs((turn + fold) % (2 * fold) - fold)
    x, y = r * np.cos(angle), r * np.sin(angle)
    edge = dent * np.cos(fold) - tip, dent * np.sin(fold)
    return edge[0] * y - edge[1] * (x - tip) > 0


def shaded(colour: RGB, factor: float) -> RGB:
    """Return a darker (factor < 1) or lighter colour in [0, 1]."""
    r, g, b = (min(max(c * factor, 0.0), 1.0) for c in colour)
    return (r, g, b)


@dataclass(frozen=True)
class Flat:
    """Surface of one colour; ``sole`` is the colour of the faces that look down."""

    colour: RGB
    sole: RGB | None = None

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        colour = np.tile(self.colour, (len(spots.u), 1))
        if self.sole is not None:
            colour[np.abs(spots.angle) > 2.0] = self.sole
        return colour


# Painting of backgrounds and occluders.

Pen = ImageDraw.ImageDraw
Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""

SCENE_SIZE = (840, 460)  # width and height in pixels; a window of 192 x 384 is cut out


def ink(colour: RGB, factor: float = 1.0) -> tuple[int, int, int]:
    """Return a colour in [0, 1] as 8-bit RGB, darkened or lightened by ``factor``."""
    r, g, b = (int(255 * min(max(c * factor, 0.0), 1.0)) for c in colour)
    return (r, g, b)


def any_colour(rng: Generator, low: float = 0.1, high: float = 0.9) -> RGB:
    """Draw a colour with channels between ``low`` and ``high``."""
    r, g, b = (float(v) for v in rng.uniform(low, high, 3))
    return (r, g, b)


def speckle(rng: Generator, size: tuple[int, int], cell: int) -> Image.Image:
    """Return grey noise with grains of ``cell`` pixels, mean 128, as an ``L`` picture."""
    width, height = size
    grains = rng.integers(0, 256, (height // cell + 2, width // cell + 2), dtype=np.uint8)
    whole = grains.shape[1] * cell, grains.shape[0] * cell
    picture = Image.fromarray(grains).resize(whole, Image.Resampling.BICUBIC)
    return picture.crop((0, 0, width, height))


def textured(picture: Image.Image, rng: Generator, amount: float) -> Image.Image:
    """Return the picture with noise; ``amount`` is the share of full contrast."""
    noise = Image.blend(speckle(rng, picture.size, 3), speckle(rng, picture.size, 21), 0.5)
    grey = Image.blend(Image.new("L", picture.size, 128), noise, amount)
    return ImageChops.overlay(picture, Image.merge("RGB", (grey, grey, grey)))


def leaves(draw: Pen, rng: Generator, box: Box, colour: RGB, count: int, size: float) -> None:
    """Fill an ellipse with leaves, dark below and inside, light above."""
    left, top, right, bottom = box
    angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
    x = (left + right) / 2 + np.cos(angle) * reach * (right - left) / 2
    y = (top + bottom) / 2 + np.sin(angle) * reach * (bottom - top) / 2
    high = 1 - (y - top) / max(bottom - top, 1e-6)
    light = 0.45 + 0.75 * high * np.linspace(0.55, 1.0, count) + rng.uniform(-0.12, 0.12, count)
    half = size * rng.uniform(0.6, 1.3, (count, 2))
    lean = rng.uniform(0, np.pi, count)
    for i in range(count):
        c, s = np.cos(lean[i]) * half[i, 0], np.sin(lean[i]) * half[i, 0]
        ox, oy = -s * 0.45, c * 0.45
        points = [(x[i] + a, y[i] + b) for a, b in ((-c, -s), (ox, oy), (c, s), (-ox, -oy))]
        draw.polygon(points, fill=ink(colour, float(light[i])))


def shaded_by(picture: Image.Image, shade: Image.Image) -> Image.Image:
    """Return the RGB picture multiplied by an ``L`` picture."""
    return ImageChops.multiply(picture, Image.merge("RGB", (shade, shade, shade)))


def soft(picture: Image.Image, radius: float) -> Image.Image:
    """Return the picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def as_floats(picture: Image.Image) -> Array:
    """Return an RGB picture as (H, W, 3) float32 in [0, 1]."""
    return np.asarray(picture, dtype=np.float32) / 255


def paving(draw: Pen, line: int, rng: Generator, colour: RGB, cell: int) -> None:
    """Pave the floor: rows grow towards the viewer, joints run to a vanishing point."""
    width, height = SCENE_SIZE
    draw.rectangle((0, line, width, height), fill=ink(colour))
    y, deep = float(line), cell * 0.22
    while y < height:
        for x in range(-2 * width, 3 * width, cell):
            if rng.random() < 0.3:
                near, far = (y + deep - line) / 300 + 1, (y - line) / 300 + 1
                upper = [_away(x, far, y), _away(x + cell, far, y)]
                lower = [_away(x + cell, near, y + deep), _away(x, near, y + deep)]
                draw.polygon(upper + lower, fill=ink(colour, float(rng.uniform(0.9, 1.07))))
        draw.line((0, y, width, y), fill=ink(colour, 0.72))
        y, deep = y + deep, deep * 1.28
    for x in range(-2 * width, 3 * width, cell):
        near = (height - line) / 300 + 1
        draw.line((*_away(x, 1.0, line), *_away(x, near, height)), fill=ink(colour, 0.72))


def _away(x: float, factor: float, y: float) -> tuple[float, float]:
    return (SCENE_SIZE[0] / 2 + (x - SCENE_SIZE[0] / 2) * factor, y)
