"""Ranking lists: queries with the gallery images that a method puts first.

A sheet is written to ``path``, ``.png`` or ``.html``, whose folder is made. ``title`` is the
heading, a general one if empty, and ``titles`` has a line above each image or row. A ValueError
names shapes, types and values that do not fit, and a path with another ending.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import (
    BLUE,
    GREY,
    INK,
    MARGIN,
    VERMILLION,
    Canvas,
    check_booleans,
    check_images,
    check_scores,
    check_shares,
    check_titles,
    shorten,
)

# One row of a ranking sheet: a query and the first answers of every method.

_SHOWN = 176
_LEAST_SLOT = 76
_ROW_GAP = 12
_BETWEEN = 40
_ROW_ABOVE, _ROW_BELOW = 24, 34
_FRAME = 5
_ROW_CAPTION = 24
_LEAST_WIDTH = 620


@dataclass(frozen=True)
class RankingLists:
    """First answers of one method to every query.

    Args:
        gallery_images: (Nq, K, H, W, 3) uint8 RGB, best first.
        matches: (Nq, K) bool, true where the image shows the query's person.
        scores: (Nq, K) numbers, printed under the images.
    """

    gallery_images: NDArray[np.uint8]
    matches: NDArray[np.bool_]
    scores: NDArray[np.floating]


def shown_width(images: NDArray[np.uint8], height: int) -> int:
    """Return the columns of (..., H, W, 3) images at ``height`` rows."""
    rows, columns = images.shape[-3:-1]
    return max(1, round(int(columns) * height / int(rows)))


def _draw_query(canvas: Canvas, image: NDArray[np.uint8], top: int) -> None:
    width = shown_width(image, _SHOWN)
    canvas.text("query", top - 10, MARGIN, size=13, color=GREY)
    canvas.picture(image, top, MARGIN, _SHOWN, width)
    canvas.box(top, MARGIN, _SHOWN, width, edge=INK, thickness=2)


def _draw_label(
    canvas: Canvas, name: str, matches: NDArray[np.bool_], top: float, left: float
) -> None:
    canvas.text(name, top + _SHOWN / 2 - 10, left, size=15, bold=True)
    right = f"{int(np.sum(matches))} of {len(matches)} right"
    canvas.text(right, top + _SHOWN / 2 + 12, left, size=13, color=GREY)


def _draw_list(
    canvas: Canvas, ranked: RankingLists, index: int, top: int, left: int, slot: int
) -> None:
    images, matches = ranked.gallery_images[index], ranked.matches[index]
    width = shown_width(images, _SHOWN)
    for rank, (image, right, score) in enumerate(
        zip(images, matches, ranked.scores[index], strict=True), start=1
    ):
        middle = left + slot / 2
        start = left + (slot - width) // 2
        canvas.text(str(rank), top - 11, middle, size=13, color=GREY, align="center")
        canvas.picture(image, top, start, _SHOWN, width)
        score = _format_score(float(score))
        _draw_frame(canvas, bool(right), score, top, start, _SHOWN, width)
        left += slot + _ROW_GAP


def _draw_frame(
    canvas: Canvas, right: bool | None, score: str, top: int, left: int, height: int, width: int
) -> None:
    """Frame an answer, if it is known to be right or wrong, and write mark and score below."""
    color = INK
    if right is not None:  # no sign relies on colour alone
        color, mark = (BLUE, "\u2713") if right else (VERMILLION, "\u2717")
        canvas.box(top, left, height, width, edge=color, thickness=_FRAME, dashed=not right)
        score = f"{mark} {score}"
    words = {"size": 15, "color": color, "bold": True, "align": "center"}
    canvas.text(score, top + height + 15, left + width / 2, **words)


def _format_score(score: float) -> str:
    return f"{score:.2f}" if abs(score) < 100 else f"{score:.0f}"


_FRAMES = (
    "Blue, solid frame and \u2713: the same person. Orange, dashed frame and \u2717: another "
    "person."
)
_RANKING_EXPLANATION = (
    f"Left: the query. Then the gallery, best first, numbered by rank. {_FRAMES} Under each image:"
)


def ranking_sheet(
    query_images: NDArray[np.uint8],
    lists: RankingLists | Mapping[str, RankingLists],
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    title: str = "",
    score_name: str = "cosine similarity",
) -> Path:
    """Draw the ranking list of every query; mark right and wrong images.

    Beside the arguments of every sheet:
        query_images: (Nq, H, W, 3) uint8 RGB.
        lists: Ranking lists of one method; for several methods, lists by name, drawn top to bottom.
        score_name: Name of the printed scores, with the unit if there is one.
    """
    if isinstance(lists, RankingLists):
        named, general = {"": lists}, "What the gallery search returns"
    elif lists and all(lists):
        named = dict(lists)
        general = "The same queries, searched with " + " and with ".join(named)
    else:
        raise ValueError(f"lists: expected named methods, got {list(lists)}")
    queries = check_images("query_images", query_images, ("Nq", "H", "W", 3))
    checked = _check_lists(len(queries), named)
    captions = check_titles(titles, len(queries))
    galleries = [ranked.gallery_images for ranked in checked.values()]
    slot = max(_LEAST_SLOT, *(shown_width(images, _SHOWN) for images in (queries, *galleries)))
    letters = max(map(len, checked))
    left = MARGIN + slot + _BETWEEN + (max(110, 10 * letters + 16) if letters else 0)
    longest = max(images.shape[1] for images in galleries)
    width = max(_LEAST_WIDTH, left + longest * (slot + _ROW_GAP) + MARGIN)
    above = _ROW_GAP + _ROW_ABOVE + _ROW_CAPTION * any(captions)
    step = _ROW_ABOVE + _SHOWN + _ROW_BELOW
    height = above - _ROW_ABOVE + len(checked) * step + _ROW_GAP // 2
    explanation = f"{_RANKING_EXPLANATION} {score_name}."
    canvas, tops = Canvas.with_rows(title or general, explanation, width, height, captions)
    for index, (query, top) in enumerate(zip(queries, tops, strict=True)):
        _draw_query(canvas, query, top + above)
        for place, (method, ranked) in enumerate(checked.items()):
            y = top + above + place * step
            if method:
                _draw_label(canvas, method, ranked.matches[index], y, MARGIN + slot + _BETWEEN / 2)
            _draw_list(canvas, ranked, index, y, left, slot)
    return canvas.save(path)


def _check_lists(count: int, lists: Mapping[str, RankingLists]) -> dict[str, RankingLists]:
    checked = {}
    for name, ranked in lists.items():
        of = f" of {name}" if name else ""
        shape = (count, "K", "H", "W", 3)
        gallery = check_images(f"gallery_images{of}", ranked.gallery_images, shape)
        matches = check_booleans(
            f"matches{of}", ranked.matches, gallery.shape[:2], "the identity is the query's"
        )
        scores = check_scores(f"scores{of}", ranked.scores, gallery.shape[:2])
        checked[name] = RankingLists(gallery, matches, scores)
    return checked


# One person on a sheet, cut into parts; a less visible part is paler.
#
# Shape shorthand: ``H, W`` pixels, ``P`` parts from head to feet.

SHOWN = 192
"""Rows of a person on a sheet."""
_DIM = 0.35  # share of the contrast that a covered part keeps


def part_edges(num_parts: int) -> NDArray[np.int64]:
    """Return the P + 1 rows at which parts begin and end."""
    return np.linspace(0, SHOWN, num_parts + 1).round().astype(int)


def draw_person(
    canvas: Canvas,
    image: NDArray[np.uint8],
    visibility: NDArray[np.floating] | None,
    top: int,
    left: int,
) -> None:
    """Paste an image (H, W, 3); ``visibility`` (P,) in [0, 1] makes hidden parts pale."""
    width = shown_width(image, SHOWN)
    if visibility is not None:
        edges = np.linspace(0, len(image), len(visibility) + 1).round().astype(int)
        shares = np.repeat(visibility, np.diff(edges))[:, None, None]  # (H, 1, 1)
        contrast = _DIM + (1 - _DIM) * shares
        image = (255 - (255 - image.astype(np.float32)) * contrast).round().astype(np.uint8)
    canvas.picture(image, top, left, SHOWN, width)
    canvas.box(top, left, SHOWN, width, edge=INK, thickness=1.5)
    if visibility is not None:
        for edge in part_edges(len(visibility))[1:-1]:
            canvas.rule(top + edge, left, left + width, INK, dashed=True)


def write_visibility(canvas: Canvas, visibility: NDArray[np.floating], top: int, left: int) -> None:
    """Write (P,) shares as numbers from 0 to 100 beside the parts."""
    edges = part_edges(len(visibility))
    for value, above, below in zip(visibility, edges, edges[1:], strict=False):
        size = min(13, max(8, (below - above) * 0.8))
        canvas.text(f"{100 * value:.0f}", top + (above + below) / 2, left + 6, size=size)


# Why images match: the visibility of each part in both, and its share of the similarity.
#
# Shape shorthand: ``Q`` queries, ``K`` answers, ``P`` parts from head to feet, ``H, W`` pixels.

_BARS, _MATCH_GAP = 74, 22  # columns for the bars of a picture, columns between two
_MATCH_ABOVE, _MATCH_BELOW, _MATCH_CAPTION = 26, 32, 26
_MATCH_EXPLANATION = (
    "Left: the query. Then its answers, best first. Each image is cut into the parts of the model, "
    "head to feet; a pale part has a low estimated visibility. The numbers at the query's parts "
    "are these visibilities, from 0 to 100. Bars: what a part adds to the similarity, blue to the "
    "right for more, hatched orange to the left for less; the bars of an image add up to the "
    "similarity under the image."
)
_PLAIN = "Left: the query. Then its answers, best first, with their similarity."


@dataclass(frozen=True)
class Answers:
    """First answers to every query.

    Args:
        images: (Q, K, H, W, 3) uint8 RGB, best first.
        scores: (Q, K) numbers, printed under the images.
        visibility: (Q, K, P) in [0, 1]; None for a model that estimates none.
        contributions: (Q, K, P), what each part adds to the score; None for a model without parts.
        names: (Q, K) lines under the scores; empty for none.
        matches: (Q, K) bool, true where the image shows the query's person; None if not known.
    """

    images: NDArray[np.uint8]
    scores: NDArray[np.floating]
    visibility: NDArray[np.floating] | None = None
    contributions: NDArray[np.floating] | None = None
    names: Sequence[Sequence[str]] = ()
    matches: NDArray[np.bool_] | None = None


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

    Beside the arguments of every sheet:
        query_images: (Q, H, W, 3) uint8 RGB.
        query_visibility: (Q, P) in [0, 1]; None for a model that estimates none.
        answers: Answers to the queries.
    """
    queries = check_images("query_images", query_images, ("Q", "H", "W", 3))
    shape = (len(queries), "K", "H", "W", 3)
    images = check_images("images", answers.images, shape)
    scores = check_scores("scores", answers.scores, images.shape[:2])
    seen, parts = _checked_parts(query_visibility, answers, images.shape[:2])
    if parts is not None and np.abs(parts.sum(axis=2) - scores).max(initial=0) > 1e-3:
        raise ValueError("contributions: expected parts that add up to their scores")
    query_width, answer_width = shown_width(queries, SHOWN), shown_width(images, SHOWN)
    slot, bars = max(query_width, answer_width), 0 if parts is None else _BARS
    width = max(640, 2 * MARGIN + (images.shape[1] + 1) * (slot + bars + _MATCH_GAP) + _MATCH_GAP)
    above = _MATCH_CAPTION + _MATCH_ABOVE
    height = above + SHOWN + _MATCH_BELOW + (18 if answers.names else 0)
    explanation, matches = _PLAIN if parts is None else _MATCH_EXPLANATION, answers.matches
    if matches is not None:
        check_booleans("matches", matches, images.shape[:2], "the identity is the query's")
        explanation += f" {_FRAMES}"
    captions = check_titles(titles, len(queries))
    canvas, tops = Canvas.with_rows(title, explanation, width, height, captions)
    largest = 1e-6 if parts is None else max(1e-6, float(np.abs(parts).max(initial=0)))
    for index, (query, row) in enumerate(zip(queries, tops, strict=True)):
        top = row + above
        own = None if query_visibility is None else np.asarray(query_visibility)[index]
        draw_person(canvas, query, own, top, MARGIN)
        canvas.text("query", top - 11, MARGIN, size=13, color=GREY)
        if own is not None:
            write_visibility(canvas, own, top, MARGIN + query_width)
        left = MARGIN + slot + max(bars // 2, 34) + _MATCH_GAP
        for rank in range(images.shape[1]):
            shares = None if seen is None else seen[index, rank]
            draw_person(canvas, images[index, rank], shares, top, left)
            middle = left + answer_width / 2
            canvas.text(str(rank + 1), top - 11, middle, size=13, color=GREY, align="center")
            right = None if matches is None else bool(matches[index, rank])
            score = f"{scores[index, rank]:.3f}"
            _draw_frame(canvas, right, score, top, left, SHOWN, answer_width)
            if answers.names:
                name = shorten(answers.names[index][rank], slot + bars, 11)
                canvas.text(name, top + SHOWN + 33, left, size=11, color=GREY)
            if parts is not None:
                _draw_bars(canvas, parts[index, rank] / largest, top, left + answer_width + 6)
            left += slot + bars + _MATCH_GAP
    return canvas.save(path)


def _checked_parts(
    query_visibility: NDArray[np.floating] | None, answers: Answers, shape: tuple[int, ...]
) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
    """Return visibility and contributions of the answers as arrays of one number of parts."""
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
    """Draw a bar per part, ``lengths`` in [-1, 1]; negative bars go left from a third."""
    zero, room = left + _BARS * 0.3, _BARS * 0.62
    edges = part_edges(len(lengths))
    canvas.box(top, zero - 0.5, SHOWN, 1, fill=GREY)
    for length, above, below in zip(lengths, edges, edges[1:], strict=False):
        thick = (below - above) * 0.5
        middle = top + (above + below) / 2 - thick / 2
        wide = abs(float(length)) * (room if length >= 0 else _BARS * 0.3)
        start = zero if length >= 0 else zero - wide
        color = BLUE if length >= 0 else VERMILLION
        fill = color if length >= 0 else "none"
        canvas.box(middle, start, thick, wide, edge=color, fill=fill, hatched=length < 0)
