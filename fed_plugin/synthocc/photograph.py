"""One image: a place, a person, sometimes an occluder, as the camera records them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from fed_plugin.synthocc.casting import CAMERAS
from fed_plugin.synthocc.figure import Camera, Placement, draw_figure
from fed_plugin.synthocc.identity import Identity, stream
from fed_plugin.synthocc.obstacles import Occlusion, hide_behind_person, hide_behind_thing
from fed_plugin.synthocc.scenes import draw_scene, window
from fed_plugin.synthocc.surface import Array, as_floats, soft

HEIGHT, WIDTH = 128, 64
FINER = 3  # pictures are drawn three times larger and averaged
VARIANTS = 3  # scenes of each camera
VISIBLE = {"object": (0.25, 0.9), "person": (0.4, 0.9)}  # wanted visible shares of queries


@dataclass(frozen=True)
class Photograph:
    """Finished image with its ground truth.

    Args:
        pixels: (128, 64, 3) uint8.
        person: (384, 192) bool, the person's pixels as drawn, without the occluder.
        occlusion: occluder in front, or None.
    """

    pixels: Array
    person: Array
    occlusion: Occlusion | None


def photograph(
    seed: int,
    who: Identity,
    camid: int,
    rng: Generator,
    passer: Identity | None = None,
    occluded: bool = False,
) -> Photograph:
    """Draw one image.

    Args:
        seed: seed of the whole drawing; the scenes depend on the seed.
        who: the person.
        camid: camera, from 0.
        rng: random stream of the image.
        passer: person in front; None takes an object as the occluder.
        occluded: True for an image with an occluder.
    """
    camera = CAMERAS[camid]
    place = _placement(who, camera, rng)
    view = window(_scene(seed, camid, int(rng.integers(VARIANTS))), place.shape[::-1], rng)
    picture = as_floats(view) * _ground_shadow(camera, place)[..., None]
    colour, person = draw_figure(who, place, camera.light(), rng)
    picture[person] = colour[person]
    occlusion = None
    if occluded:
        wanted = float(rng.uniform(*VISIBLE["object" if passer is None else "person"]))
        if passer is None:
            occlusion = hide_behind_thing(person, wanted, rng)
        else:
            occlusion = hide_behind_person(person, passer, camera, place.scale, wanted, rng)
        cover = occlusion.cover
        picture[cover.mask] = cover.colour[cover.mask]
    return Photograph(camera.expose(_averaged(picture), rng), person, occlusion)


def _averaged(picture: Array) -> Array:
    cells = [picture[i::FINER, j::FINER] for i in range(FINER) for j in range(FINER)]
    return sum(cells[1:], start=cells[0]) / np.float32(FINER**2)


def _placement(who: Identity, camera: Camera, rng: Generator) -> Placement:
    rows, cols = HEIGHT * FINER, WIDTH * FINER
    fill = float(rng.uniform(*camera.fill))
    # Half of the people walk away from the camera.
    forth = 0.0 if rng.random() < 0.5 else np.pi
    x = 0.5 + float(np.clip(rng.normal(0, 0.04), -0.09, 0.09))
    y = 1 - (1 - fill) * float(rng.uniform(0.3, 0.7)) - 0.012
    return Placement(
        shape=(rows, cols),
        scale=rows * fill / (who.height * 1.02),
        foot=(cols * x, rows * y),
        yaw=camera.path + forth + float(rng.normal(0, 0.5)),
        pitch=camera.pitch + float(rng.normal(0, 0.02)),
        stretch=float(rng.uniform(1.0, 1.2)),
    )


def _ground_shadow(camera: Camera, place: Placement) -> Array:
    """Return (H, W) factors that darken the floor around the feet, away from the lamp."""
    rows, cols = place.shape
    board = Image.new("L", (cols // 2, rows // 2), 255)
    pen = ImageDraw.Draw(board)
    # The board is half as large as the picture; the shadow lies under the soles.
    x, y = place.foot[0] / 2, place.foot[1] / 2 - 3
    lamp = np.asarray(camera.lamp) / np.linalg.norm(camera.lamp)
    reach = 0.16 * place.scale
    drift = (-lamp[0] * reach, lamp[2] * reach * -0.25)
    dark = int(255 * (1 - 0.5 * camera.key))
    for part, tone in ((1.0, (255 + dark) // 2), (0.5, dark), (0.0, max(dark - 40, 60))):
        wide, deep = reach * (1.0 + 0.5 * part), reach * 0.3
        cx, cy = x + drift[0] * part, y + drift[1] * part
        pen.ellipse((cx - wide, cy - deep, cx + wide, cy + deep), fill=tone)
    full = soft(board, 3.0).resize((cols, rows))
    return np.asarray(full, dtype=np.float32) / 255


@lru_cache(maxsize=len(CAMERAS) * VARIANTS)
def _scene(seed: int, camid: int, variant: int) -> Image.Image:
    camera = CAMERAS[camid]
    return draw_scene(camera.scene, camera.floor, stream(seed, "scene", camid, variant))
