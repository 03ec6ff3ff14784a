"""Identity switches and IDF1 of a video with the true person of each detection.

Source: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", for switches;
Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", for
IDF1. Every detection here is the box of a known person; therefore no matching to the ground truth
is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

NO_TRACK = -1


@dataclass(frozen=True)
class Counts:
    """Errors of a tracker in a video.

    Attributes:
        detections: number of detections in all frames.
        switches: number of times that a person's track differs from the person's last track.
        switches_after_gap: switches at the first track after a re-appearance.
        reappearances: number of times that a person is detected again after one frame or more
            without detection.
        tracks: number of different tracks.
        idf1: share of detections whose track belongs to their person, in [0, 1], for the best
            one-to-one pairing of persons and tracks.
    """

    detections: int
    switches: int
    switches_after_gap: int
    reappearances: int
    tracks: int
    idf1: float


def count(people: Sequence[ArrayLike], tracks: Sequence[ArrayLike]) -> Counts:
    """Count the switches of a video.

    Args:
        people: (N,) persons of the detections, per frame; a person stands once in a frame.
        tracks: (N,) tracks of the detections, per frame; ``NO_TRACK`` is no switch and lowers
            IDF1.

    Raises:
        ValueError: the lengths differ, or no detection has a track.
    """
    if [len(x) for x in people] != [len(x) for x in tracks]:
        raise ValueError("tracks: expected one per person of every frame, got other lengths")
    seen: dict[int, int] = {}  # person: frame of the last detection
    before: dict[int, int] = {}  # person: the last track
    returned: set[int] = set()  # persons that came back and have no track yet
    pairs: dict[tuple[int, int], int] = {}
    switches = after_gap = reappearances = detections = 0
    for time, (who, given) in enumerate(zip(people, tracks, strict=True)):
        for person, track in zip(np.asarray(who).tolist(), np.asarray(given).tolist(), strict=True):
            detections += 1
            if time - seen.get(person, time) > 1:
                reappearances += 1
                returned.add(person)
            seen[person] = time
            if track == NO_TRACK:
                continue
            pairs[person, track] = pairs.get((person, track), 0) + 1
            if before.get(person, track) != track:
                switches += 1
                after_gap += person in returned
            before[person] = track
            returned.discard(person)
    if not pairs:
        raise ValueError("tracks: no detection has one, expected at least one; try a longer video")
    return Counts(
        detections=detections,
        switches=switches,
        switches_after_gap=after_gap,
        reappearances=reappearances,
        tracks=len({track for _, track in pairs}),
        idf1=2 * _best_pairing(pairs) / (detections + sum(pairs.values())),
    )


def _best_pairing(pairs: dict[tuple[int, int], int]) -> int:
    rows = {person: i for i, person in enumerate(sorted({p for p, _ in pairs}))}
    columns = {track: i for i, track in enumerate(sorted({t for _, t in pairs}))}
    table = np.zeros((len(rows), len(columns)), np.int64)
    for (person, track), times in pairs.items():
        table[rows[person], columns[track]] = times
    return int(table[linear_sum_assignment(table, maximize=True)].sum())
