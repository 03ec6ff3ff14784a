"""From shapes to pixels: a small renderer that paints surface points, the nearest last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fed_plugin.datasets.synthocc.surface import Array, Part, Rings, Spots, lengths

_DENSITY = 1.2  # surface points per pixel along each direction; much below 1 the cloth has holes
_DEPTH_STEPS = 65535
_HIDDEN = -0.3  # columns that lie further than this share of the radius behind are never seen


@dataclass(frozen=True)
class Hits:
    """Hold what every covered pixel shows.

    Args:
        pixel: (N,) flat index into the picture.
        part: (N,) index of the part.
        spots: where on its part each pixel lies.
        normal: (N, 3) unit outward normals, z towards the viewer.
        depth: (N,) metres towards the viewer.
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
    parts: Sequence[Part],
    matrix: Array,
    shape: tuple[int, int],
    scale: float,
    origin: tuple[float, float],
) -> Hits:
    """Find the nearest surface point of every pixel.

    Args:
        parts: what to draw.
        matrix: (3, 3) rotation from the person's frame to the camera's (x right, y up, z near).
        shape: picture height and width in pixels.
        scale: pixels per metre.
        origin: pixel (x, y) of the person's ground point.
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
    before = table[left]
    dense = (before + (table[left + 1] - before) * weight).astype(np.float32)
    rows = dense[:, :9]
    down = np.empty_like(rows)
    down[1:-1], down[0], down[-1] = rows[2:] - rows[:-2], rows[1] - rows[0], rows[-1] - rows[-2]
    turns = _turns(int(table[:, 11:].max() * scale) + 1, part.roundness)
    if part.keep is None:
        turns = turns[:, _seen_columns(rows, turns)]
    return _Mesh(rows, down, dense[:, 9:12], turns, float(table[:, 11:].mean()))


def _table(rings: Rings, matrix: Array) -> tuple[Array, Array]:
    """Return (R, 13) rings in the camera's frame, and the way (R,) along their surface.

    The columns are centre, side, front, u, metres along the path, half width, half depth.
    """
    table = np.zeros((len(rings.centre), 13))
    table[:, 0:3] = rings.centre @ matrix.T
    table[:, 3:6] = rings.side @ matrix.T
    table[:, 6:9] = rings.front @ matrix.T
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
        box = _squared(np.cos(fine), roundness), _squared(np.sin(fine), roundness)
        reach = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(box[0]), np.diff(box[1])))])
        at = np.linspace(0, reach[-1], int(count * reach[-1] / (2 * np.pi)), endpoint=False)
        angle, cos, sin = (np.interp(at, reach, v) for v in (fine, *box))
    ahead = [np.roll(v, -1) - np.roll(v, 1) for v in (cos, sin)]
    return np.stack([cos, sin, *ahead, angle]).astype(np.float32)


def _squared(values: Array, roundness: float) -> Array:
    return np.sign(values) * np.abs(values) ** roundness


def _seen_columns(rows: Array, turns: Array) -> Array:
    near = rows[::4, 5, None] * turns[1] + rows[::4, 8, None] * turns[0]
    size = np.sqrt(rows[::4, 5] ** 2 + rows[::4, 8] ** 2)[:, None] + 1e-6
    return (near / size).max(axis=0) > _HIDDEN


def _points(
    part: Part, mesh: _Mesh, shape: tuple[int, int], scale: float, origin: tuple[float, float]
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
    cos, sin, dcos, dsin, angle = np.take(
        np.concatenate([m.turns for m in meshes], axis=1), col, axis=1
    )
    a = slope[0:3] + slope[3:6] * sin + slope[6:9] * cos
    b = side * dsin + front * dcos
    normal = np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], axis=1
    )
    # Seen from inside (an open jacket's lining), a surface shows its other face.
    normal *= np.where(normal[:, 2:] < 0, np.float32(-1), np.float32(1))
    normal /= np.sqrt(np.einsum("ij,ij->i", normal, normal))[:, None] + np.float32(1e-20)
    radius = np.array([m.radius for m in meshes], dtype=np.float32)[owner]
    spots = Spots(u=u, angle=angle, along=along, across=wide * sin, arc=angle * radius)
    return Hits(pixel, owner, spots, normal, depth[point])
