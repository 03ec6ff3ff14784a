"""Clothes of trunk and arms, and bags."""

from __future__ import annotations

import numpy as np

from fed_plugin.synthocc.body import Skeleton, arm_parts, skirt, trunk_rings
from fed_plugin.synthocc.identity import COLOURS, Identity
from fed_plugin.synthocc.surface import Array, Cloth, Flat, Part, shaded, slab, tube

# Lower edge over the hip joints, ease and extra width of the hem, all in metres.
_CUTS = {
    "tshirt": (-0.07, 0.017, 0.016),
    "longsleeve": (-0.05, 0.015, 0.012),
    "hoodie": (-0.06, 0.03, 0.0),
    "jacket": (-0.05, 0.032, 0.006),
    "coat": (-0.42, 0.036, 0.05),
    "vest": (-0.05, 0.03, 0.004),
    "dress": (0.08, 0.012, 0.0),
}


def upper_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return clothes of trunk and arms, with the bare arms."""
    low, ease, hem = _CUTS[who.upper]
    cloth = upper_cloth(who)
    rings = trunk_rings(bones, who, low, ease, hem, top=0.55)
    opened = who.upper in ("jacket", "coat", "vest")
    start, end = (0.2, 0.75) if who.upper != "coat" else (0.25, 0.5)

    def beside_opening(u: Array, angle: Array) -> Array:
        return np.abs(angle) > start + (end - start) * u

    parts = [Part(rings, cloth, keep=beside_opening if opened else None, folds=1.0)]
    if opened:
        inner = trunk_rings(bones, who, -0.04, 0.012)
        parts.append(Part(inner, Flat(COLOURS[who.accent]), folds=0.7))
    if who.upper == "dress":
        plain = {"top_block": cloth.base, "chest_band": cloth.base, "bottom_block": cloth.accent}
        lower = Cloth(cloth.base, cloth.accent, cloth.pattern)
        if cloth.pattern in plain:
            lower = Cloth(plain[cloth.pattern])
        parts.append(skirt(bones, who, lower, 0.42, 0.12))
    if who.upper == "hoodie":
        parts += _hood(bones, cloth)
    if opened and who.upper != "vest":
        parts.append(_collar(bones, cloth))
    reach = {"short": 0.42, "long": 1.0}[who.sleeves]
    sleeve = Flat(COLOURS[who.accent]) if who.upper == "vest" else sleeve_cloth(who)
    parts += arm_parts(bones, who, sleeve, reach)
    return parts


def upper_cloth(who: Identity) -> Cloth:
    """Return the cloth of the trunk."""
    return Cloth(
        base=COLOURS[who.upper_colour],
        accent=COLOURS[who.accent],
        pattern=who.pattern,
        logo=who.logo,
        ink=COLOURS[who.accent],
        logo_at=0.2,
        logo_size=0.105,
        logo_front=who.upper not in ("jacket", "coat", "vest"),
        split=0.3 if who.upper != "coat" else 0.45,
        zip_line=who.upper == "hoodie" and who.logo == "none",
    )


def sleeve_cloth(who: Identity) -> Cloth:
    """Return the cloth of the sleeves, which follows the pattern of the trunk."""
    colours = COLOURS[who.upper_colour], COLOURS[who.accent]
    if who.pattern in ("top_block", "chest_band"):
        return Cloth(*colours, "top_block", split=0.25)
    if who.pattern in ("half", "plain", "bottom_block"):
        has_trim = who.logo == "bars" and who.pattern != "bottom_block"
        return Cloth(*colours, trim=0.1 if has_trim else 0.0)
    return Cloth(*colours, who.pattern)


def _hood(bones: Skeleton, cloth: Cloth) -> list[Part]:
    back, up, left = -bones.trunk[2], bones.trunk[1], bones.trunk[0]
    top = bones.neck + up * 0.07 + back * 0.075
    low = bones.neck - up * 0.12 + back * 0.125
    knots = [(0, 0.03, 0.02), (0.25, 0.105, 0.055), (0.6, 0.115, 0.06), (1, 0.02, 0.02)]
    bag = tube([top, low], knots, left, 16)
    knots = [(0, 0.07, 0.07), (0.4, 0.098, 0.092), (1, 0.09, 0.085)]
    ring = tube([bones.neck + up * 0.05, bones.neck - up * 0.05], knots, left, 10)
    inside = Flat(shaded(cloth.base, 0.75))
    return [Part(bag, Flat(shaded(cloth.base, 0.92)), folds=0.8), Part(ring, inside, folds=0.6)]


def _collar(bones: Skeleton, cloth: Cloth) -> Part:
    left, up, _ = bones.trunk
    path = [bones.neck + up * 0.045, bones.neck - up * 0.04]
    rings = tube(path, [(0, 0.084, 0.082), (1, 0.1, 0.09)], left, 8)
    paint = Flat(shaded(cloth.base, 0.85))
    return Part(rings, paint, keep=lambda u, angle: np.abs(angle) > 0.45 + 0 * u)


# Bags: backpacks, messenger bags, handbags and totes, with their straps.


def bag_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return the parts of the person's bag, or nothing."""
    if who.bag == "none":
        return []
    made = {"backpack": _backpack, "messenger": _messenger}.get(who.bag, _carried)
    return made(bones, who)


def carrying_side(who: Identity) -> int | None:
    """Return the hand with a bag (+1 left, -1 right), or None."""
    return who.side if who.bag in ("handbag", "tote") else None


def _backpack(bones: Skeleton, who: Identity) -> list[Part]:
    k, (left, up, ahead) = bones.size, bones.trunk
    colour = COLOURS[who.bag_colour]
    back = bones.pelvis - ahead * 0.225 * k
    body = slab([back + up * 0.51 * k, back + up * 0.09 * k], 0.15 * k, 0.1 * k, left)
    pocket = back - ahead * 0.095 * k
    front = slab([pocket + up * 0.29 * k, pocket + up * 0.11 * k], 0.115 * k, 0.035 * k, left)
    parts = [
        Part(body, Cloth(colour, shaded(colour, 0.55)), roundness=0.55),
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
        handle = tube(path, [(0, 0.011, 0.011), (1, 0.011, 0.011)], bones.hips_frame[0], 10)
        parts.append(Part(handle, Flat(shaded(colour, 0.6))))
    return parts
