"""Bodies: pose, skeleton, trunk, arms, head, legs and shoes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from fed_plugin.synthocc.identity import COLOURS, HAIR_COLOURS, SKIN, Identity
from fed_plugin.synthocc.surface import (
    RGB,
    Array,
    Cloth,
    Flat,
    Knot,
    Paint,
    Part,
    Rings,
    Spots,
    ball,
    cross,
    cut_limb,
    limb,
    scaled,
    shaded,
    tube,
)

_REST_HEIGHT = 1.75
ARMS = ("swing", "swing", "swing", "phone", "pocket", "strap")


@dataclass(frozen=True)
class Pose:
    """Moment of a movement; all angles are in radians.

    ``phase`` is the position in the walking cycle, ``stride`` the length of the steps: 0 stands, 1
    walks fast. ``arms`` is the action of the (left, right) arm, each one of ``ARMS``. The trunk
    leans forward, the head tilts forward and turns to the person's left, the arms spread sideways.
    """

    phase: float
    stride: float
    arms: tuple[str, str]
    lean: float
    nod: float
    look: float
    spread: float


def draw_pose(rng: Generator, carrying: int | None) -> Pose:
    """Draw a pose; the arm of the side ``carrying`` (+1 left, -1 right) hangs for a bag."""
    walking = rng.random() < 0.8
    arms = [str(rng.choice(ARMS)), str(rng.choice(ARMS))]
    if carrying is not None:
        arms[0 if carrying > 0 else 1] = "carry"
    return Pose(
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=float(rng.uniform(0.55, 1.05)) if walking else float(rng.uniform(0.05, 0.2)),
        arms=(arms[0], arms[1]),
        lean=float(rng.uniform(0.0, 0.1)),
        nod=float(rng.normal(0.08, 0.12)),
        look=float(rng.normal(0.0, 0.3)),
        spread=float(rng.uniform(0.1, 0.24)),
    )


@dataclass(frozen=True)
class Skeleton:
    """Joints as (3,) points; pairs are (left, right).

    ``size`` is a length factor against a person of 1.75 m. The rows of ``trunk`` (3, 3),
    ``hips_frame`` and ``head_frame`` are left, up and front directions of chest, hips and head.
    """

    size: float
    pelvis: Array
    neck: Array
    head: Array
    trunk: Array
    hips_frame: Array
    head_frame: Array
    shoulders: tuple[Array, Array]
    elbows: tuple[Array, Array]
    wrists: tuple[Array, Array]
    hips: tuple[Array, Array]
    knees: tuple[Array, Array]
    ankles: tuple[Array, Array]
    toes: tuple[Array, Array]


def skeleton(height: float, breadth: float, pose: Pose) -> Skeleton:
    """Place the joints of a person of ``height`` metres; ``breadth`` widens the shoulders."""
    k = height / _REST_HEIGHT
    legs = [_leg(pose, side, k) for side in (1, -1)]
    drop = max(-leg[2][1] for leg in legs) + 0.085 * k
    pelvis = np.array([0.0, drop, 0.0])
    twist = 0.16 * pose.stride * np.sin(pose.phase)
    trunk, hips_frame = (_tilt(pose.lean) @ _turn(-twist)).T, _turn(twist).T
    neck = pelvis + trunk[1] * 0.545 * k
    head_frame = (_turn(pose.look) @ _tilt(pose.nod)).T
    head = neck + trunk[1] * 0.075 * k + head_frame[1] * 0.1 * k + head_frame[2] * 0.02 * k
    arms = [_arm(pose, side, k, neck, trunk, breadth) for side in (1, -1)]
    shoulders_to_wrists = zip(*arms, strict=True)
    hips_to_toes = zip(*([pelvis + joint for joint in leg] for leg in legs), strict=True)
    frames = trunk, hips_frame, head_frame
    return Skeleton(k, pelvis, neck, head, *frames, *shoulders_to_wrists, *hips_to_toes)


def _leg(pose: Pose, side: int, k: float) -> tuple[Array, Array, Array, Array]:
    phase = pose.phase if side > 0 else pose.phase + np.pi
    swing = 0.44 * pose.stride * np.sin(phase) + 0.03
    flex = 0.1 + 0.85 * pose.stride * max(0.0, np.cos(phase)) ** 2
    hip = np.array([side * 0.088, 0.0, 0.0]) * k
    out = side * 0.03
    knee = hip + 0.435 * k * _forward(swing, out)
    shin = swing - flex
    ankle = knee + 0.41 * k * _forward(shin, out * 0.2)
    pitch = min(shin, 0.0) * 0.75 + max(shin, 0.0) * 0.7
    toe = np.array([side * 0.2, np.sin(pitch), np.cos(pitch)])
    return hip, knee, ankle, ankle + toe / np.linalg.norm(toe) * 0.2 * k


def _arm(
    pose: Pose, side: int, k: float, neck: Array, trunk: Array, breadth: float
) -> tuple[Array, Array, Array]:
    habit = pose.arms[0 if side > 0 else 1]
    phase = pose.phase + np.pi if side > 0 else pose.phase
    swing = 0.5 * pose.stride * np.sin(phase)
    raise_, flex, inward = {
        "swing": (swing, 0.22 + 0.3 * max(swing, 0.0), 0.0),
        "carry": (swing * 0.25, 0.08, 0.0),
        "phone": (0.35, 2.15, 0.45),
        "pocket": (-0.35, 0.75, 0.15),
        "strap": (0.1, 2.35, 0.1),
    }[habit]
    local = [np.array([side * 0.168 * breadth, -0.078, 0.0]) * k]
    out = side * (pose.spread + (0.12 if habit in ("pocket", "carry") else 0.0))
    local.append(local[0] + 0.285 * k * _forward(raise_, out))
    bend = -side * inward if inward else out * 0.4
    local.append(local[1] + 0.255 * k * _forward(raise_ + flex, bend))
    return tuple(neck + point @ trunk for point in local)


def _forward(angle: float, out: float) -> Array:
    """Return the direction of a hanging limb that swings by two angles."""
    return np.array([np.sin(out), -np.cos(angle) * np.cos(out), np.sin(angle) * np.cos(out)])


def _turn(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _tilt(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def view_matrix(yaw: float, pitch: float) -> Array:
    """Return the rotation to the camera's frame: ``yaw`` turns right, ``pitch`` looks down."""
    return _tilt(pitch) @ _turn(yaw)


