"""Heads: face, hair, beards, hats, scarves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fed_plugin.datasets.synthocc.identity import COLOURS, HAIR_COLOURS, SKIN, Identity
from fed_plugin.datasets.synthocc.materials import RGB, Flat, shaded
from fed_plugin.datasets.synthocc.skeleton import Skeleton
from fed_plugin.datasets.synthocc.surface import Array, Keep, Part, Rings, Spots, ball, tube

_WIDE, _HIGH, _DEEP = 0.078, 0.122, 0.098


def head_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return the head with everything on it."""
    k = bones.size**0.5
    skin = SKIN[who.skin]
    frame = bones.head_frame
    face = Face(skin, HAIR_COLOURS[who.hair_colour] if who.beard else None)
    throat = bones.neck - bones.trunk[1] * 0.03
    neck = tube(
        [bones.head - frame[1] * 0.03, throat],
        [(0, 0.054, 0.056), (1, 0.062, 0.062)],
        bones.trunk[0],
        8,
    )
    nose = bones.head + (frame[2] * 0.096 - frame[1] * 0.012) * k
    parts = [
        Part(_skull(bones, 1.0), face),
        Part(neck, Flat(shaded(skin, 0.93))),
        Part(ball(nose, 0.014 * k, 0.022 * k, 0.02 * k, frame), Flat(skin)),
    ]
    for side in (1, -1):
        ear = bones.head + (frame[0] * 0.077 * side - frame[2] * 0.005) * k
        rings = ball(ear, 0.012 * k, 0.028 * k, 0.02 * k, frame)
        parts.append(Part(rings, Flat(shaded(skin, 0.92))))
    parts += _hair(bones, who) + _hat(bones, who)
    if who.scarf:
        parts.append(_scarf(bones, who))
    return parts


@dataclass(frozen=True)
class Face:
    """Paint eyes, brows, mouth and beard on a skull."""

    skin: RGB
    beard: RGB | None

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        y, angle = np.cos(spots.u * np.pi), spots.angle
        colour = np.empty((len(y), 3))
        colour[:] = self.skin
        cheeks = np.exp(-((y + 0.2) ** 2) / 0.03 - (np.abs(angle) - 0.55) ** 2 / 0.05)[:, None]
        colour += cheeks * np.array([0.03, -0.05, -0.04])
        if self.beard is not None:
            colour[(y < -0.3) & (np.abs(angle) < 1.5)] = self.beard
        eyes = np.hypot((y - 0.06) / 0.085, (np.abs(angle) - 0.42) / 0.17) < 1
        brows = (np.abs(y - 0.25) < 0.045) & (np.abs(np.abs(angle) - 0.42) < 0.22)
        mouth = (np.abs(y + 0.52) < 0.045) & (np.abs(angle) < 0.32)
        colour[brows] = np.asarray(self.skin) * 0.45
        colour[eyes] = (0.10, 0.08, 0.08)
        colour[mouth] = (0.62, 0.27, 0.26)
        return colour


def _skull(bones: Skeleton, swell: float, rise: float = 0.0) -> Rings:
    turn = np.linspace(0.03, np.pi - 0.03, 22)[:, None]
    left, up, ahead = bones.head_frame
    k = bones.size**0.5
    low = np.clip(-np.cos(turn), 0, 1)
    wide = np.sin(turn) * (1 - 0.22 * low) * _WIDE * swell * k
    deep = np.sin(turn) * (1 - 0.18 * low) * _DEEP * swell * k
    centre = bones.head + up * (np.cos(turn) * _HIGH * swell + rise) * k + ahead * 0.018 * low * k
    return Rings(centre, left * wide, ahead * deep)


def _hair(bones: Skeleton, who: Identity) -> list[Part]:
    if who.hair == "bald":
        return []
    paint = Strands(HAIR_COLOURS[who.hair_colour])
    capped = who.hat != "none"
    swell = {"curly": 1.34, "bob": 1.16, "long": 1.13}.get(who.hair, 1.1)
    bump = 0.07 if who.hair == "curly" else 0.0
    low = {"bob": -0.72, "long": -0.8, "curly": -0.35}.get(who.hair, -0.42)
    cut = _hairline(front=0.55, side=0.05 if who.hair != "bob" else -0.7, back=low)
    shape = _skull(bones, 1.08 if capped else swell, rise=0.008)
    parts = [Part(shape, paint, keep=cut, gloss=0.25, bump=bump)]
    up, back = bones.head_frame[1], -bones.head_frame[2]
    k = bones.size**0.5
    if who.hair in ("long", "ponytail"):
        thin = who.hair == "ponytail"
        start = bones.head + (up * (0.05 if thin else 0.0) + back * (0.1 if thin else 0.05)) * k
        middle = (
            bones.head + (up * (0.03 if thin else -0.12) + back * 0.15 * (1 if thin else 0.6)) * k
        )
        end = bones.neck + (-bones.trunk[1] * (0.14 if thin else 0.2) - bones.trunk[2] * 0.135) * k
        width = 0.034 if thin else 0.082
        knots = [(0, width * 0.5, width * 0.4), (0.25, width, width * 0.62)]
        knots += [(0.8, width * 0.95, width * 0.5), (1, width * 0.3, width * 0.2)]
        rings = tube([start, middle, end], knots, bones.head_frame[0], 18, soft=3)
        parts.append(Part(rings, paint, gloss=0.25))
    if who.hair == "bun":
        knot = bones.head + (up * 0.115 + back * 0.07) * k
        parts.append(Part(ball(knot, 0.052, 0.05, 0.052), paint, gloss=0.25))
    return parts


