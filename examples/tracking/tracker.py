"""Small tracker that matches detections to tracks by appearance, by position, or by both.

Shape shorthand: ``N`` detections of a frame, ``T`` tracks, ``D`` numbers of a descriptor.

The detections of a frame are matched to the known tracks at the least total cost (the Hungarian
method). A track that is not seen is kept for some frames. A detection without a match starts a
track. The position of a track is its last box: no motion is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

_FORBIDDEN = 1e6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rule:
    """Conditions of a match.

    Attributes:
        gate: greatest cosine distance between a detection and the mean descriptor of a track, in
            (0, 2]; None matches without appearance.
        least_iou: least intersection over union with the last box; None matches without position.
            With gate and least_iou, tracks of the frame before are matched by overlap and
            appearance together. The other tracks are then matched by appearance, within the
            distance that a person can walk. The gate holds in both steps.
        weight: weight of the cosine distance beside 1 - overlap; used with gate and least_iou.
        keep: number of frames for which an unseen track is kept.
        momentum: share of the old mean descriptor that stays when a detection is added.
        reach: box heights that a person can walk in one frame; used with gate and least_iou.
    """

    gate: float | None = None
    least_iou: float | None = None
    weight: float = 1.0
    keep: int = 60
    momentum: float = 0.8
    reach: float = 0.2

    def __post_init__(self) -> None:
        """Refuse a rule that matches nothing, or numbers out of their range.

        Raises:
            ValueError: neither gate nor least_iou, or a value out of range.
        """
        if self.gate is None and self.least_iou is None:
            raise ValueError("gate=None, least_iou=None: expected at least one; try gate=0.3")
        if self.gate is not None and not 0 < self.gate <= 2:
            raise ValueError(f"gate={self.gate}: expected over 0 and at most 2; try 0.3")
        if self.keep < 1 or not 0 <= self.momentum < 1 or self.reach <= 0 or self.weight < 0:
            raise ValueError(
                f"keep={self.keep}, momentum={self.momentum}, reach={self.reach}, "
                f"weight={self.weight}: expected at least 1, a share in [0, 1), a positive number "
                "and one that is not negative; try 60, 0.8, 0.2, 1"
            )


@dataclass
class _Track:
    number: int
    box: Array
    mean: Array
    seen: int


def follow(
    boxes: Sequence[ArrayLike], descriptors: Sequence[ArrayLike] | None, rule: Rule
) -> list[NDArray[np.int64]]:
    """Return the track of every detection of a video.

    Args:
        boxes: (N, 4) left, top, right, bottom, per frame.
        descriptors: (N, D) per frame, of any length above 0; None for a rule without gate.
        rule: conditions of a match.

    Returns:
        (N,) numbers of tracks per frame, from 0 in the order of their first detections.

    Raises:
        ValueError: a gate without descriptors, other numbers of frames or of detections, or a
            descriptor that is not finite.
    """
    if (descriptors is None) != (rule.gate is None):
        raise ValueError(f"gate={rule.gate}: expected descriptors with a gate, and none without")
    if descriptors is not None and [len(x) for x in descriptors] != [len(x) for x in boxes]:
        raise ValueError("descriptors: expected one per box of every frame")
    tracks: list[_Track] = []
    started = 0
    tracks_of_frames = []
    for time, frame in enumerate(boxes):
        here = np.asarray(frame, np.float64).reshape(-1, 4)
        looks = np.zeros((len(here), 0)) if descriptors is None else _unit(descriptors[time])
        tracks = [track for track in tracks if time - track.seen <= rule.keep]
        numbers = np.full(len(here), -1, np.int64)
        for row, column in _matched(tracks, here, looks, time, rule):
            track = tracks[row]
            numbers[column] = track.number
            track.box, track.seen = here[column], time
            track.mean = rule.momentum * track.mean + (1 - rule.momentum) * looks[column]
        for column in np.flatnonzero(numbers < 0):
            tracks.append(_Track(started, here[column], looks[column], time))
            numbers[column] = started
            started += 1
        tracks_of_frames.append(numbers)
    return tracks_of_frames


def _matched(
    tracks: list[_Track], boxes: Array, looks: Array, time: int, rule: Rule
) -> list[tuple[int, int]]:
    """Return pairs (row in tracks, row in boxes)."""
    if not tracks or not len(boxes):
        return []
    last = np.stack([track.box for track in tracks])
    gaps = np.array([time - track.seen for track in tracks])
    overlap = overlaps(last, boxes)
    near = overlap >= (rule.least_iou or 0.0)
    if rule.gate is None:
        return _cheapest(1 - overlap, near)
    distance = 1 - _unit(np.stack([track.mean for track in tracks])) @ looks.T  # (T, N)
    alike = distance <= rule.gate
    if rule.least_iou is None:
        return _cheapest(distance, alike)
    cost = 1 - overlap + rule.weight * distance
    pairs = _cheapest(cost, near & alike & (gaps == 1)[:, None])
    alike &= _walked(last, boxes) <= rule.reach * gaps[:, None]
    for row, column in pairs:
        alike[row], alike[:, column] = False, False
    return pairs + _cheapest(distance, alike)


def _cheapest(cost: Array, allowed: NDArray[np.bool_]) -> list[tuple[int, int]]:
    rows, columns = linear_sum_assignment(np.where(allowed, cost, _FORBIDDEN))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]


def overlaps(a: ArrayLike, b: ArrayLike) -> Array:
    """Return intersection over union of boxes (T, 4) and (N, 4), as (T, N) in [0, 1]."""
    one, other = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    common = sides.clip(0).prod(-1)
    areas = [(x[..., 2:] - x[..., :2]).clip(0).prod(-1) for x in (one, other)]
    union = areas[0] + areas[1] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _walked(a: Array, b: Array) -> Array:
    """Return distances between the middles of boxes (T, 4) and (N, 4), in heights of the former."""
    middles = [(x[:, :2] + x[:, 2:]) / 2 for x in (a, b)]
    distances = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=-1)
    return distances / (a[:, 3] - a[:, 1]).clip(1)[:, None]


def _unit(rows: ArrayLike) -> Array:
    rows = np.asarray(rows, np.float64)
    if not np.isfinite(rows).all():
        raise ValueError("descriptors: expected finite numbers, got NaN or infinity")
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(1e-12)
