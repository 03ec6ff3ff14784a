"""Why images match: how visible each part is in both, and what it adds to the similarity.

Shape shorthand: ``Q`` queries, ``K`` answers, ``P`` parts from head to feet, ``H, W`` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.checks import check_images, check_scores, check_shares, check_titles
from fed_plugin.visualization.lettering import MARGIN, Heading, shorten
from fed_plugin.visualization.palette import BLUE, GREY, PALE_GREY, VERMILLION
from fed_plugin.visualization.parts_picture import (
    SHOWN,
    draw_person,
    part_edges,
    shown_width,
    write_visibility,
)

_BARS, _GAP = 74, 22  # columns for the bars of a picture, columns between two
_ABOVE, _BELOW, _CAPTION = 26, 32, 26
_EXPLANATION = (
    "Left: the query. Then its answers, best first. Each image is cut into the parts of the model, "
    "head to feet; a part is the paler, the less of it the model believes to be visible. The "
    "number at the query's parts is that visibility, from 0 to 100. Bars: what a part adds to the "
    "similarity under the image, blue to the right for more, hatched orange to the left for less; "
    "the bars of an image add up to it."
)
_PLAIN = "Left: the query. Then its answers, best first, with their similarity."


@dataclass(frozen=True)
class Answers:
    """Hold what is ranked first for every query.

    Args:
        images: (Q, K, H, W, 3) uint8 RGB, best first.
        scores: (Q, K) printed under the images.
        visibility: (Q, K, P) in [0, 1]; None for a model that estimates none.
        contributions: (Q, K, P), what each part adds to the score; None where it has no parts.
        names: (Q, K) a line under each score; empty for none.
    """

    images: NDArray[np.uint8]
    scores: NDArray[np.floating]
    visibility: NDArray[np.floating] | None = None
    contributions: NDArray[np.floating] | None = None
    names: Sequence[Sequence[str]] = ()


def match_sheet(
    query_images: NDArray[np.uint8],
    query_visibility: NDArray[np.floating] | None,
    answers: Answers,
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    title: str = "Why these images match",
) -> Path:
    """Draw queries and their answers, part by part.

    Args:
        query_images: (Q, H, W, 3) uint8 RGB.
        query_visibility: (Q, P) in [0, 1]; None for a model that estimates none.
        answers: of each query.
        path: where the PNG goes; folders are made.
        titles: one line above every query.
        title: heading of the sheet.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: shapes that do not belong together, contributions that do not add up to their
            scores, or a path of no kind that can be written.
    """
    queries = check_images("query_images", query_images, ("Q", "H", "W", 3))
    shape = (len(queries), "K", "H", "W", 3)
    images = check_images("images", answers.images, shape)
    scores = check_scores("scores", answers.scores, images.shape[:2])
    seen, parts = _checked_parts(query_visibility, answers, images.shape[:2])
    if parts is not None and np.abs(parts.sum(axis=2) - scores).max(initial=0) > 1e-3:
        raise ValueError("contributions: expected parts that add up to their scores")
    slot = max(shown_width(queries), shown_width(images))
    bars = 0 if parts is None else _BARS
    captions = check_titles(titles, len(queries))
    width = max(640, 2 * MARGIN + (images.shape[1] + 1) * (slot + bars + _GAP) + _GAP)
    heading = Heading.fit(title, _PLAIN if parts is None else _EXPLANATION, width)
    height = _CAPTION + _ABOVE + SHOWN + _BELOW + (18 if answers.names else 0)
    canvas = Canvas(heading.height + 20 + len(queries) * height, width)
    canvas.heading(heading)
    largest = 1e-6 if parts is None else max(1e-6, float(np.abs(parts).max(initial=0)))
    for index, query in enumerate(queries):
        top = heading.height + 10 + index * height
        canvas.rule(top, MARGIN, width - MARGIN, PALE_GREY)
        caption = shorten(captions[index], width - 2 * MARGIN)
        canvas.text(caption, top + _CAPTION * 0.6, MARGIN, bold=True)
        top += _CAPTION + _ABOVE
        own = None if query_visibility is None else np.asarray(query_visibility)[index]
        draw_person(canvas, query, own, top, MARGIN)
        canvas.text("query", top - 11, MARGIN, size=13, color=GREY)
        if own is not None:
            write_visibility(canvas, own, top, MARGIN + shown_width(queries))
        left = MARGIN + slot + max(bars // 2, 34) + _GAP
        for rank in range(images.shape[1]):
            shown = None if seen is None else seen[index, rank]
            draw_person(canvas, images[index, rank], shown, top, left)
            middle = left + shown_width(images) / 2
            canvas.text(str(rank + 1), top - 11, middle, size=13, color=GREY, align="center")
            score = f"{scores[index, rank]:.3f}"
            canvas.text(score, top + SHOWN + 15, middle, size=15, bold=True, align="center")
            if answers.names:
                name = shorten(answers.names[index][rank], slot + bars, 11)
                canvas.text(name, top + SHOWN + 33, left, size=11, color=GREY)
            if parts is not None:
                _draw_bars(
                    canvas, parts[index, rank] / largest, top, left + shown_width(images) + 6
                )
            left += slot + bars + _GAP
    return canvas.save(path)


def _checked_parts(
    query_visibility: NDArray[np.floating] | None, answers: Answers, shape: tuple[int, ...]
) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
    """Return the answers' visibility and contributions as arrays of one number of parts."""
    seen, parts = answers.visibility, answers.contributions
    given = [x for x in (query_visibility, seen, parts) if x is not None]
    if not given:
        return None, None
    count = np.asarray(given[0]).shape[-1]
    if query_visibility is not None:
        check_shares("query_visibility", query_visibility, (shape[0], count))
    if seen is not None:
        seen = check_shares("visibility", seen, (*shape, count))
    if parts is not None:
        parts = np.asarray(parts)
        if parts.shape != (*shape, count) or not np.isfinite(parts).all():
            raise ValueError(f"contributions: expected {(*shape, count)}, got {parts.shape}")
    return seen, parts


def _draw_bars(canvas: Canvas, lengths: NDArray[np.floating], top: int, left: int) -> None:
    """Draw a bar per part, ``lengths`` in [-1, 1]; below 0 they go left from a third."""
    zero, room = left + _BARS * 0.3, _BARS * 0.62
    edges = part_edges(len(lengths))
    canvas.box(top, zero - 0.5, SHOWN, 1, fill=GREY)
    for length, above, below in zip(lengths, edges, edges[1:], strict=False):
        thick = (below - above) * 0.5
        middle = top + (above + below) / 2 - thick / 2
        wide = abs(float(length)) * (room if length >= 0 else _BARS * 0.3)
        start = zero if length >= 0 else zero - wide
        color = BLUE if length >= 0 else VERMILLION
        canvas.box(
            middle,
            start,
            thick,
            wide,
            edge=color,
            fill=color if length >= 0 else "none",
            hatched=length < 0,
        )
