"""Legs, trousers, skirts and shoes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fed_plugin.datasets.synthocc.body import trunk_rings
from fed_plugin.datasets.synthocc.identity import COLOURS, SKIN, Identity
from fed_plugin.datasets.synthocc.materials import RGB, Cloth, Flat, shaded
from fed_plugin.datasets.synthocc.skeleton import Skeleton
from fed_plugin.datasets.synthocc.surface import (
    Array,
    Knot,
    Part,
    cross,
    cut_limb,
    limb,
    scaled,
    tube,
)


def leg_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return legs, trousers or skirts, and shoes."""
    k, girth = bones.size, 0.45 + 0.55 * who.girth
    cloth = leg_cloth(who)
    left = bones.hips_frame[0]
    seat = trunk_rings(bones, who, -0.09, 0.004, hem=-0.03, top=0.12)
    plain = COLOURS[who.lower_colour if who.upper != "dress" else who.upper_colour]
    parts = [Part(seat, Flat(plain) if who.upper == "dress" else replace(cloth, trim=0.0))]
    for hip, knee, ankle, toe in zip(
        bones.hips, bones.knees, bones.ankles, bones.toes, strict=True
    ):
        path = [hip + (hip - knee) * 0.1, knee, ankle]
        reach, knots = _trouser(who.lower if who.upper != "dress" else "skirt")
        if reach < 0.9:
            bare = [(0, 0.07, 0.08), (0.25, 0.072, 0.08), (0.53, 0.05, 0.055), (0.7, 0.052, 0.06)]
            if reach == 0:  # a skirt hides the thigh, which would only pierce it
                path = [hip + (knee - hip) * 0.62, *path[1:]]
                bare = [(0, 0.058, 0.064), (0.3, 0.05, 0.055), (0.55, 0.052, 0.06)]
            bare.append((1, 0.032, 0.038))
            parts.append(Part(limb(path, bare, left, k * girth), Flat(SKIN[who.skin])))
        if reach:
            parts.append(
                Part(limb(cut_limb(path, reach), knots, left, k * girth), cloth, folds=1.0)
            )
        parts += _shoe(who, bones, knee, ankle, toe)
    if who.lower in ("skirt", "long_skirt") and who.upper != "dress":
        parts.append(skirt(bones, who, cloth, 0.40 if who.lower == "skirt" else 0.72, 0.13))
    return parts


def leg_cloth(who: Identity) -> Cloth:
    """Return the cloth of trousers and skirts."""
    colour, accent = COLOURS[who.lower_colour], COLOURS[who.accent]
    pattern = who.lower_pattern if who.lower_pattern in ("bars", "checks") else "plain"
    soft: RGB = tuple(0.55 * a + 0.45 * b for a, b in zip(colour, accent, strict=True))  # type: ignore[assignment]
    return Cloth(
        base=colour,
        accent=accent if who.lower_pattern in ("side_stripe", "cuffs") else soft,
        pattern=pattern,
        trim=0.14 if who.lower_pattern == "cuffs" else 0.0,
        seam=who.lower_pattern == "side_stripe",
    )


def skirt(bones: Skeleton, who: Identity, cloth: Cloth | Flat, length: float, flare: float) -> Part:
    """Return a skirt of ``length`` metres that hangs over both legs."""
    k = bones.size
    top = bones.pelvis + np.array([0, 0.1, 0]) * k
    end = bones.pelvis - np.array([0, length, 0]) * k
    thighs = max(abs(joint[2]) for joint in bones.knees) / k
    shins = max(abs(joint[2]) for joint in (*bones.ankles, *bones.knees)) / k
    wide, deep = 0.160 * who.girth, 0.118 * who.girth
    knots = [(0.0, wide, deep + 0.002)]
    for below in np.linspace(0.0, length, 7):
        # As wide as the cut makes it, and never narrower than the legs inside.
        flared = flare * (below + 0.05) / 0.6
        legs = (
            np.interp(below, [0, 0.435, 0.8], [0, thighs, max(shins, thighs)]) + 0.085 * who.girth
        )
        u = (below + 0.1) / (length + 0.1)
        knots.append((u, wide + 0.014 + flared, max(deep + 0.014 + flared, legs + 0.01)))
    rings = tube([top, end], scaled(knots, k), bones.hips_frame[0], 24)
    return Part(rings, cloth, folds=1.6)


def _trouser(kind: str) -> tuple[float, list[Knot]]:
    top = [(0, 0.078, 0.086), (0.15, 0.09, 0.1)]
    shapes = {
        "trousers": (
            0.985,
            [(0.3, 0.086, 0.096), (0.55, 0.066, 0.074), (0.75, 0.062, 0.07), (1, 0.052, 0.062)],
        ),
        "wide_trousers": (0.99, [(0.3, 0.094, 0.104), (0.6, 0.09, 0.1), (1, 0.1, 0.114)]),
        "shorts": (0.52, [(0.5, 0.095, 0.105), (1, 0.094, 0.104)]),
        "leggings": (
            1.0,
            [(0.3, 0.078, 0.086), (0.53, 0.053, 0.06), (0.7, 0.055, 0.064), (1, 0.034, 0.04)],
        ),
    }
    reach, knots = shapes.get(kind, (0.0, []))
    return reach, top + knots


def _shoe(who: Identity, bones: Skeleton, knee: Array, ankle: Array, toe: Array) -> list[Part]:
    k, colour = bones.size, COLOURS[who.shoe_colour]
    ahead = toe - ankle
    ahead = ahead / np.linalg.norm(ahead)
    left = cross(np.array([0.0, 1.0, 0.0]), ahead)
    left /= np.linalg.norm(left)
    down = cross(left, ahead)
    heel = ankle - ahead * 0.075 * k + down * 0.045 * k
    tip = ankle + ahead * 0.185 * k + down * 0.055 * k
    knots = [(0, 0.008, 0.008), (0.06, 0.034, 0.04), (0.3, 0.04, 0.052), (0.6, 0.046, 0.04)]
    knots += [(0.85, 0.04, 0.03), (1, 0.008, 0.01)]
    sole = (0.92, 0.92, 0.9) if who.shoes == "sneakers" else shaded(colour, 0.5)
    parts = [Part(tube([heel, tip], scaled(knots, k), left, 18), Flat(colour, sole), gloss=0.25)]
    if who.shoes == "boots":
        shaft = ankle + (knee - ankle) * 0.42
        knots = [(0, 0.062, 0.068), (0.5, 0.054, 0.062), (1, 0.044, 0.052)]
        rings = tube([shaft, ankle + down * 0.03 * k], scaled(knots, k), bones.hips_frame[0], 12)
        parts.append(Part(rings, Flat(colour), gloss=0.25))
    elif who.shoes == "sneakers":
        knots = [(0, 0.045, 0.05), (1, 0.045, 0.055)]
        collar = [ankle + (knee - ankle) * 0.06, ankle + down * 0.03 * k]
        rings = tube(collar, scaled(knots, k), bones.hips_frame[0], 6)
        parts.append(Part(rings, Flat(colour)))
    return parts
