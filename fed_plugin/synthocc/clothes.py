"""What is worn on the trunk: shirts, hoodies, jackets, coats, vests, dresses."""

from __future__ import annotations

import numpy as np

from fed_plugin.datasets.synthocc.body import arm_parts, trunk_rings
from fed_plugin.datasets.synthocc.identity import COLOURS, Identity
from fed_plugin.datasets.synthocc.legs import skirt
from fed_plugin.datasets.synthocc.materials import Cloth, Flat, shaded
from fed_plugin.datasets.synthocc.skeleton import Skeleton
from fed_plugin.datasets.synthocc.surface import Array, Keep, Part, tube

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
    """Return everything worn on trunk and arms."""
    low, ease, hem = _CUTS[who.upper]
    cloth = upper_cloth(who)
    rings = trunk_rings(bones, who, low, ease, hem, top=0.55)
    opened = who.upper in ("jacket", "coat", "vest")
    parts = [Part(rings, cloth, keep=_opening(who) if opened else None, folds=1.0)]
    if opened:
        inner = trunk_rings(bones, who, -0.04, 0.012)
        parts.append(Part(inner, Flat(_shirt(who)), folds=0.7))
    if who.upper == "dress":
        parts.append(skirt(bones, who, _dress_skirt(cloth), 0.42, 0.12))
    if who.upper == "hoodie":
        parts += _hood(bones, cloth)
    if opened and who.upper != "vest":
        parts.append(_collar(bones, cloth))
    reach = {"short": 0.42, "long": 1.0}[who.sleeves]
    sleeve = Flat(_shirt(who)) if who.upper == "vest" else sleeve_cloth(who)
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
    """Return the cloth of the sleeves, whose pattern follows the trunk's."""
    base, accent = COLOURS[who.upper_colour], COLOURS[who.accent]
    if who.pattern in ("top_block", "chest_band"):
        return Cloth(base=base, accent=accent, pattern="top_block", split=0.25)
    if who.pattern == "bottom_block":
        return Cloth(base=base, accent=accent, trim=0.0)
    if who.pattern in ("half", "plain"):
        return Cloth(base=base, accent=accent, trim=0.1 if who.logo == "bars" else 0.0)
    return Cloth(base=base, accent=accent, pattern=who.pattern)


def _dress_skirt(cloth: Cloth) -> Cloth:
    if cloth.pattern in ("top_block", "chest_band"):
        return Cloth(base=cloth.base)
    if cloth.pattern == "bottom_block":
        return Cloth(base=cloth.accent)
    return Cloth(base=cloth.base, accent=cloth.accent, pattern=cloth.pattern)


def _shirt(who: Identity) -> tuple[float, float, float]:
    return COLOURS[who.accent]


def _opening(who: Identity) -> Keep:
    start, end = (0.2, 0.75) if who.upper != "coat" else (0.25, 0.5)

    def keep(u: Array, angle: Array) -> Array:
        return np.abs(angle) > start + (end - start) * u

    return keep


def _hood(bones: Skeleton, cloth: Cloth) -> list[Part]:
    back, up, left = -bones.trunk[2], bones.trunk[1], bones.trunk[0]
    top = bones.neck + up * 0.07 + back * 0.075
    low = bones.neck - up * 0.12 + back * 0.125
    knots = [(0, 0.03, 0.02), (0.25, 0.105, 0.055), (0.6, 0.115, 0.06), (1, 0.02, 0.02)]
    bag = tube([top, low], knots, left, 16)
    ring = tube(
        [bones.neck + up * 0.05, bones.neck - up * 0.05],
        [(0, 0.07, 0.07), (0.4, 0.098, 0.092), (1, 0.09, 0.085)],
        left,
        10,
    )
    inside = Flat(shaded(cloth.base, 0.75))
    return [Part(bag, Flat(shaded(cloth.base, 0.92)), folds=0.8), Part(ring, inside, folds=0.6)]


def _collar(bones: Skeleton, cloth: Cloth) -> Part:
    up = bones.trunk[1]

    def keep(u: Array, angle: Array) -> Array:
        return np.abs(angle) > 0.45 + 0 * u

    rings = tube(
        [bones.neck + up * 0.045, bones.neck - up * 0.04],
        [(0, 0.084, 0.082), (1, 0.1, 0.09)],
        bones.trunk[0],
        8,
    )
    return Part(rings, Flat(shaded(cloth.base, 0.85)), keep=keep)
