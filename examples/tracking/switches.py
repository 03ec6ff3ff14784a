"""Identity switches, and IDF1, of a video whose detections are known to be whom.

Source: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance", for switches;
Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera Tracking", for
IDF1. As every detection here is a person's own box, the matching of both to the ground truth is
given, not computed.
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
    """What went wrong in a video.

    Attributes:
        detections: how many there are in all frames.
        switches: how often a person's track is another than the last that the person had.
        switches_after_gap: those of them at the first track after a re-appearance.
        reappearances: how often a person who was seen before is seen again, after at least one
            frame without detection.
        tracks: how many different tracks there are.
        idf1: in [0, 1], the share of detections whose track is the one that belongs to their
            person, where persons and tracks are paired one to one in the best way.
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
        people: per frame (N,) who the detections are, each at most once a frame.
        tracks: per frame (N,) the tracks that they were given; ``NO_TRACK`` for none, which is no
            switch and lowers IDF1.

    Raises:
        ValueError: the lengths differ, or no detection has a track.
    """
    if [len(x) for x in people] != [len(x) for x in tracks]:
        raise ValueError("tracks: expected one per person of every frame, got other lengths")
    seen: dict[int, int] = {}  # person: frame of the last detection
    before: dict[int, int] = {}  # person: the last track
    returned: set[int] = set()  # who was away and has no track again yet
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
