"""Picture of one video under several trackers; colour and number of a box name the track."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from comparing import Row, Tracker
from drawn_video import HEIGHT, RATE, WIDTH, DrawnVideo
from numpy.typing import NDArray
from observations import Observation
from switches import NO_TRACK

from fed_plugin.visualization.canvas import GREY, INK, MARGIN, PAPER, Canvas, Heading

# Okabe and Ito's colours, dark and light in turns.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
_DARK = ("#0072B2", "#009E73", "#D55E00", "#000000")
_MOMENTS = 6
_GAP, _HEAD, _SIDE = 10, 26, 54
_TALL = 19  # height of a label


def draw_picture(
    path: Path,
    video: Observation,
    compared: Sequence[tuple[Tracker, Row]],
    people: int,
    frames: int,
) -> Path:
    """Draw six moments of a video, a column for each row of the table.

    A box is dashed and labelled ``first > now`` if the track is not the person's first track.

    Args:
        path: path of the PNG.
        video: detections and descriptors of the video.
        compared: trackers, each with the row of its descriptor and settings.
        people: number of persons in the video.
        frames: number of frames of the video.

    Raises:
        ValueError: the name does not end in ``.png``.
    """
    width = MARGIN * 2 + _SIDE + len(compared) * (WIDTH + _GAP) - _GAP
    heading = Heading.fit(
        "Who keeps the number?",
        "A colour and a number are a track. 2 > 5, dashed: a person who was track 2 first and is "
        "track 5 now. Nobody of whom less than a quarter is visible is detected. Matched by "
        "position and appearance.",
        width,
    )
    top = heading.height + 8
    canvas = Canvas(top + _HEAD + _MOMENTS * (HEIGHT + _GAP) + MARGIN - _GAP, width)
    canvas.heading(heading)
    drawn = DrawnVideo(video.seed, people, frames)
    moments = np.linspace(frames * 0.1, frames - 1, _MOMENTS).round().astype(int)
    for row, time in enumerate(moments.tolist()):
        y = top + _HEAD + row * (HEIGHT + _GAP)
        canvas.text(f"{time / RATE:.1f} s", y + HEIGHT / 2, MARGIN, color=GREY)
        pixels = drawn.draw(time).pixels
        for column in range(len(compared)):
            canvas.picture(pixels, y, _left(column), HEIGHT, WIDTH)
    for column, (tracker, measured) in enumerate(compared):
        tracks = tracker.track(video, measured.descriptor, measured.tuned)
        words = f"{measured.descriptor or 'no descriptor'}: {measured.counts[0].switches} switches"
        canvas.text(words, top + 10, _left(column), size=16, bold=True)
        for row, time in enumerate(moments.tolist()):
            y = top + _HEAD + row * (HEIGHT + _GAP)
            _boxes(canvas, video, tracks, time, y, _left(column))
    return canvas.save(path)


def _left(column: int) -> int:
    return MARGIN + _SIDE + column * (WIDTH + _GAP)


def _boxes(
    canvas: Canvas, video: Observation, tracks: list[NDArray[np.int64]], time: int, y: int, x: int
) -> None:
    first = _first_tracks(video.people, tracks)
    labels: list[tuple[str, str, float, float]] = []
    rows = zip(video.people[time].tolist(), video.boxes[time], tracks[time].tolist(), strict=True)
    for person, (left, top, right, bottom), track in rows:
        if track == NO_TRACK:
            continue
        kept, colour = first[person] == track, COLOURS[track % len(COLOURS)]
        high, wide = bottom - top, right - left
        canvas.box(y + top, x + left, high, wide, edge=colour, thickness=2.5, dashed=not kept)
        label = f"{track}" if kept else f"{first[person]} > {track}"
        labels.append((label, colour, top - 9, min(left, WIDTH - _wide(label))))
    placed: list[tuple[float, float, float]] = []
    for label, colour, top, left in sorted(labels, key=lambda label: -label[2]):
        while any(
            abs(top - t) < _TALL and left < r and left + _wide(label) > s for t, s, r in placed
        ):
            top -= _TALL  # move up until no label is covered
        placed.append((top, left, left + _wide(label)))
        canvas.box(y + top, x + left, _TALL, _wide(label), edge=PAPER, fill=colour)
        ink = PAPER if colour in _DARK else INK
        canvas.text(label, y + top + _TALL / 2, x + left + 5, size=15, color=ink, bold=True)


def _wide(label: str) -> float:
    return 10 + 9.5 * len(label)


def _first_tracks(
    people: Sequence[NDArray[np.int64]], tracks: Sequence[NDArray[np.int64]]
) -> dict[int, int]:
    first: dict[int, int] = {}
    for who, given in zip(people, tracks, strict=True):
        for person, track in zip(who.tolist(), given.tolist(), strict=True):
            if track != NO_TRACK:
                first.setdefault(person, track)
    return first
