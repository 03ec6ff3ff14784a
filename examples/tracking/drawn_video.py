"""Drawn surveillance video with known people, boxes and visible shares.

SynthOcc's functions draw people, places, obstacles and cameras. The identities belong to the group
"tracking" of ``draw_identities``. Data sets use the groups "train", "test" and "extra" alone;
therefore no model was trained on these people. Families of four wear the same colours. The exposure
stays the same over a video.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from cutouts import Cutout, Spot, cut_person, cut_thing
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from walks import place_obstacles, walk

from fed_plugin.synthocc.casting import CAMERAS
from fed_plugin.synthocc.identity import draw_identities, stream
from fed_plugin.synthocc.scenes import draw_scene
from fed_plugin.synthocc.surface import as_floats, soft

WIDTH, HEIGHT = 480, 256
FINER = 2  # frames are drawn twice as large and averaged
RATE = 8.0  # frames per second
LEAST_VISIBLE = 0.25  # least visible share of a detected person
OBSTACLES = ("tree", "van", "board", "pillar", "boxes", "bush")
PLACE, OBSTACLE = -1, -2  # owners of pixels without a person
_SCALES = (53.0, 80.0)  # pixels per metre at depth 0 and 1

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame with its ground truth; N people have at least one pixel in the frame.

    Attributes:
        pixels: (HEIGHT, WIDTH, 3) uint8 RGB.
        people: (N,) int64 numbers of the persons.
        boxes: (N, 4) float64 left, top, right, bottom in pixels, around the whole person, hidden
            parts included, cut at the edge of the frame.
        shares: (N,) visible share of the person's pixels inside the frame, in [0, 1].
        owner: (HEIGHT * FINER, WIDTH * FINER) int16 owner of each drawn pixel: a person's number,
            ``PLACE`` or ``OBSTACLE``.
    """

    pixels: Pixels
    people: NDArray[np.int64]
    boxes: NDArray[np.float64]
    shares: NDArray[np.float64]
    owner: NDArray[np.int16]

    @property
    def detected(self) -> NDArray[np.bool_]:
        """(N,) True for persons that a perfect detector finds."""
        return self.shares >= LEAST_VISIBLE


class DrawnVideo:
    """Video whose frames are drawn on demand; the same arguments give the same pixels.

    Args:
        seed: seed of the video; cameras take turns by seed.
        people: number of persons.
        frames: number of frames.

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
        scene = draw_scene(self.camera.scene, self.camera.floor, self._stream("scene"))
        size = (WIDTH * FINER, HEIGHT * FINER)
        self._place = as_floats(scene.resize(size, Image.Resampling.BICUBIC))
        self._things = [
            cut_thing(x.name, self._spot(x.across, x.depth), self._stream("thing", number))
            for number, x in enumerate(self.obstacles)
        ]

    def draw(self, index: int, only: int | None = None) -> Frame:
        """Draw a frame.

        Args:
            index: from 0.
            only: leave out the obstacles and everybody but this person, to see what is hidden.

        Raises:
            IndexError: the video has no such frame.
        """
        if not 0 <= index < self.frames:
            raise IndexError(f"frame {index}: expected 0 to {self.frames - 1}")
        drawn_people = list(range(len(self.cast))) if only is None else [only]
        people = {k: self._person(k, index) for k in drawn_people}
        standing = [(self.walks[k][index].depth, k, cutout) for k, cutout in people.items()]
        if only is None:
            depths = [x.depth for x in self.obstacles]
            standing += [(d, OBSTACLE, x) for d, x in zip(depths, self._things, strict=True)]
        picture = self._place * self._shadows(index, drawn_people)[..., None]
        owner = np.full(picture.shape[:2], PLACE, np.int16)
        drawn = {}
        for _, number, cutout in sorted(standing, key=lambda x: x[:2]):  # the nearest last
            drawn[number] = cutout.paste(picture, owner, number)
        inside = [k for k in drawn_people if drawn[k]]
        boxes = np.array([people[k].box() for k in inside]).reshape(-1, 4) / FINER
        return Frame(
            self.camera.expose(_averaged(picture), self._stream("exposure")),
            np.array(inside, np.int64),
            boxes.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT]),
            np.array([(owner == k).sum() / drawn[k] for k in inside]),
            owner,
        )

    def _stream(self, *key: int | str) -> np.random.Generator:
        return stream(self.seed, "tracking", *key)

    def _spot(self, across: float, depth: float) -> Spot:
        line, near = HEIGHT * self.camera.floor, HEIGHT - 6
        far = line + 0.18 * (near - line)
        scale = _SCALES[0] + (_SCALES[1] - _SCALES[0]) * depth
        return across * WIDTH * FINER, (far + (near - far) * depth) * FINER, scale * FINER

    def _person(self, who: int, index: int) -> Cutout:
        moment = self.walks[who][index]
        spot = self._spot(moment.across, moment.depth)
        return cut_person(self.cast[who], moment, spot, self.camera, self._stream("look", who))

    def _shadows(self, index: int, drawn_people: list[int]) -> NDArray[np.float32]:
        """Return factors that darken the ground below people, as large as the picture."""
        board = Image.new("L", (WIDTH, HEIGHT), 255)
        pen = ImageDraw.Draw(board)
        for moment in (self.walks[k][index] for k in drawn_people):
            x, y, scale = (v / FINER for v in self._spot(moment.across, moment.depth))
            wide, behind, before = 0.3 * scale, 0.08 * scale, 0.05 * scale
            pen.ellipse((x - wide, y - behind, x + wide, y + before), fill=110)
        whole = soft(board, 3.0).resize((WIDTH * FINER, HEIGHT * FINER))
        return np.asarray(whole, np.float32) / 255


def describe_protocol() -> dict[str, Any]:
    """Return the record of every video: size, speed, people, rule of the detector."""
    return {
        "size": [WIDTH, HEIGHT],
        "frames_per_second": RATE,
        "identities": "draw_identities(seed, 'tracking', people): in no data set",
        "camera": "of SynthOcc's, seed modulo their number",
        "obstacles": list(OBSTACLES),
        "detector": f"everybody of whom at least {LEAST_VISIBLE} is visible, the whole body's box",
    }


def _averaged(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    cells = picture.reshape(HEIGHT, FINER, WIDTH, FINER, 3)
    return cells.mean(axis=(1, 3), dtype=np.float32)
