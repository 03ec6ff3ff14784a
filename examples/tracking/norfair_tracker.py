"""Tracker of a library, norfair-enough, for further rows of the table.

A Kalman filter matches boxes from frame to frame by overlap. A new track alone is compared with
lost tracks by descriptor. A track gets a number with its second detection.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from comparing import GATES, Settings, Tracker
from numpy.typing import NDArray
from observations import Observation
from switches import NO_TRACK

NAME = "norfair: position, then appearance"
_LEAST_IOU = 0.3
_LOOKS_KEPT = 20  # detections in the mean descriptor of a track


def norfair_tracker(keep: int) -> Tracker:
    """Return the tracker of the library, which keeps an unseen track for ``keep`` frames.

    Raises:
        SystemExit: the library is not installed.
    """
    try:
        import norfair
    except ImportError as error:
        raise SystemExit(
            "--norfair: expected the package norfair-enough, which is not installed; "
            "try pip install norfair-enough"
        ) from error

    def track(video: Observation, name: str | None, settings: Settings) -> list[NDArray[np.int64]]:
        assert name is not None
        tracker = norfair.Tracker(
            distance_function="iou",
            distance_threshold=1 - _LEAST_IOU,
            hit_counter_max=2,
            initialization_delay=1,
            past_detections_length=_LOOKS_KEPT,
            reid_distance_function=_distance,
            reid_distance_threshold=settings["gate"]
            + 1e-9,  # the library compares by less, not by at most
            reid_hit_counter_max=keep,
        )
        tracks = []
        for time, (boxes, looks) in enumerate(
            zip(video.boxes, video.descriptors[name], strict=True)
        ):
            detections = [
                norfair.Detection(points=box.reshape(2, 2), embedding=look, data=(time, row))
                for row, (box, look) in enumerate(zip(boxes, looks, strict=True))
            ]
            numbers = np.full(len(detections), NO_TRACK, np.int64)
            for thing in tracker.update(detections=detections):
                when, row = thing.last_detection.data  # a track that is found again holds a copy
                if when == time:
                    numbers[row] = thing.id
            tracks.append(numbers)
        return tracks

    return Tracker(NAME, track, [{"gate": gate} for gate in GATES], described=True)


def _distance(one: Any, other: Any) -> float:
    means = [_mean_look(thing) for thing in (one, other)]
    return float(1 - means[0] @ means[1])


def _mean_look(thing: Any) -> NDArray[np.float64]:
    looks = np.stack([d.embedding for d in (*thing.past_detections, thing.last_detection)])
    looks = looks / np.linalg.norm(looks, axis=1, keepdims=True).clip(1e-12)
    mean = looks.mean(axis=0, dtype=np.float64)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
