"""Places: a wide picture for every camera, of which each image shows a window."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from fed_plugin.datasets.synthocc.brushes import SCENE_SIZE, shaded_by, soft, textured
from fed_plugin.datasets.synthocc.indoors import corridor, garage
from fed_plugin.datasets.synthocc.outdoors import park, plaza, shops, street

SCENES: dict[str, Callable[[ImageDraw.ImageDraw, int, np.random.Generator], None]] = {
    "street": street,
    "corridor": corridor,
    "park": park,
    "shops": shops,
    "garage": garage,
    "plaza": plaza,
}


def draw_scene(name: str, floor: float, rng: np.random.Generator) -> Image.Image:
    """Draw a place.

    Args:
        name: key of ``SCENES``.
        floor: share of the height above which the wall stands.
        rng: source of all that varies.

    Returns:
        An RGB picture of ``SCENE_SIZE``.
    """
    picture = Image.new("RGB", SCENE_SIZE, (128, 128, 128))
    line = int(SCENE_SIZE[1] * floor)
    SCENES[name](ImageDraw.Draw(picture), line, rng)
    picture = textured(picture, rng, 0.16)
    dusk = Image.new("L", SCENE_SIZE, 255)
    # The wall meets the floor in a soft shadow.
    ImageDraw.Draw(dusk).rectangle((0, line - 10, SCENE_SIZE[0], line + 12), fill=175)
    return soft(shaded_by(picture, soft(dusk, 14)), 1.3)


def window(scene: Image.Image, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Cut a window of ``size`` (width, height) out of a scene, sometimes mirrored."""
    spare = (scene.width - size[0], scene.height - size[1])
    left, top = int(rng.integers(spare[0] + 1)), int(rng.integers(spare[1] // 3, spare[1] + 1))
    cut = scene.crop((left, top, left + size[0], top + size[1]))
    mirrored = rng.random() < 0.5
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else cut
