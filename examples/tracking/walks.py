"""Paths of people in a drawn video, who cross each other and wait out of sight.

All random numbers depend on the seed of the video alone. Places are shares of the frame: ``across``
from 0 (left) to 1 (right), ``depth`` from 0 (far) to 1 (near the camera).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.synthocc.identity import stream

DEPTH_METRES = 3.0  # distance from depth 0 to depth 1
WIDTH_METRES = 7.2  # width of the frame at middle depth
SPEED = (0.8, 1.6)  # metres per second
PAUSE = (0.4, 2.5)  # seconds
BEHIND = 0.35  # share of the goals behind an obstacle
STEP_LENGTH = 1.4  # metres in one walking cycle


@dataclass(frozen=True)
class Obstacle:
    """Thing on the ground.

    Attributes:
        name: key of SynthOcc's ``THINGS``.
        across: place of the middle, a share of the frame's width.
        depth: depth of the thing, which hides people of smaller depth.
    """

    name: str
    across: float
    depth: float


@dataclass(frozen=True)
class Moment:
    """Place of a person in one frame.

    Attributes:
        across: share of the frame's width.
        depth: 0 far, 1 near.
        yaw: turn of the person, radians; 0 faces the camera, pi / 2 looks to the right.
        phase: position in the walking cycle, radians.
        walks: False while the person waits.
    """

    across: float
    depth: float
    yaw: float
    phase: float
    walks: bool


def place_obstacles(seed: int, names: tuple[str, ...], count: int = 3) -> list[Obstacle]:
    """Put ``count`` things into the front half of the ground, apart from each other."""
    rng = stream(seed, "tracking", "obstacles")
    chosen = rng.permutation(len(names))[:count]
    slots = (np.arange(count) + 0.5 + rng.uniform(-0.22, 0.22, count)) / count
    depths = rng.uniform(0.5, 0.85, count)
    return [
        Obstacle(names[int(which)], float(across), float(depth))
        for which, across, depth in zip(chosen, slots, depths, strict=True)
    ]


def walk(
    seed: int, person: int, obstacles: list[Obstacle], frames: int, rate: float
) -> list[Moment]:
    """Return the walk of a person from goal to goal; some goals lie behind an obstacle.

    Args:
        seed: seed of the video.
        person: number of the person.
        obstacles: things that can hide a person.
        frames: number of moments.
        rate: frames per second.
    """
    rng = stream(seed, "tracking", "walk", person)
    here = _goal(rng, obstacles)
    yaw = float(rng.uniform(-np.pi, np.pi))
    phase = float(rng.uniform(0, 2 * np.pi))
    moments: list[Moment] = []
    while len(moments) < frames:
        there = _goal(rng, obstacles)
        way = (there - here) * (WIDTH_METRES, DEPTH_METRES)
        length = float(np.hypot(*way))
        steps = max(1, round(length / float(rng.uniform(*SPEED)) * rate))
        wait = round(float(rng.uniform(*PAUSE)) * rate) if rng.random() < 0.5 else 0
        turned = float(np.arctan2(way[0], way[1]))
        for step in range(steps):
            at = here + (there - here) * (step / steps)
            cycle = phase + 2 * np.pi * length * step / steps / STEP_LENGTH
            moments.append(Moment(float(at[0]), float(at[1]), turned, cycle, True))
        phase += 2 * np.pi * length / STEP_LENGTH
        yaw = turned + float(rng.normal(0, 0.6))
        moments += [Moment(float(there[0]), float(there[1]), yaw, phase, False)] * wait
        here = there
    return moments[:frames]


def _goal(rng: np.random.Generator, obstacles: list[Obstacle]) -> NDArray[np.float64]:
    """Return (2,) across and depth; unused random numbers are drawn too."""
    hidden, which = rng.random() < BEHIND, int(rng.integers(max(len(obstacles), 1)))
    across, depth, aside = rng.uniform(0.08, 0.92), rng.uniform(0, 1), rng.normal(0, 0.02)
    if hidden and obstacles:
        thing = obstacles[which]
        across, depth = thing.across + aside, depth * (thing.depth - 0.08)
    return np.array([np.clip(across, 0.08, 0.92), depth])
