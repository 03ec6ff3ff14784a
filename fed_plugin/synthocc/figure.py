"""A person in the light: parts put together, drawn and shaded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from fed_plugin.datasets.synthocc.bags import bag_parts, carrying_side
from fed_plugin.datasets.synthocc.clothes import upper_parts
from fed_plugin.datasets.synthocc.head import head_parts
from fed_plugin.datasets.synthocc.identity import Identity
from fed_plugin.datasets.synthocc.legs import leg_parts
from fed_plugin.datasets.synthocc.raster import Hits, rasterise
from fed_plugin.datasets.synthocc.skeleton import Pose, draw_pose, skeleton, view_matrix
from fed_plugin.datasets.synthocc.surface import Array, Part


@dataclass(frozen=True)
class Light:
    """Describe the light on a figure.

    Args:
        direction: (3,) unit vector towards the lamp or sun, camera frame.
        ambient: share of light that comes from everywhere.
        key: strength of the directed light.
    """

    direction: Array
    ambient: float
    key: float


@dataclass(frozen=True)
class Placement:
    """Say where a figure stands in a picture.

    Args:
        shape: picture height and width, pixels.
        scale: pixels per metre.
        foot: pixel (x, y) of the ground below the person.
        yaw: turn of the person, radians; 0 faces the viewer.
        pitch: how far the camera looks down, radians.
        stretch: widening of the picture, as happens when a narrow box is resized.
    """

    shape: tuple[int, int]
    scale: float
    foot: tuple[float, float]
    yaw: float
    pitch: float
    stretch: float = 1.0


def draw_figure(
    who: Identity, place: Placement, light: Light, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw one person in a pose of its own.

    Args:
        who: the person.
        place: where and from which side.
        light: the light.
        rng: source of pose and folds.

    Returns:
        colours (H, W, 3) in [0, 1], valid where the mask is set, and the mask (H, W) of bool.
    """
    return draw_posed(who, draw_pose(rng, carrying_side(who)), place, light, rng)


def draw_posed(
    who: Identity, pose: Pose, place: Placement, light: Light, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draw one person in a given pose.

    Args:
        who: the person.
        pose: of the limbs.
        place: where and from which side.
        light: the light.
        rng: source of folds.

    Returns:
        As :func:`draw_figure`.
    """
    parts = figure_parts(who, pose)
    matrix = np.diag([place.stretch, 1.0, 1.0]) @ view_matrix(place.yaw, place.pitch)
    hits = rasterise(parts, matrix, place.shape, place.scale, place.foot)
    colour = _shade(parts, hits, light, place, rng)
    height, width = place.shape
    picture = np.zeros((height * width, 3), dtype=np.float32)
    picture[hits.pixel] = colour
    mask = np.zeros(height * width, dtype=bool)
    mask[hits.pixel] = True
    return picture.reshape(height, width, 3), mask.reshape(height, width)


def figure_parts(who: Identity, pose: Pose) -> list[Part]:
    """Return everything that a person consists of in one pose."""
    bones = skeleton(who.height, who.shoulders, pose)
    return [
        *leg_parts(bones, who),
        *upper_parts(bones, who),
        *head_parts(bones, who),
        *bag_parts(bones, who),
    ]


def _shade(
    parts: list[Part], hits: Hits, light: Light, place: Placement, rng: np.random.Generator
) -> Array:
    colour = np.empty((len(hits.pixel), 3), dtype=np.float32)
    crease = np.ones(len(hits.pixel), dtype=np.float32)
    shine = np.zeros(len(hits.pixel), dtype=np.float32)
    for index, part in enumerate(parts):
        phase = rng.uniform(0, 2 * np.pi, 3)
        mine = np.flatnonzero(hits.part == index)
        if not len(mine):
            continue
        spots = hits.spots.where(mine)
        colour[mine] = part.paint(spots)
        shine[mine] = part.gloss
        if part.folds:
            crease[mine] = 1 + part.folds * _folds(spots.along, spots.angle, phase)
    facing = hits.normal @ light.direction.astype(np.float32)
    diffuse = np.clip(0.18 + 0.82 * facing, 0, None)
    sky = 0.86 + 0.14 * hits.normal[:, 1]
    level = (light.ambient * sky + light.key * diffuse) * crease * _hollows(hits, place)
    half = light.direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    spark = np.clip(hits.normal @ half, 0, 1) ** 18 * shine * light.key
    return np.clip(colour * level[:, None] + spark[:, None], 0, 1).astype(np.float32)


def _folds(along: Array, angle: Array, phase: Array) -> Array:
    slow = np.sin(along * 17 + 2.2 * np.sin(angle + phase[0]) + phase[1])
    quick = np.sin(angle * 5 + along * 9 + phase[2])
    return 0.055 * slow + 0.04 * quick * np.abs(slow)


def _hollows(hits: Hits, place: Placement) -> Array:
    """Return how open every place is: darker beside and behind nearer parts."""
    floor = float(hits.depth.min())
    span = max(float(hits.depth.max()) - floor, 1e-6)
    board = np.zeros(place.shape[0] * place.shape[1], dtype=np.uint8)
    board[hits.pixel] = (55 + (hits.depth - floor) * (200 / span)).astype(np.uint8)
    blurred = Image.fromarray(board.reshape(place.shape)).filter(
        ImageFilter.GaussianBlur(place.scale * 0.022)
    )
    behind = np.asarray(blurred).ravel()[hits.pixel].astype(np.float32) - board[hits.pixel]
    return np.clip(1 - np.clip(behind * (span / 200), 0, None) * 5.0, 0.45, 1)