# Half width and half depth of the bare trunk by height above the hips, metres, for girth 1.
_TRUNK = (
    (0.57, 0.055, 0.055), (0.545, 0.066, 0.062), (0.525, 0.110, 0.075), (0.50, 0.152, 0.088),
    (0.46, 0.172, 0.102), (0.38, 0.172, 0.118), (0.28, 0.155, 0.112), (0.18, 0.143, 0.105),
    (0.08, 0.158, 0.112), (0.0, 0.168, 0.118), (-0.08, 0.165, 0.112),
)  # fmt: skip


def trunk_rings(
    bones: Skeleton, who: Identity, low: float, ease: float, hem: float = 0.0, top: float = 0.545
) -> Rings:
    """Return the surface of the trunk; all lengths are in metres.

    ``top`` and ``low`` are heights of the edges over the hip joints; ``low`` is negative for coats.
    ``ease`` is the thickness of air and cloth, ``hem`` an extra half width at the lower edge.
    """
    knots = np.array(_TRUNK[::-1])
    heights = np.linspace(top, low, 30)
    wide = np.interp(heights, knots[:, 0], knots[:, 1])
    deep = np.interp(heights, knots[:, 0], knots[:, 2])
    belly = 1 + (who.girth - 1) * np.clip((0.52 - heights) / 0.15, 0, 1)
    broad = 1 + (who.shoulders - 1) * np.clip((heights - 0.2) / 0.2, 0, 1)
    spread = hem * np.clip((0.1 - heights) / max(0.1 - low, 0.1), 0, 1)
    # The skirts of a coat make room for the thighs.
    thighs = np.abs([knee[2] for knee in bones.knees]).max() / bones.size
    step = thighs * np.clip(-heights / 0.43, 0, 1)
    below = np.clip(-heights, 0, 1)[:, None]
    blend = np.clip(heights / 0.3, 0, 1)[:, None]
    k = bones.size
    left = bones.trunk[0] * blend + bones.hips_frame[0] * (1 - blend)
    ahead = bones.trunk[2] * blend + bones.hips_frame[2] * (1 - blend)
    upright = np.clip(below * 8, 0, 1)
    up = bones.trunk[1] * (1 - upright) + np.array([0, 1, 0]) * upright
    centre = bones.pelvis + up * heights[:, None] * k
    side = left * ((wide * belly * broad + ease + spread) * k)[:, None]
    front = ahead * ((deep * belly + ease + spread * 0.8 + step * 0.9) * k)[:, None]
    return Rings(centre, side, front)


