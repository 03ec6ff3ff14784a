"""Things and people that stand in front of the person looked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fed_plugin.datasets.synthocc import furniture, greens
from fed_plugin.datasets.synthocc.cameras import Camera
from fed_plugin.datasets.synthocc.figure import Placement, draw_figure
from fed_plugin.datasets.synthocc.identity import Identity
from fed_plugin.datasets.synthocc.placing import Cover, slide_in, visible_shares
from fed_plugin.datasets.synthocc.surface import Array

# What each thing is called in visibility.csv, how it is drawn, and from where it may come.
THINGS: dict[str, tuple[Callable[[np.random.Generator], Image.Image], tuple[str, ...]]] = {
    "car": (greens.car, ("bottom",)),
    "van": (greens.van, ("left", "right")),
    "bush": (greens.bush, ("bottom", "left", "right")),
    "hedge": (greens.hedge, ("bottom",)),
    "branch": (greens.branch, ("top",)),
    "tree": (greens.tree, ("left", "right")),
    "umbrella": (greens.umbrella, ("top",)),
    "bin": (furniture.bin_, ("bottom",)),
    "bench": (furniture.bench, ("bottom",)),
    "board": (furniture.board, ("left", "right", "top", "bottom")),
    "boxes": (furniture.boxes, ("bottom", "left", "right")),
    "fence": (furniture.fence, ("bottom",)),
    "pillar": (furniture.pillar, ("left", "right")),
    "trolley": (furniture.trolley, ("bottom", "left", "right")),
    "barrier": (furniture.barrier, ("bottom",)),
}
_CLOSE_ENOUGH = 0.04
# The person looked for is the one in the middle: others stay in the outer parts of the picture.
_ASIDE = 0.27


@dataclass(frozen=True)
class Occlusion:
    """Hold an occluder in place and what visibility.csv says of it.

    Args:
        cover: the occluder.
        kind: "object" or "person".
        name: key of ``THINGS``, or "person".
        side: where it comes from.
    """

    cover: Cover
    kind: str
    name: str
    side: str


def hide_behind_thing(person: Array, wanted: float, rng: np.random.Generator) -> Occlusion:
    """Put an object in front of a person so that about ``wanted`` of the person stays visible."""
    best: tuple[float, Occlusion] | None = None
    names = list(THINGS)
    for _ in range(5):
        name = names[int(rng.integers(len(names)))]
        draw, sides = THINGS[name]
        side = sides[int(rng.integers(len(sides)))]
        cover = slide_in(_sized(draw(rng), rng), side, person, wanted, rng)
        gap = abs(visible_shares(person, cover.mask)[0] - wanted)
        if best is None or gap < best[0]:
            best = (gap, Occlusion(cover, "object", name, side))
        if gap < _CLOSE_ENOUGH:
            break
    assert best is not None
    return best[1]


def _sized(cutout: Image.Image, rng: np.random.Generator) -> Image.Image:
    factor = float(rng.uniform(0.85, 1.3))
    size = (int(cutout.width * factor), int(cutout.height * factor))
    return cutout.resize(size, Image.Resampling.NEAREST)


def hide_behind_person(
    person: Array,
    passer: Identity,
    camera: Camera,
    scale: float,
    wanted: float,
    rng: np.random.Generator,
) -> Occlusion:
    """Let somebody walk in front of a person, nearer to the camera and to one side.

    Args:
        person: (H, W) bool, the person's pixels.
        passer: who walks in front.
        camera: the camera.
        scale: pixels per metre at the person.
        wanted: visible share to reach.
        rng: source of pose, side and distance.
    """
    rows, cols = person.shape
    nearer = float(rng.uniform(1.04, 1.28))
    place = Placement(
        shape=(rows, int(cols * 1.5)),
        scale=scale * nearer,
        foot=(cols * 0.75, rows * float(rng.uniform(1.0, 1.0 + 0.8 * (nearer - 1)))),
        yaw=float(rng.uniform(-np.pi, np.pi)),
        pitch=camera.pitch,
        stretch=float(rng.uniform(1.0, 1.12)),
    )
    colour, mask = draw_figure(passer, place, camera.light(), rng)
    used = np.flatnonzero(mask.any(axis=0))
    cut = np.dstack([colour * 255, mask * 255.0]).astype(np.uint8)[:, used[0] : used[-1] + 1]
    side = "left" if rng.random() < 0.5 else "right"
    cover = slide_in(Image.fromarray(cut), side, person, wanted, rng, _ASIDE)
    return Occlusion(cover, "person", "person", side)