def _hairline(front: float, side: float, back: float) -> Keep:
    def keep(u: Array, angle: Array) -> Array:
        knots = [0.0, 0.75, 1.05, 1.5, 2.1, np.pi]
        edge = [front, front - 0.08, 0.2 + side * 0.6, side, (side + back) / 2 - 0.05, back]
        return np.cos(u * np.pi) > np.interp(np.abs(angle), knots, edge)

    return keep


@dataclass(frozen=True)
class Strands:
    """Paint hair with lighter and darker strands."""

    colour: RGB

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        strands = 0.5 * np.sin(spots.angle * 17 + 3 * np.sin(spots.u * 7)) + 0.5 * np.sin(
            spots.angle * 41
        )
        return np.asarray(self.colour) * (1 + 0.16 * strands[:, None])


def _hat(bones: Skeleton, who: Identity) -> list[Part]:
    if who.hat == "none":
        return []
    k = bones.size**0.5
    left, up, ahead = bones.head_frame
    colour = COLOURS[who.bag_colour if who.bag != "none" else who.shoe_colour]
    edge = {"cap": 0.3, "beanie": 0.1, "brim": 0.32}[who.hat]
    swell = 1.2 if who.hat == "beanie" else 1.16

    def keep(u: Array, angle: Array) -> Array:
        return np.cos(u * np.pi) > edge + 0 * angle

    dome = Part(_skull(bones, swell, rise=0.012), Band(colour, who.hat), keep=keep)
    at = bones.head + up * (np.array(edge) * _HIGH * swell + 0.016) * k
    if who.hat == "beanie":
        return [dome, Part(ball(at + up * 0.115 * k, 0.03, 0.028, 0.03), Flat((0.9, 0.9, 0.88)))]
    if who.hat == "cap":
        peak = tube(
            [at + ahead * 0.06 * k, at + (ahead * 0.185 - up * 0.015) * k],
            [
                (0, 0.08 * k, 0.012),
                (0.5, 0.072 * k, 0.012),
                (0.9, 0.05 * k, 0.01),
                (1, 0.01, 0.004),
            ],
            left,
            12,
        )
        return [dome, Part(peak, Flat(shaded(colour, 0.8)))]
    turn = np.linspace(0.05, np.pi - 0.05, 9)[:, None]
    disc = Rings(
        at + up * np.cos(turn) * 0.012,
        left * np.sin(turn) ** 0.5 * 0.165 * k,
        ahead * np.sin(turn) ** 0.5 * 0.18 * k,
    )
    return [dome, Part(disc, Flat(shaded(colour, 0.9)))]


@dataclass(frozen=True)
class Band:
    """Paint a hat with its ribbon, turn-up or button."""

    colour: RGB
    kind: str

    def __call__(self, spots: Spots) -> Array:
        """Return (N, 3) colours of the given places."""
        colour = np.empty((len(spots.u), 3))
        colour[:] = self.colour
        y = np.cos(spots.u * np.pi)
        if self.kind == "brim":
            colour[y < 0.55] = shaded(self.colour, 0.35)
        if self.kind == "beanie":
            colour *= (1 + 0.1 * np.sign(np.sin(spots.angle * 26)))[:, None]
            colour[y < 0.34] = shaded(self.colour, 0.7)
        return np.clip(colour, 0, 1)


def _scarf(bones: Skeleton, who: Identity) -> Part:
    top, low = bones.neck + bones.trunk[1] * 0.055, bones.neck - bones.trunk[1] * 0.045
    knots = [(0, 0.06, 0.06), (0.25, 0.094, 0.094), (0.75, 0.104, 0.1), (1, 0.075, 0.07)]
    rings = tube([top, low], knots, bones.trunk[0], 12)
    return Part(rings, Flat(COLOURS[who.accent]), folds=1.5)
