"""A drawn surveillance video with known people, boxes and visible shares.

The people, places, obstacles and cameras are drawn by SynthOcc's own functions. Identities come from
the group "tracking" of ``draw_identities``, whose random streams no data set of any seed uses (those
take "train", "test" and "extra"): no model can have been trained on these people. They come in
families of four that wear the same colours. Exposure stays as it is over a video.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from walks import Obstacle, place_obstacles, walk

from fed_plugin.datasets.synthocc import figure
from fed_plugin.datasets.synthocc.bags import carrying_side
from fed_plugin.datasets.synthocc.brushes import as_floats, soft
from fed_plugin.datasets.synthocc.figure import Placement, figure_parts
from fed_plugin.datasets.synthocc.identity import draw_identities
from fed_plugin.datasets.synthocc.locations import CAMERAS
from fed_plugin.datasets.synthocc.occluders import THINGS
from fed_plugin.datasets.synthocc.raster import rasterise
from fed_plugin.datasets.synthocc.scenes import draw_scene
from fed_plugin.datasets.synthocc.skeleton import draw_pose, view_matrix
from fed_plugin.datasets.synthocc.streams import stream

WIDTH, HEIGHT = 480, 256
FINER = 2  # frames are drawn this many times larger and averaged
RATE = 8.0  # frames per second
LEAST_VISIBLE = 0.25  # a person of whom less is visible is not detected
OBSTACLES = ("tree", "van", "board", "pillar", "boxes", "bush")
_THING_SCALE = 194.0  # pixels per metre that SynthOcc's things are drawn for
_SCALES = (53.0, 80.0)  # pixels per metre at depth 0 and 1
_FILL = 0.92  # share of a box's height that the person takes, as in SynthOcc's images

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame, and what is true of it; N people have at least one pixel in it.

    Attributes:
        pixels: (HEIGHT, WIDTH, 3) uint8 RGB.
        people: (N,) int64, numbers of the persons.
        boxes: (N, 4) float64 left, top, right, bottom in pixels, of the whole person, hidden parts
            included, cut at the frame's edge.
        shares: (N,) visible share of the person, in [0, 1].
        owner: (HEIGHT * FINER, WIDTH * FINER) int16, whose each pixel is: a person's number, -1
            the place, -2 an obstacle.
    """

    pixels: Pixels
    people: NDArray[np.int64]
    boxes: NDArray[np.float64]
    shares: NDArray[np.float64]
    owner: NDArray[np.int16]

    @property
    def detected(self) -> NDArray[np.bool_]:
        """(N,) whom a perfect detector finds."""
        return self.shares >= LEAST_VISIBLE


