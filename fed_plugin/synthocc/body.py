"""Trunk and arms."""

from __future__ import annotations

import numpy as np

from fed_plugin.datasets.synthocc.identity import SKIN, Identity
from fed_plugin.datasets.synthocc.materials import Cloth, Flat
from fed_plugin.datasets.synthocc.skeleton import Skeleton
from fed_plugin.datasets.synthocc.surface import Part, Rings, cut_limb, limb, scaled, tube

# Half width and half depth of the bare trunk by height above the hips, metres, for girth 1.
_TRUNK = (
    (0.57, 0.055, 0.055),
    (0.545, 0.066, 0.062),
    (0.525, 0.110, 0.075),
    (0.50, 0.152, 0.088),
    (0.46, 0.172, 0.102),
    (0.38, 0.172, 0.118),
    (0.28, 0.155, 0.112),
    (0.18, 0.143, 0.105),
    (0.08, 0.158, 0.112),
    (0.0, 0.168, 0.118),
    (-0.08, 0.165, 0.112),
)


def trunk_rings(
    bones: Skeleton, who: Identity, low: float, ease: float, hem: float = 0.0, top: float = 0.545
) -> Rings:
    """Return the trunk's surface from the neck down to ``low`` metres above the hips.

    Args:
        bones: the pose.
        who: the person.
        low: height of the lower edge over the hip joints; negative for coats.
        ease: metres of air and cloth over the body.
        hem: extra half width at the lower edge.
        top: height of the upper edge over the hip joints.
    """
    knots = np.array(_TRUNK[::-1])
    heights = np.linspace(top, low, 30)
    wide = np.interp(heights, knots[:, 0], knots[:, 1])
    deep = np.interp(heights, knots[:, 0], knots[:, 2])
    belly = 1 + (who.girth - 1) * np.clip((0.52 - heights) / 0.15, 0, 1)
    broad = 1 + (who.shoulders - 1) * np.clip((heights - 0.2) / 0.2, 0, 1)
    spread = hem * np.clip((0.1 - heights) / max(0.1 - low, 0.1), 0, 1)
    # A coat's skirts give way to the thighs below them.
    thighs = np.abs([knee[2] for knee in bones.knees]).max() / bones.size
    step = thighs * np.clip(-heights / 0.43, 0, 1)
    below = np.clip(-heights, 0, 1)[:, None]
    blend = np.clip(heights / 0.3, 0, 1)[:, None]
    k = bones.size
    left = bones.trunk[0] * blend + bones.hips_frame[0] * (1 - blend)
    ahead = bones.trunk[2] * blend + bones.hips_frame[2] * (1 - blend)
    up = bones.trunk[1] * (1 - np.clip(below * 8, 0, 1)) + np.array([0, 1, 0]) * np.clip(
        below * 8, 0, 1
    )
    centre = bones.pelvis + up * heights[:, None] * k
    side = left * ((wide * belly * broad + ease + spread) * k)[:, None]
    front = ahead * ((deep * belly + ease + spread * 0.8 + step * 0.9) * k)[:, None]
    return Rings(centre, side, front)


def arm_parts(bones: Skeleton, who: Identity, sleeve: Cloth | Flat, reach: float) -> list[Part]:
    """Return arms, hands and sleeves.

    Args:
        bones: the pose.
        who: the person.
        sleeve: the sleeves' cloth.
        reach: share of the arm that the sleeve covers.
    """
    k, girth = bones.size, 0.5 + 0.5 * who.girth
    skin = Flat(SKIN[who.skin])
    parts: list[Part] = []
    for shoulder, elbow, wrist in zip(bones.shoulders, bones.elbows, bones.wrists, strict=True):
        ahead = (wrist - elbow) / np.linalg.norm(wrist - elbow)
        path = [shoulder, elbow, wrist]
        hand = [(0, 0.02, 0.024), (0.4, 0.026, 0.042), (0.8, 0.022, 0.036), (1, 0.006, 0.008)]
        palm = tube([wrist, wrist + ahead * 0.15 * k], scaled(hand, k), bones.trunk[0], 10)
        parts.append(Part(palm, skin))
        if reach < 0.8:
            bare = [(0, 0.02, 0.02), (0.06, 0.046, 0.046), (0.45, 0.038, 0.038), (1, 0.026, 0.028)]
            parts.append(Part(limb(path, bare, bones.trunk[0], k * girth), skin))
            knots = [(0, 0.01, 0.01), (0.08, 0.042, 0.042), (0.3, 0.056, 0.058), (1, 0.055, 0.06)]
        else:
            knots = [(0, 0.01, 0.01), (0.04, 0.042, 0.042), (0.12, 0.055, 0.058)]
            knots += [(0.5, 0.053, 0.055), (1, 0.045, 0.048)]
        rings = limb(cut_limb(path, reach), knots, bones.trunk[0], k * girth)
        parts.append(Part(rings, sleeve, folds=0.8))
    return parts
