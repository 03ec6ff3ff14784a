"""Detections of a perfect detector in drawn videos, and their descriptors.

Shape shorthand: ``N`` detections of a frame, ``D`` numbers of a descriptor.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from drawn_video import DrawnVideo, Pixels
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.pool import follow_parent

Boxes = NDArray[np.float64]
Describe = Callable[[Boxes, Pixels], NDArray[np.float32]]
"""Function of boxes (N, 4) and a frame (H, W, 3) uint8 BGR that returns (N, D)."""

Seen = tuple[Pixels, NDArray[np.int64], Boxes]
CROP = (48, 96)  # width and height of a crop for the colour histogram


@dataclass(eq=False)
class Observation:
    """Detections of a video.

    Attributes:
        seed: seed of the video.
        people: (N,) numbers of the persons, per frame.
        boxes: (N, 4), per frame.
        descriptors: (N, D) per frame, by the name of the describer.
    """

    seed: int
    people: list[NDArray[np.int64]] = field(default_factory=list)
    boxes: list[Boxes] = field(default_factory=list)
    descriptors: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)


def observe(
    seeds: Sequence[int],
    describers: Mapping[str, Describe],
    *,
    people: int,
    frames: int,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Observation]:
    """Draw videos and describe the detected persons, each frame once for all describers.

    Args:
        seeds: seeds of the videos.
        describers: functions by name.
        people: number of persons in a video.
        frames: number of frames of a video.
        workers: number of processes that draw; the describers run in this process.
        progress: called with (frames done, frames in all).

    Returns:
        One observation per seed, in the order of the seeds.
    """
    jobs = [(seed, people, frames, index) for seed in seeds for index in range(frames)]
    videos = {seed: Observation(seed) for seed in seeds}
    for video in videos.values():
        video.descriptors.update({name: [] for name in describers})
    for done, (job, seen) in enumerate(zip(jobs, _drawn(jobs, workers), strict=True), start=1):
        pixels, who, boxes = seen
        video = videos[job[0]]
        video.people.append(who)
        video.boxes.append(boxes)
        for name, describe in describers.items():
            video.descriptors[name].append(describe(boxes, pixels[..., ::-1]))
        if progress is not None:
            progress(done, len(jobs))
    return [videos[seed] for seed in seeds]


def colour_histogram(boxes: Boxes, frame: Pixels) -> NDArray[np.float32]:
    """Describe boxes of a BGR frame by the colours of three stripes, without learning.

    Returns:
        (N, 3 * 512) square roots of the shares of 8 x 8 x 8 colours.
    """
    picture = Image.fromarray(np.ascontiguousarray(frame[..., ::-1]))
    rows = np.zeros((len(boxes), 3, 512), np.float32)
    for row, box in zip(rows, boxes, strict=True):
        levels = np.asarray(picture.crop(tuple(box.round())).resize(CROP)).astype(int) // 32
        colours = levels @ (64, 8, 1)
        row[:] = [np.bincount(part.ravel(), minlength=512) for part in np.array_split(colours, 3)]
    return np.sqrt(rows / rows.sum(-1, keepdims=True).clip(1)).reshape(len(boxes), 3 * 512)


def _drawn(jobs: Sequence[tuple[int, int, int, int]], workers: int) -> Iterator[Seen]:
    if workers <= 1:
        yield from map(_detect, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=follow_parent) as pool:
        try:
            # a few frames are drawn ahead, because frames are described one by one
            yield from _ahead(pool, jobs, 8 * workers)
        finally:
            pool.shutdown(cancel_futures=True)


def _ahead(
    pool: ProcessPoolExecutor, jobs: Sequence[tuple[int, int, int, int]], most: int
) -> Iterator[Seen]:
    waiting = [pool.submit(_detect, job) for job in jobs[:most]]
    for job in [*jobs[most:], *[None] * len(waiting)]:
        if job is not None:
            waiting.append(pool.submit(_detect, job))
        yield waiting.pop(0).result()


def _detect(job: tuple[int, int, int, int]) -> Seen:
    *which, index = job
    frame = _video(*which).draw(index)
    return frame.pixels, frame.people[frame.detected], frame.boxes[frame.detected]


@lru_cache(maxsize=2)
def _video(seed: int, people: int, frames: int) -> DrawnVideo:
    return DrawnVideo(seed, people, frames)
