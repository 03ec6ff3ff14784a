"""Bags: backpacks, messenger bags, handbags and totes, with their straps."""

from __future__ import annotations

import numpy as np

from fed_plugin.datasets.synthocc.identity import COLOURS, Identity
from fed_plugin.datasets.synthocc.materials import Cloth, Flat, shaded
from fed_plugin.datasets.synthocc.skeleton import Skeleton
from fed_plugin.datasets.synthocc.surface import Array, Part, slab, tube


def bag_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return the person's bag, if any."""
    if who.bag == "backpack":
        return _backpack(bones, who)
    if who.bag == "messenger":
        return _messenger(bones, who)
    if who.bag in ("handbag", "tote"):
        return _carried(bones, who)
    return []


def carrying_side(who: Identity) -> int | None:
    """Return which hand (+1 left, -1 right) is busy with a bag, or None."""
    return who.side if who.bag in ("handbag", "tote") else None


def _backpack(bones: Skeleton, who: Identity) -> list[Part]:
    k, (left, up, ahead) = bones.size, bones.trunk
    colour = COLOURS[who.bag_colour]
    back = bones.pelvis - ahead * 0.225 * k
    body = slab([back + up * 0.51 * k, back + up * 0.09 * k], 0.15 * k, 0.1 * k, left)
    pocket = back - ahead * 0.095 * k
    front = slab([pocket + up * 0.29 * k, pocket + up * 0.11 * k], 0.115 * k, 0.035 * k, left)
    parts = [
        Part(body, Cloth(colour, shaded(colour, 0.55), belt=0.0), roundness=0.55),
        Part(front, Flat(shaded(colour, 0.72)), roundness=0.55),
    ]
    strap = Flat(shaded(colour, 0.6))
    for side in (1, -1):
        x = left * side * k
        path = [
            bones.pelvis + x * 0.1 + up * 0.46 * k - ahead * 0.13 * k,
            bones.pelvis + x * 0.112 + up * 0.555 * k - ahead * 0.02 * k,
            bones.pelvis + x * 0.105 + up * 0.5 * k + ahead * 0.115 * k,
            bones.pelvis + x * 0.125 + up * 0.3 * k + ahead * 0.145 * k,
            bones.pelvis + x * 0.175 + up * 0.2 * k - ahead * 0.05 * k,
        ]
        rings = tube(path, [(0, 0.027, 0.02), (1, 0.022, 0.016)], left, 26, soft=2)
        parts.append(Part(rings, strap, layer=0.02))
    return parts


def _messenger(bones: Skeleton, who: Identity) -> list[Part]:
    k, (left, up, ahead) = bones.size, bones.trunk
    colour, side = COLOURS[who.bag_colour], who.side
    wide = 0.2 * who.girth
    at = bones.pelvis + bones.hips_frame[0] * side * (wide + 0.055) * k
    across = bones.hips_frame[2]
    body = slab([at + up * 0.08 * k, at - up * 0.19 * k], 0.17 * k, 0.055 * k, across)
    flap = slab([at + up * 0.085 * k, at - up * 0.07 * k], 0.172 * k, 0.06 * k, across)
    parts = [
        Part(body, Flat(colour), roundness=0.6),
        Part(flap, Flat(shaded(colour, 0.75)), roundness=0.6, layer=0.002),
    ]
    strap = Flat(shaded(colour, 0.55))
    top = bones.pelvis - left * side * 0.085 * k + up * 0.565 * k
    deep = 0.15 * (0.5 + 0.5 * who.girth)
    for face in (1, -1):
        middle = bones.pelvis + up * 0.31 * k + ahead * face * deep * k + left * side * 0.06 * k
        high = bones.pelvis + up * 0.47 * k + ahead * face * 0.125 * k - left * side * 0.045 * k
        path = [top, high, middle, at + up * 0.06 * k + ahead * face * 0.06 * k]
        rings = tube(path, [(0, 0.022, 0.02), (1, 0.022, 0.02)], left, 26, soft=2)
        parts.append(Part(rings, strap, layer=0.02))
    return parts


def _carried(bones: Skeleton, who: Identity) -> list[Part]:
    k, colour = bones.size, COLOURS[who.bag_colour]
    hand = bones.wrists[0 if who.side > 0 else 1] + np.array([0.0, -0.09, 0.0]) * k
    ahead = bones.hips_frame[2]
    down = np.array([0.0, -1.0, 0.0])
    tote = who.bag == "tote"
    wide, high, deep = (0.17, 0.33, 0.055) if tote else (0.14, 0.18, 0.07)
    drop = 0.1 if tote else 0.07
    top = hand + down * drop * k
    body = slab([top, top + down * high * k], wide * k, deep * k, ahead)
    cloth = Cloth(colour, shaded(colour, 1.5), "hoops") if tote else Flat(colour)
    parts = [Part(body, cloth, roundness=0.5, gloss=0.0 if tote else 0.3)]
    for end in (1, -1):
        path = [hand, hand + ahead * end * 0.05 * k, top + ahead * end * wide * 0.6 * k]
        handle = tube(path, [(0, 0.011, 0.011), (1, 0.011, 0.011)], _sideways(bones), 10)
        parts.append(Part(handle, Flat(shaded(colour, 0.6))))
    return parts


def _sideways(bones: Skeleton) -> Array:
    return bones.hips_frame[0]