class DrawnVideo:
    """Draw any frame of a video; the same arguments give the same pixels.

    Args:
        seed: of the video; also chooses its camera, in turn.
        people: how many persons walk in it.
        frames: its length.

    Raises:
        ValueError: a negative seed, fewer than 1 person, or fewer than 2 frames.
    """

    def __init__(self, seed: int, people: int = 8, frames: int = 120) -> None:
        if seed < 0 or people < 1 or frames < 2:
            raise ValueError(
                f"seed={seed}, people={people}, frames={frames}: expected a seed of 0 or more, at "
                "least 1 person and 2 frames; try seed=0, people=8, frames=120"
            )
        self.seed, self.frames = seed, frames
        self.camera = CAMERAS[seed % len(CAMERAS)]
        self.cast = draw_identities(seed, "tracking", people)
        self.obstacles = place_obstacles(seed, OBSTACLES)
        self.walks = [walk(seed, k, self.obstacles, frames, RATE) for k in range(people)]
        scene = draw_scene(
            self.camera.scene, self.camera.floor, stream(seed, "tracking", "scene")
        ).resize((WIDTH * FINER, HEIGHT * FINER), Image.Resampling.BICUBIC)
        self._place = as_floats(scene)
        self._things = [self._thing(number) for number in range(len(self.obstacles))]

    def draw(self, index: int, only: int | None = None) -> Frame:
        """Draw a frame.

        Args:
            index: from 0.
            only: leave out the obstacles and everybody but this person, for a look at who is hidden.

        Raises:
            IndexError: the video has no such frame.
        """
        if not 0 <= index < self.frames:
            raise IndexError(f"frame {index}: expected 0 to {self.frames - 1}")
        shown = list(range(len(self.cast))) if only is None else [only]
        picture = self._place * self._shadows(index, shown)[..., None]
        owner = np.full(picture.shape[:2], -1, np.int16)
        boxes = {}
        standing = [(self.walks[k][index].depth, k) for k in shown]
        if only is None:
            standing += [(thing.depth, -2 - i) for i, thing in enumerate(self.obstacles)]
        drawn = dict.fromkeys(shown, 0)
        for _, who in sorted(standing):  # the nearest last
            colour, mask, left, top = (
                self._person(who, index) if who >= 0 else self._things[-2 - who]
            )
            if who >= 0:
                boxes[who] = _box(mask, left, top)
            rows, cols, inner = _overlap(mask.shape, owner.shape, left, top)
            here = mask[inner]
            picture[rows, cols][here] = colour[inner][here]
            owner[rows, cols][here] = max(who, -2)
            if who >= 0:
                drawn[who] = int(here.sum())
        inside = [k for k in shown if drawn[k]]
        return Frame(
            self.camera.expose(_averaged(picture), stream(self.seed, "tracking", "exposure")),
            np.array(inside, np.int64),
            np.array([boxes[k] for k in inside]).reshape(-1, 4),
            np.array([(owner == k).sum() / drawn[k] for k in inside]),
            owner,
        )

    def _foot(self, across: float, depth: float) -> tuple[float, float, float]:
        """Return x and y of a place on the ground and pixels per metre there, as drawn."""
        line = HEIGHT * self.camera.floor
        near = HEIGHT - 6
        far = line + 0.18 * (near - line)
        scale = _SCALES[0] + (_SCALES[1] - _SCALES[0]) * depth
        return across * WIDTH * FINER, (far + (near - far) * depth) * FINER, scale * FINER

    def _person(self, who: int, index: int) -> tuple[NDArray, NDArray, int, int]:
        """Return colours, mask, and where the left top corner of both lies in the picture."""
        moment, identity = self.walks[who][index], self.cast[who]
        x, y, scale = self._foot(moment.across, moment.depth)
        high, half, below = (int(scale * m) for m in (identity.height + 0.25, 0.85, 0.3))
        left, top = int(x) - half, int(y) - high
        # One stream for all frames: arms, folds and the nod of the head stay as they are.
        rng = stream(self.seed, "tracking", "look", who)
        pose = replace(draw_pose(rng, carrying_side(identity)), phase=moment.phase)
        pose = replace(pose, stride=max(pose.stride, 0.55) if moment.walks else 0.1)
        parts = figure_parts(identity, pose)
        place = Placement(
            (high + below, 2 * half), scale, (x - left, y - top), moment.yaw, self.camera.pitch
        )
        matrix = view_matrix(place.yaw, place.pitch)
        hits = rasterise(parts, matrix, place.shape, place.scale, place.foot)
        colour, mask = np.zeros((*place.shape, 3), np.float32), np.zeros(place.shape, bool)
        # draw_figure draws the pose as well; a walk needs its own
        colour.reshape(-1, 3)[hits.pixel] = figure._shade(
            parts, hits, self.camera.light(), place, rng
        )
        mask.reshape(-1)[hits.pixel] = True
        return colour, mask, left, top

    def _thing(self, number: int) -> tuple[NDArray, NDArray, int, int]:
        thing: Obstacle = self.obstacles[number]
        x, y, scale = self._foot(thing.across, thing.depth)
        cutout = THINGS[thing.name][0](stream(self.seed, "tracking", "thing", number))
        ratio = scale / _THING_SCALE
        size = (round(cutout.width * ratio), round(cutout.height * ratio))
        data = np.asarray(cutout.resize(size, Image.Resampling.NEAREST))
        mask = data[..., 3] > 127
        low = int(np.flatnonzero(mask.any(axis=1))[-1])
        return data[..., :3].astype(np.float32) / 255, mask, int(x) - size[0] // 2, int(y) - low

    def _shadows(self, index: int, shown: list[int]) -> NDArray[np.float32]:
        board = Image.new("L", (WIDTH, HEIGHT), 255)
        pen = ImageDraw.Draw(board)
        spots = [(self.walks[k][index].across, self.walks[k][index].depth) for k in shown]
        for across, depth in spots:
            x, y, scale = (v / FINER for v in self._foot(across, depth))
            pen.ellipse((x - 0.3 * scale, y - 0.08 * scale, x + 0.3 * scale, y + 0.05 * scale), 110)
        size = (WIDTH * FINER, HEIGHT * FINER)
        return np.asarray(soft(board, 3.0).resize(size), np.float32) / 255


def _box(mask: NDArray, left: int, top: int) -> tuple[float, float, float, float]:
    """Return a box of the whole figure, about twice as high as wide, cut at the frame's edge."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    high, wide = (float(np.ptp(side)) + 1 for side in (rows, cols))
    half_high = high / _FILL / 2
    half_wide = max(half_high / 2, wide / 2 + 2)
    y, x = top + rows[0] + high / 2, left + cols[0] + wide / 2
    ends = np.array([x - half_wide, y - half_high, x + half_wide, y + half_high]) / FINER
    return tuple(ends.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT]))


def _overlap(
    thing: tuple[int, ...], frame: tuple[int, ...], left: int, top: int
) -> tuple[slice, slice, tuple[slice, slice]]:
    """Return rows and columns of the frame that a thing covers, and those of the thing."""
    rows = slice(max(top, 0), max(min(top + thing[0], frame[0]), 0))
    cols = slice(max(left, 0), max(min(left + thing[1], frame[1]), 0))
    inner = (slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left))
    return rows, cols, inner


def _averaged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    cells = picture.reshape(HEIGHT, FINER, WIDTH, FINER, 3)
    return cells.mean(axis=(1, 3), dtype=np.float32)
