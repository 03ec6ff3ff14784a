"""Poses: where the joints of a walking or standing person are, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fed_plugin.datasets.synthocc.surface import Array

_REST_HEIGHT = 1.75
ARMS = ("swing", "swing", "swing", "phone", "pocket", "strap")


@dataclass(frozen=True)
class Pose:
    """Hold one moment of a movement.

    Args:
        phase: place in the walking cycle, radians.
        stride: 0 stands, 1 walks briskly.
        arms: what the (left, right) arm does, one of ``ARMS``.
        lean: forward lean of the trunk, radians.
        nod: forward tilt of the head, radians.
        look: turn of the head to the person's left, radians.
        spread: sideways angle of the arms, radians.
    """

    phase: float
    stride: float
    arms: tuple[str, str]
    lean: float
    nod: float
    look: float
    spread: float


def draw_pose(rng: np.random.Generator, carrying: int | None) -> Pose:
    """Draw a pose; ``carrying`` (+1 left, -1 right) keeps that arm straight for a bag."""
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
    """Hold joints as (3,) points; pairs are (left, right).

    Args:
        size: length factor against a person of 1.75 m.
        trunk: (3, 3) left, up and front directions of the chest as rows.
        hips_frame: (3, 3) the same of the hips.
        head_frame: (3, 3) the same of the head.
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
    """Place the joints.

    Args:
        height: of the person, metres.
        breadth: of the shoulders, a factor around 1.
        pose: the moment.
    """
    k = height / _REST_HEIGHT
    legs = [_leg(pose, side, k) for side in (1, -1)]
    drop = max(-leg[2][1] for leg in legs) + 0.085 * k
    pelvis = np.array([0.0, drop, 0.0])
    twist = 0.16 * pose.stride * np.sin(pose.phase)
    hips_frame = _turn(twist)
    trunk = _tilt(pose.lean) @ _turn(-twist)
    trunk, hips_frame = trunk.T, hips_frame.T
    neck = pelvis + trunk[1] * 0.545 * k + trunk[2] * 0.0
    head_frame = (_turn(pose.look) @ _tilt(pose.nod)).T
    head = neck + trunk[1] * 0.075 * k + head_frame[1] * 0.1 * k + head_frame[2] * 0.02 * k
    arms = [_arm(pose, side, k, neck, trunk, breadth) for side in (1, -1)]
    return Skeleton(
        size=k,
        pelvis=pelvis,
        neck=neck,
        head=head,
        trunk=trunk,
        hips_frame=hips_frame,
        head_frame=head_frame,
        shoulders=(arms[0][0], arms[1][0]),
        elbows=(arms[0][1], arms[1][1]),
        wrists=(arms[0][2], arms[1][2]),
        hips=(pelvis + legs[0][0], pelvis + legs[1][0]),
        knees=(pelvis + legs[0][1], pelvis + legs[1][1]),
        ankles=(pelvis + legs[0][2], pelvis + legs[1][2]),
        toes=(pelvis + legs[0][3], pelvis + legs[1][3]),
    )


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
    """Return the direction of a limb that hangs, swung forward by ``angle``, out by ``out``."""
    return np.array([np.sin(out), -np.cos(angle) * np.cos(out), np.sin(angle) * np.cos(out)])


def _turn(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def _tilt(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def view_matrix(yaw: float, pitch: float) -> Array:
    """Return the rotation from the person's frame to the camera's.

    Args:
        yaw: turn of the person to the viewer's right, radians; 0 faces the viewer.
        pitch: how far the camera looks down, radians.
    """
    c, s = np.cos(pitch), np.sin(pitch)
    look = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
    return look @ _turn(yaw)