def arm_parts(bones: Skeleton, who: Identity, sleeve: Cloth | Flat, reach: float) -> list[Part]:
    """Return arms, hands and sleeves, which cover the share ``reach`` of each arm."""
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


# Heads: face, hair, beards, hats, scarves.

_WIDE, _HIGH, _DEEP = 0.078, 0.122, 0.098


def head_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return head, hair, hat and scarf."""
    k = bones.size**0.5
    skin = SKIN[who.skin]
    frame = bones.head_frame
    face = _face(skin, HAIR_COLOURS[who.hair_colour] if who.beard else None)
    throat = bones.neck - bones.trunk[1] * 0.03
    knots = [(0, 0.054, 0.056), (1, 0.062, 0.062)]
    neck = tube([bones.head - frame[1] * 0.03, throat], knots, bones.trunk[0], 8)
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
        top, low = bones.neck + bones.trunk[1] * 0.055, bones.neck - bones.trunk[1] * 0.045
        knots = [(0, 0.06, 0.06), (0.25, 0.094, 0.094), (0.75, 0.104, 0.1), (1, 0.075, 0.07)]
        rings = tube([top, low], knots, bones.trunk[0], 12)
        parts.append(Part(rings, Flat(COLOURS[who.accent]), folds=1.5))
    return parts


def _face(skin: RGB, beard: RGB | None) -> Paint:
    """Return the surface of a skull with eyes, brows, mouth and beard."""

    def paint(spots: Spots) -> Array:
        y, side = np.cos(spots.u * np.pi), np.abs(spots.angle)
        colour = np.tile(skin, (len(y), 1))
        cheeks = np.exp(-((y + 0.2) ** 2) / 0.03 - (side - 0.55) ** 2 / 0.05)[:, None]
        colour += cheeks * np.array([0.03, -0.05, -0.04])
        if beard is not None:
            colour[(y < -0.3) & (side < 1.5)] = beard
        colour[(np.abs(y - 0.25) < 0.045) & (np.abs(side - 0.42) < 0.22)] = np.asarray(skin) * 0.45
        colour[np.hypot((y - 0.06) / 0.085, (side - 0.42) / 0.17) < 1] = (0.10, 0.08, 0.08)  # eyes
        colour[(np.abs(y + 0.52) < 0.045) & (side < 0.32)] = (0.62, 0.27, 0.26)  # mouth
        return colour

    return paint


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
    paint = _strands(HAIR_COLOURS[who.hair_colour])
    capped = who.hat != "none"
    swell = {"curly": 1.34, "bob": 1.16, "long": 1.13}.get(who.hair, 1.1)
    bump = 0.07 if who.hair == "curly" else 0.0
    low = {"bob": -0.72, "long": -0.8, "curly": -0.35}.get(who.hair, -0.42)
    side = 0.05 if who.hair != "bob" else -0.7
    line = [0.55, 0.55 - 0.08, 0.2 + side * 0.6, side, (side + low) / 2 - 0.05, low]

    def above_hairline(u: Array, angle: Array) -> Array:
        edge = np.interp(np.abs(angle), [0.0, 0.75, 1.05, 1.5, 2.1, np.pi], line)
        return np.cos(u * np.pi) > edge

    shape = _skull(bones, 1.08 if capped else swell, rise=0.008)
    parts = [Part(shape, paint, keep=above_hairline, gloss=0.25, bump=bump)]
    up, back = bones.head_frame[1], -bones.head_frame[2]
    k = bones.size**0.5
    if who.hair in ("long", "ponytail"):
        thin = who.hair == "ponytail"
        start = bones.head + (up * (0.05 if thin else 0.0) + back * (0.1 if thin else 0.05)) * k
        bend = up * (0.03 if thin else -0.12) + back * 0.15 * (1 if thin else 0.6)
        middle = bones.head + bend * k
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


def _strands(colour: RGB) -> Paint:
    """Return the surface of hair with lighter and darker strands."""

    def paint(spots: Spots) -> Array:
        strands = 0.5 * np.sin(spots.angle * 17 + 3 * np.sin(spots.u * 7))
        strands += 0.5 * np.sin(spots.angle * 41)
        return np.asarray(colour) * (1 + 0.16 * strands[:, None])

    return paint


def _hat(bones: Skeleton, who: Identity) -> list[Part]:
    if who.hat == "none":
        return []
    k = bones.size**0.5
    left, up, ahead = bones.head_frame
    colour = COLOURS[who.bag_colour if who.bag != "none" else who.shoe_colour]
    edge = {"cap": 0.3, "beanie": 0.1, "brim": 0.32}[who.hat]
    swell = 1.2 if who.hat == "beanie" else 1.16
    shape = _skull(bones, swell, rise=0.012)
    dome = Part(shape, _felt(colour, who.hat), keep=lambda u, a: np.cos(u * np.pi) > edge + 0 * a)
    at = bones.head + up * (np.array(edge) * _HIGH * swell + 0.016) * k
    if who.hat == "beanie":
        return [dome, Part(ball(at + up * 0.115 * k, 0.03, 0.028, 0.03), Flat((0.9, 0.9, 0.88)))]
    if who.hat == "cap":
        path = [at + ahead * 0.06 * k, at + (ahead * 0.185 - up * 0.015) * k]
        knots = [(0, 0.08 * k, 0.012), (0.5, 0.072 * k, 0.012), (0.9, 0.05 * k, 0.01)]
        peak = tube(path, [*knots, (1, 0.01, 0.004)], left, 12)
        return [dome, Part(peak, Flat(shaded(colour, 0.8)))]
    turn = np.linspace(0.05, np.pi - 0.05, 9)[:, None]
    wide, deep = (np.sin(turn) ** 0.5 * size * k for size in (0.165, 0.18))
    disc = Rings(at + up * np.cos(turn) * 0.012, left * wide, ahead * deep)
    return [dome, Part(disc, Flat(shaded(colour, 0.9)))]


def _felt(base: RGB, kind: str) -> Paint:
    """Return the surface of a hat with ribbon or turned-up edge."""

    def paint(spots: Spots) -> Array:
        colour, y = np.tile(base, (len(spots.u), 1)), np.cos(spots.u * np.pi)
        if kind == "brim":
            colour[y < 0.55] = shaded(base, 0.35)
        if kind == "beanie":
            colour *= (1 + 0.1 * np.sign(np.sin(spots.angle * 26)))[:, None]
            colour[y < 0.34] = shaded(base, 0.7)
        return np.clip(colour, 0, 1)

    return paint


# Legs, trousers, skirts and shoes.


def leg_parts(bones: Skeleton, who: Identity) -> list[Part]:
    """Return legs, trousers or skirts, and shoes."""
    k, girth = bones.size, 0.45 + 0.55 * who.girth
    cloth = leg_cloth(who)
    left = bones.hips_frame[0]
    seat = trunk_rings(bones, who, -0.09, 0.004, hem=-0.03, top=0.12)
    plain = COLOURS[who.lower_colour if who.upper != "dress" else who.upper_colour]
    parts = [Part(seat, Flat(plain) if who.upper == "dress" else replace(cloth, trim=0.0))]
    joints = zip(bones.hips, bones.knees, bones.ankles, bones.toes, strict=True)
    for hip, knee, ankle, toe in joints:
        path = [hip + (hip - knee) * 0.1, knee, ankle]
        reach, knots = _trouser(who.lower if who.upper != "dress" else "skirt")
        if reach < 0.9:
            bare = [(0, 0.07, 0.08), (0.25, 0.072, 0.08), (0.53, 0.05, 0.055), (0.7, 0.052, 0.06)]
            if reach == 0:  # the thigh is hidden, and would pierce the skirt
                path = [hip + (knee - hip) * 0.62, *path[1:]]
                bare = [(0, 0.058, 0.064), (0.3, 0.05, 0.055), (0.55, 0.052, 0.06)]
            bare.append((1, 0.032, 0.038))
            parts.append(Part(limb(path, bare, left, k * girth), Flat(SKIN[who.skin])))
        if reach:
            rings = limb(cut_limb(path, reach), knots, left, k * girth)
            parts.append(Part(rings, cloth, folds=1.0))
        parts += _shoe(who, bones, knee, ankle, toe)
    if who.lower in ("skirt", "long_skirt") and who.upper != "dress":
        parts.append(skirt(bones, who, cloth, 0.40 if who.lower == "skirt" else 0.72, 0.13))
    return parts


def leg_cloth(who: Identity) -> Cloth:
    """Return the cloth of trousers and skirts."""
    colour, accent, look = COLOURS[who.lower_colour], COLOURS[who.accent], who.lower_pattern
    if look not in ("side_stripe", "cuffs"):
        accent = tuple(0.55 * a + 0.45 * b for a, b in zip(colour, accent, strict=True))
    pattern, trim = look if look in ("bars", "checks") else "plain", 0.14 * (look == "cuffs")
    return Cloth(colour, accent, pattern, trim=trim, seam=look == "side_stripe")


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
        # The skirt is never narrower than the legs inside.
        flared = flare * (below + 0.05) / 0.6
        legs = np.interp(below, [0, 0.435, 0.8], [0, thighs, max(shins, thighs)])
        legs += 0.085 * who.girth
        u = (below + 0.1) / (length + 0.1)
        knots.append((u, wide + 0.014 + flared, max(deep + 0.014 + flared, legs + 0.01)))
    rings = tube([top, end], scaled(knots, k), bones.hips_frame[0], 24)
    return Part(rings, cloth, folds=1.6)


def _trouser(kind: str) -> tuple[float, list[Knot]]:
    top = [(0, 0.078, 0.086), (0.15, 0.09, 0.1)]
    narrow = [(0.3, 0.086, 0.096), (0.55, 0.066, 0.074), (0.75, 0.062, 0.07), (1, 0.052, 0.062)]
    tight = [(0.3, 0.078, 0.086), (0.53, 0.053, 0.06), (0.7, 0.055, 0.064), (1, 0.034, 0.04)]
    shapes = {
        "trousers": (0.985, narrow),
        "wide_trousers": (0.99, [(0.3, 0.094, 0.104), (0.6, 0.09, 0.1), (1, 0.1, 0.114)]),
        "shorts": (0.52, [(0.5, 0.095, 0.105), (1, 0.094, 0.104)]),
        "leggings": (1.0, tight),
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
