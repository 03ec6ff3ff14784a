"""Drawing of one person: renderer, light, placement and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from PIL import Image

from fed_plugin.synthocc.body import Pose, draw_pose, head_parts, leg_parts, skeleton, view_matrix
from fed_plugin.synthocc.clothes import bag_parts, carrying_side, upper_parts
from fed_plugin.synthocc.identity import Identity
from fed_plugin.synthocc.surface import RGB, Array, Part, Rings, Spots, cross, lengths, soft

# The renderer paints surface points into pixels, the nearest last.

_DENSITY = 1.2  # surface points per pixel along each direction; fewer leave holes
_DEPTH_STEPS = 65535
_HIDDEN = -0.3  # columns further behind than this share of the radius are hidden
Point = tuple[float, float]  # pixels (x, y)


@dataclass(frozen=True)
class Hits:
    """Surface points that N covered pixels show, with their places on their parts.

    ``pixel`` (N,) is a flat index in the picture, ``part`` (N,) that of the part. ``normal`` (N, 3)
    are outward unit normals, z towards the viewer; ``depth`` (N,) metres towards the viewer.
    """

    pixel: Array
    part: Array
    spots: Spots
    normal: Array
    depth: Array


@dataclass(frozen=True)
class _Mesh:
    rows: Array  # (R, 9) centre, side, front at dense rows, camera frame
    down: Array  # (R, 9) their differences along the path
    place: Array  # (R, 3) u, metres along the path, half width
    turns: Array  # (5, C) cos, sin, their differences, angle
    radius: float


def rasterise(
    parts: Sequence[Part], matrix: Array, shape: tuple[int, int], scale: float, origin: Point
) -> Hits:
    """Find the nearest surface point of every pixel of a picture of ``shape`` (height, width).

    ``matrix`` (3, 3) rotates the person's frame to the camera's (x right, y up, z near). ``scale``
    is in pixels per metre; ``origin`` is the pixel (x, y) of the person's ground point.
    """
    meshes = [_mesh(part, matrix, scale) for part in parts]
    points = [_points(p, m, shape, scale, origin) for p, m in zip(parts, meshes, strict=True)]
    pixel = np.concatenate([p for p, _ in points])
    depth = np.concatenate([d for _, d in points])
    floor, span = float(depth.min()), max(float(np.ptp(depth)), 1e-6)
    # A stable sort of 16-bit keys is a radix sort: quick, and the same on every processor.
    key = ((depth - np.float32(floor)) * np.float32(_DEPTH_STEPS / span)).astype(np.uint16)
    order = np.argsort(key, kind="stable")
    board = np.full(shape[0] * shape[1] + 1, -1, dtype=np.int64)
    board[pixel[order]] = order  # of several points on one pixel, the last one stays
    board = _close_holes(board[:-1].reshape(shape)).ravel()
    covered = np.flatnonzero(board >= 0)
    return _gather(meshes, covered, board[covered], depth)


def _mesh(part: Part, matrix: Array, scale: float) -> _Mesh:
    rings = part.rings
    table, reach = _table(rings, matrix)
    count = int(min(max(reach[-1] * scale * _DENSITY, 3), 900))
    at = np.arange(count) * (reach[-1] / (count - 1))
    left = np.minimum(np.searchsorted(reach, at, side="right") - 1, len(reach) - 2)
    gap = reach[left + 1] - reach[left]
    weight = ((at - reach[left]) / (gap + 1e-12))[:, None]
    dense = (table[left] + (table[left + 1] - table[left]) * weight).astype(np.float32)
    rows = dense[:, :9]
    down = np.empty_like(rows)
    down[1:-1], down[0], down[-1] = rows[2:] - rows[:-2], rows[1] - rows[0], rows[-1] - rows[-2]
    turns = _turns(int(table[:, 11:].max() * scale) + 1, part.roundness)
    if part.keep is None:
        near = rows[::4, 5, None] * turns[1] + rows[::4, 8, None] * turns[0]
        size = np.sqrt(rows[::4, 5] ** 2 + rows[::4, 8] ** 2)[:, None] + 1e-6
        turns = turns[:, (near / size).max(axis=0) > _HIDDEN]
    return _Mesh(rows, down, dense[:, 9:12], turns, float(table[:, 11:].mean()))


def _table(rings: Rings, matrix: Array) -> tuple[Array, Array]:
    """Return (R, 13) rings in the camera's frame, and lengths (R,) along the surface.

    The columns are centre, side, front, u, metres along the path, half width, half depth.
    """
    table = np.zeros((len(rings.centre), 13))
    for start, vectors in zip((0, 3, 6), (rings.centre, rings.side, rings.front), strict=True):
        table[:, start : start + 3] = vectors @ matrix.T
    table[:, 11], table[:, 12] = lengths(rings.side), lengths(rings.front)
    travel = lengths(rings.centre[1:] - rings.centre[:-1])
    np.cumsum(travel, out=table[1:, 10])
    table[:, 9] = table[:, 10] / max(table[-1, 10], 1e-9)
    growth = np.abs(table[1:, 11:] - table[:-1, 11:]).max(axis=1)
    reach = np.zeros(len(table))
    np.cumsum(np.hypot(travel, growth), out=reach[1:])
    return table, reach


@lru_cache(maxsize=512)
def _turns(radius: int, roundness: float) -> Array:
    """Return cos, sin, their differences and the angle, evenly spread around a section."""
    count = int(np.clip(2 * np.pi * radius * _DENSITY, 8, 1500))
    angle = np.linspace(-np.pi, np.pi, count, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    if roundness != 1.0:
        fine = np.linspace(-np.pi, np.pi, 721)
        box = [np.sign(v) * np.abs(v) ** roundness for v in (np.cos(fine), np.sin(fine))]
        reach = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(box[0]), np.diff(box[1])))])
        at = np.linspace(0, reach[-1], int(count * reach[-1] / (2 * np.pi)), endpoint=False)
        angle, cos, sin = (np.interp(at, reach, v) for v in (fine, *box))
    ahead = [np.roll(v, -1) - np.roll(v, 1) for v in (cos, sin)]
    return np.stack([cos, sin, *ahead, angle]).astype(np.float32)


def _points(
    part: Part, mesh: _Mesh, shape: tuple[int, int], scale: float, origin: Point
) -> tuple[Array, Array]:
    rows, cos, sin, angle = mesh.rows, mesh.turns[0], mesh.turns[1], mesh.turns[4]
    if part.bump:
        u = mesh.place[:, :1]
        lumps = np.sin(u * 23 + angle * 2) * np.sin(angle * 9 + 5 * np.sin(u * 11))
        cos, sin = cos * (1 + part.bump * lumps), sin * (1 + part.bump * lumps)
    x, y, z = (
        rows[:, k, None] + rows[:, 3 + k, None] * sin + rows[:, 6 + k, None] * cos for k in range(3)
    )
    px = (x * np.float32(scale) + np.float32(origin[0] + 512)).astype(np.int32) - 512
    py = (y * np.float32(-scale) + np.float32(origin[1] + 512)).astype(np.int32) - 512
    pixel = py * shape[1] + px
    outside = (px < 0) | (px >= shape[1]) | (py < 0) | (py >= shape[0])
    if part.keep is not None:
        outside |= ~part.keep(mesh.place[:, :1], angle[None, :])
    pixel[outside] = shape[0] * shape[1]
    return pixel.ravel(), (z + np.float32(part.layer)).ravel()


def _close_holes(board: Array) -> Array:
    # A pixel whose left and right (or upper and lower) neighbours are covered is covered too.
    middle, out = board[1:-1, 1:-1], board.copy()
    left, right = board[1:-1, :-2], board[1:-1, 2:]
    above, below = board[:-2, 1:-1], board[2:, 1:-1]
    flat = (middle < 0) & (left >= 0) & (right >= 0)
    steep = (middle < 0) & ~flat & (above >= 0) & (below >= 0)
    out[1:-1, 1:-1] = np.where(flat, left, np.where(steep, above, middle))
    return out


def _gather(meshes: Sequence[_Mesh], pixel: Array, point: Array, depth: Array) -> Hits:
    starts = np.cumsum([0] + [len(m.rows) * m.turns.shape[1] for m in meshes])
    owner = np.searchsorted(starts, point, side="right") - 1
    width = np.array([m.turns.shape[1] for m in meshes])
    row, col = np.divmod(point - starts[owner], width[owner])
    row += np.cumsum([0] + [len(m.rows) for m in meshes])[owner]
    col += np.cumsum([0] + list(width))[owner]
    tables = [np.concatenate([m.rows[:, 3:], m.down, m.place], axis=1) for m in meshes]
    r = np.take(np.ascontiguousarray(np.concatenate(tables).T), row, axis=1)
    side, front, slope, (u, along, wide) = r[0:3], r[3:6], r[6:15], r[15:]
    turns = np.concatenate([m.turns for m in meshes], axis=1)
    cos, sin, dcos, dsin, angle = np.take(turns, col, axis=1)
    a = slope[0:3] + slope[3:6] * sin + slope[6:9] * cos
    b = side * dsin + front * dcos
    normal = np.ascontiguousarray(cross(a.T, b.T))
    # A surface seen from inside (the lining of an open jacket) shows its other face.
    normal *= np.where(normal[:, 2:] < 0, np.float32(-1), np.float32(1))
    normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None] + np.float32(1e-20)
    radius = np.array([m.radius for m in meshes], dtype=np.float32)[owner]
    spots = Spots(u=u, angle=angle, along=along, across=wide * sin, arc=angle * radius)
    return Hits(pixel, owner, spots, normal, depth[point])


@dataclass(frozen=True)
class Light:
    """Light on a figure: the share from everywhere, and the strength of the directed ``key``.

    ``direction`` (3,) is a unit vector towards the lamp or sun, in the camera's frame.
    """

    direction: Array
    ambient: float
    key: float


@dataclass(frozen=True)
class Placement:
    """Place of a figure in a picture of ``shape`` (height, width), at ``scale`` pixels per metre.

    ``foot`` is the pixel (x, y) of the ground below the person. ``yaw`` is the turn of the person
    (0 faces the viewer), ``pitch`` the angle by which the camera looks down, both in radians.
    ``stretch`` is a factor on widths, as for a narrow box that is resized.
    """

    shape: tuple[int, int]
    scale: float
    foot: tuple[float, float]
    yaw: float
    pitch: float
    stretch: float = 1.0


def draw_figure(
    who: Identity, place: Placement, light: Light, rng: Generator
) -> tuple[Array, Array]:
    """Draw one person in a random pose, from ``rng`` too; the rest is as in :func:`draw_posed`."""
    return draw_posed(who, draw_pose(rng, carrying_side(who)), place, light, rng)


def draw_posed(
    who: Identity, pose: Pose, place: Placement, light: Light, rng: Generator
) -> tuple[Array, Array]:
    """Draw one person in a given pose, with folds from ``rng``.

    The result is colours (H, W, 3) in [0, 1], valid inside the mask, and the mask (H, W) of bool.
    """
    bones = skeleton(who.height, who.shoulders, pose)
    drawn = leg_parts, upper_parts, head_parts, bag_parts
    parts = [part for made in drawn for part in made(bones, who)]
    matrix = np.diag([place.stretch, 1.0, 1.0]) @ view_matrix(place.yaw, place.pitch)
    hits = rasterise(parts, matrix, place.shape, place.scale, place.foot)
    height, width = place.shape
    picture = np.zeros((height * width, 3), dtype=np.float32)
    picture[hits.pixel] = _shade(parts, hits, light, place, rng)
    mask = np.zeros(height * width, dtype=bool)
    mask[hits.pixel] = True
    return picture.reshape(height, width, 3), mask.reshape(height, width)


def _shade(parts: list[Part], hits: Hits, light: Light, place: Placement, rng: Generator) -> Array:
    colour = np.empty((len(hits.pixel), 3), dtype=np.float32)
    crease = np.ones(len(hits.pixel), dtype=np.float32)
    shine = np.zeros(len(hits.pixel), dtype=np.float32)
    for index, part in enumerate(parts):
        phase = rng.uniform(0, 2 * np.pi, 3)
        mine = np.flatnonzero(hits.part == index)
        if not len(mine):
            continue
        spots = hits.spots.where(mine)
        colour[mine] = part.paint(spots)
        shine[mine] = part.gloss
        if part.folds:
            along, angle = spots.along, spots.angle
            slow = np.sin(along * 17 + 2.2 * np.sin(angle + phase[0]) + phase[1])
            quick = np.sin(angle * 5 + along * 9 + phase[2])
            crease[mine] = 1 + part.folds * (0.055 * slow + 0.04 * quick * np.abs(slow))
    facing = hits.normal @ light.direction.astype(np.float32)
    diffuse = np.clip(0.18 + 0.82 * facing, 0, None)
    sky = 0.86 + 0.14 * hits.normal[:, 1]
    level = (light.ambient * sky + light.key * diffuse) * crease * _hollows(hits, place)
    half = light.direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    spark = np.clip(hits.normal @ half, 0, 1) ** 18 * shine * light.key
    return np.clip(colour * level[:, None] + spark[:, None], 0, 1).astype(np.float32)


def _hollows(hits: Hits, place: Placement) -> Array:
    """Return factors of light: places beside and behind nearer parts are darker."""
    floor = float(hits.depth.min())
    span = max(float(hits.depth.max()) - floor, 1e-6)
    board = np.zeros(place.shape[0] * place.shape[1], dtype=np.uint8)
    board[hits.pixel] = (55 + (hits.depth - floor) * (200 / span)).astype(np.uint8)
    blurred = soft(Image.fromarray(board.reshape(place.shape)), place.scale * 0.022)
    behind = np.asarray(blurred).ravel()[hits.pixel].astype(np.float32) - board[hits.pixel]
    return np.clip(1 - np.clip(behind * (span / 200), 0, None) * 5.0, 0.45, 1)


@dataclass(frozen=True)
class Camera:
    """View, light and picture of one camera.

    Args:
        scene: background, a key of ``scenes.SCENES``.
        floor: height of the line between wall and floor, a share of the picture's height.
        pitch: angle by which the camera looks down, radians.
        lamp: direction of the light (x right, y up, z towards the camera), any length.
        ambient: share of the light from everywhere.
        key: strength of the light from ``lamp``.
        gain: factors on linear red, green and blue.
        gamma: a value below 1 darkens middle tones, a value above 1 lightens them.
        colour: saturation, 1 for the drawn colours.
        haze: share of grey.
        blur: standard deviation of the lens, pixels of the final image.
        noise: standard deviation of the sensor's noise, in [0, 1].
        fill: least and greatest height of a person, shares of the picture's height.
        path: direction of most people, radians; 0 towards the camera.
        quality: quality of the JPEG files.
    """

    scene: str
    floor: float
    pitch: float
    lamp: tuple[float, float, float]
    ambient: float
    key: float
    gain: RGB
    gamma: float
    colour: float
    haze: float
    blur: float
    noise: float
    fill: tuple[float, float]
    path: float
    quality: int

    def light(self) -> Light:
        """Return the light that falls on people."""
        lamp = np.asarray(self.lamp)
        return Light(lamp / np.linalg.norm(lamp), self.ambient, self.key)

    def expose(self, picture: Array, rng: Generator) -> Array:
        """Return the (H, W, 3) uint8 that this camera records of a picture (H, W, 3) in [0, 1].

        Exposure, flicker and noise come from ``rng``.
        """
        light = np.clip(picture, 0, 1) ** 2.2
        gain = np.asarray(self.gain) * rng.normal(1.0, 0.04, 3) * rng.uniform(0.85, 1.15)
        slope = rng.uniform(-0.16, 0.16, 2)
        y, x = (np.linspace(-1, 1, side)[:, None] for side in picture.shape[:2])
        falloff = 1 + slope[0] * x + slope[1] * y[:, None]  # (H, W, 1)
        light = _blurred(light * gain * falloff, self.blur)
        seen = np.clip(light, 0, 1) ** (1 / (2.2 * self.gamma))
        grey = seen @ np.array([0.3, 0.59, 0.11])
        seen = grey[..., None] + (seen - grey[..., None]) * self.colour
        seen = seen * (1 - self.haze) + self.haze * 0.8
        seen += rng.normal(0.0, self.noise, picture.shape)
        return (np.clip(seen, 0, 1) * 255 + 0.5).astype(np.uint8)


def _blurred(picture: Array, sigma: float) -> Array:
    reach = max(int(np.ceil(2.5 * sigma)), 1)
    at = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (at / max(sigma, 1e-3)) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(picture, pad, mode="edge")
        length = picture.shape[axis]
        slices = (wide.take(range(i, i + length), axis=axis) for i in range(2 * reach + 1))
        picture = sum(w * s for w, s in zip(weights, slices, strict=True))
    return picture
