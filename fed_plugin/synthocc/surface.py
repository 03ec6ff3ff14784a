"""Shapes: every body part, garment and bag is a stack of ellipses along a path, in metres.

The person's frame is right-handed: x to the person's left, y up, z forward; a person who faces
the viewer shows the person's left hand on the right of the picture. Paths run downwards (or
forwards, for feet), which puts angle 0 of every ellipse on the front of the part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

Array = np.ndarray
Keep = Callable[[Array, Array], Array]
Knot = tuple[float, float, float]


@dataclass(frozen=True)
class Rings:
    """Hold a stack of R ellipses.

    Args:
        centre: (R, 3) centres.
        side: (R, 3) half axes towards the person's left.
        front: (R, 3) half axes towards the front.
    """

    centre: Array
    side: Array
    front: Array


@dataclass(frozen=True)
class Part:
    """Join a shape with what it looks like.

    Args:
        rings: the shape.
        paint: maps ``Spots`` (visible surface points of this part) to (N, 3) colours in [0, 1].
        keep: maps (ring position u in [0, 1], angle in [-pi, pi]) to True where there is cloth.
        roundness: 1 gives ellipses, smaller values boxes with rounded corners.
        bump: relative height of random lumps, for curls and fur.
        gloss: strength of the highlight in [0, 1].
        folds: strength of the folds in [0, 1].
        layer: metres by which the part is moved towards the viewer when depths are compared, for
            thin things that lie on others.
    """

    rings: Rings
    paint: Callable[[Spots], Array]
    keep: Keep | None = None
    roundness: float = 1.0
    bump: float = 0.0
    gloss: float = 0.0
    folds: float = 0.0
    layer: float = 0.0


@dataclass(frozen=True)
class Spots:
    """Name the places of N surface points on their part.

    Args:
        u: (N,) position along the path in [0, 1].
        angle: (N,) in [-pi, pi]; 0 is the front, positive the person's left.
        along: (N,) metres along the path.
        across: (N,) metres from the front (or back) middle line, positive to the left.
        arc: (N,) metres around the part from the front middle line.
    """

    u: Array
    angle: Array
    along: Array
    across: Array
    arc: Array

    def where(self, mask: Array) -> Spots:
        """Return only the points that ``mask`` selects."""
        return replace(
            self,
            u=self.u[mask],
            angle=self.angle[mask],
            along=self.along[mask],
            across=self.across[mask],
            arc=self.arc[mask],
        )


def tube(
    path: Sequence[Array],
    profile: Sequence[Knot],
    across: Array,
    count: int = 20,
    soft: int = 0,
) -> Rings:
    """Lay ellipses along a path.

    Args:
        path: corner points, (3,) each.
        profile: (u, half width, half depth) knots with u rising from 0 to 1 along the path.
        across: (3,) direction of the half width; made perpendicular to the path everywhere.
        count: number of ellipses.
        soft: how many rounds of smoothing the corners of the path get.
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
    """Return cross products along the last axis; for few vectors much quicker than NumPy's."""
    out = np.empty_like(a)
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def ball(centre: Array, wide: float, high: float, deep: float, frame: Array | None = None) -> Rings:
    """Return an ellipsoid; ``frame`` (3, 3) holds its left, up and front directions as rows."""
    left, up, front = np.eye(3) if frame is None else frame
    turn = _BALL
    return Rings(
        centre + up * np.cos(turn) * high,
        left * np.sin(turn) * wide,
        front * np.sin(turn) * deep,
    )


def slab(path: Sequence[Array], wide: float, deep: float, across: Array, count: int = 14) -> Rings:
    """Return a closed box along a path, for bags and shoes' soles."""
    profile = [(0.0, wide * 0.05, deep * 0.05), (0.04, wide * 0.9, deep * 0.9), (0.12, wide, deep)]
    profile += [(0.88, wide, deep), (0.96, wide * 0.95, deep * 0.95), (1.0, 0.01, 0.01)]
    return tube(path, profile, across, count=max(count, 26))


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
    return [path[0], path[1], path[1] + (path[2] - path[1]) * ((want - upper) / lower)]
