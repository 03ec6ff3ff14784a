"""Ranking lists: queries with the gallery images that a method puts first.

A sheet is written to ``path``, ``.png`` or ``.html``, whose folder is made. ``title`` is the
heading, a general one if empty, and ``titles`` has a line above each image or row. A ValueError
names shapes, types and values that do not fit, and a path with another ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization import canvas
from fed_plugin.visualization.canvas import BLUE, GREY, INK, MARGIN, VERMILLION, Canvas, shorten

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


def _draw_list(
    sheet: Canvas, ranked: RankingLists, index: int, top: int, left: int, slot: int
) -> None:
    images = ranked.gallery_images[index]
    width = shown_width(images, _SHOWN)
    answers = zip(images, ranked.matches[index], ranked.scores[index], strict=True)
    for rank, (image, right, score) in enumerate(answers, start=1):
        start = left + (slot - width) // 2
        sheet.text(str(rank), top - 11, left + slot / 2, size=13, color=GREY, align="center")
        sheet.picture(image, top, start, _SHOWN, width)
        words = f"{score:.2f}" if abs(score) < 100 else f"{score:.0f}"
        _draw_frame(sheet, bool(right), words, top, start, _SHOWN, width)
        left += slot + _ROW_GAP


def _draw_frame(
    sheet: Canvas, right: bool | None, score: str, top: int, left: int, height: int, width: int
) -> None:
    """Frame an answer, if it is known to be right or wrong, and write mark and score below."""
    color = INK
    if right is not None:  # no sign relies on colour alone
        color, mark = (BLUE, "\u2713") if right else (VERMILLION, "\u2717")
        sheet.box(top, left, height, width, edge=color, thickness=_FRAME, dashed=not right)
        score = f"{mark} {score}"
    words = {"size": 15, "color": color, "bold": True, "align": "center"}
    sheet.text(score, top + height + 15, left + width / 2, **words)


_RIGHT = "the identity is the query's"
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
    queries = canvas.check_images("query_images", query_images, ("Nq", "H", "W", 3))
    checked = _check_lists(len(queries), named)
    captions = canvas.check_titles(titles, len(queries))
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
    sheet, tops = Canvas.with_rows(title or general, explanation, width, height, captions)
    for index, (query, top) in enumerate(zip(queries, tops, strict=True)):
        y, own_width = top + above, shown_width(query, _SHOWN)
        sheet.text("query", y - 10, MARGIN, size=13, color=GREY)
        sheet.picture(query, y, MARGIN, _SHOWN, own_width)
        sheet.box(y, MARGIN, _SHOWN, own_width, edge=INK, thickness=2)
        for method, ranked in checked.items():
            if method:
                x, middle, matches = MARGIN + slot + _BETWEEN / 2, y + _SHOWN / 2, ranked.matches
                right = f"{matches[index].sum()} of {matches.shape[1]} right"
                sheet.text(method, middle - 10, x, size=15, bold=True)
                sheet.text(right, middle + 12, x, size=13, color=GREY)
            _draw_list(sheet, ranked, index, y, left, slot)
            y += step
    return sheet.save(path)


def _check_lists(count: int, lists: Mapping[str, RankingLists]) -> dict[str, RankingLists]:
    checked = {}
    for name, ranked in lists.items():
        of = f" of {name}" if name else ""
        shape = (count, "K", "H", "W", 3)
        gallery = canvas.check_images(f"gallery_images{of}", ranked.gallery_images, shape)
        shape = gallery.shape[:2]
        matches = canvas.check_booleans(f"matches{of}", ranked.matches, shape, _RIGHT)
        scores = canvas.check_scores(f"scores{of}", ranked.scores, shape)
        checked[name] = RankingLists(gallery, matches, scores)
    return checked


# One person on a sheet, cut into parts; a less visible part is paler.
#
# Shape shorthand: ``H, W`` pixels, ``P`` parts from head to feet.

SHOWN = 192
"""Rows of a person on a sheet."""
_DIM = 0.35  # share of the contrast that a covered part keeps


def _parts(values: NDArray[np.floating]) -> Iterator[tuple[float, tuple[int, int]]]:
    """Return every value of (P,), with the rows at which its part begins and ends."""
    edges = np.linspace(0, SHOWN, len(values) + 1).round().astype(int).tolist()
    return zip(values.tolist(), pairwise(edges), strict=True)


def draw_person(
    sheet: Canvas,
    image: NDArray[np.uint8],
    visibility: NDArray[np.floating] | None,
    top: int,
    left: int,
    caption: str = "",
    *,
    numbers: bool = False,
) -> None:
    """Paste an image (H, W, 3); ``visibility`` (P,) in [0, 1] makes hidden parts pale.

    The ``caption`` stands above the image, the visibilities beside it as ``numbers`` from 0 to 100.
    """
    width = shown_width(image, SHOWN)
    sheet.text(caption, top - 11, left, size=13, color=GREY)
    if visibility is not None:
        edges = np.linspace(0, len(image), len(visibility) + 1).round().astype(int)
        shares = np.repeat(visibility, np.diff(edges))[:, None, None]  # (H, 1, 1)
        contrast = _DIM + (1 - _DIM) * shares
        image = (255 - (255 - image.astype(np.float32)) * contrast).round().astype(np.uint8)
    sheet.picture(image, top, left, SHOWN, width)
    sheet.box(top, left, SHOWN, width, edge=INK, thickness=1.5)
    for value, (above, below) in () if visibility is None else _parts(visibility):
        if above:
            sheet.rule(top + above, left, left + width, INK, dashed=True)
        if numbers:
            y, size = top + (above + below) / 2, min(13, max(8, (below - above) * 0.8))
            sheet.text(f"{100 * value:.0f}", y, left + width + 6, size=size)


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
    """
    queries = canvas.check_images("query_images", query_images, ("Q", "H", "W", 3))
    shape = (len(queries), "K", "H", "W", 3)
    images = canvas.check_images("images", answers.images, shape)
    scores = canvas.check_scores("scores", answers.scores, images.shape[:2])
    seen, parts = _checked_parts(query_visibility, answers, images.shape[:2])
    if parts is not None and np.abs(parts.sum(axis=2) - scores).max(initial=0) > 1e-3:
        raise ValueError("contributions: expected parts that add up to their scores")
    answer_width, bars = shown_width(images, SHOWN), 0 if parts is None else _BARS
    slot = max(shown_width(queries, SHOWN), answer_width)
    width = max(640, 2 * MARGIN + (images.shape[1] + 1) * (slot + bars + _MATCH_GAP) + _MATCH_GAP)
    above = _MATCH_CAPTION + _MATCH_ABOVE
    height = above + SHOWN + _MATCH_BELOW + (18 if answers.names else 0)
    explanation, matches = _PLAIN if parts is None else _MATCH_EXPLANATION, answers.matches
    if matches is not None:
        canvas.check_booleans("matches", matches, images.shape[:2], _RIGHT)
        explanation += f" {_FRAMES}"
    captions = canvas.check_titles(titles, len(queries))
    sheet, tops = Canvas.with_rows(title, explanation, width, height, captions)
    largest = 1e-6 if parts is None else max(1e-6, float(np.abs(parts).max(initial=0)))
    for index, (query, row) in enumerate(zip(queries, tops, strict=True)):
        top = row + above
        own = None if query_visibility is None else np.asarray(query_visibility)[index]
        draw_person(sheet, query, own, top, MARGIN, "query", numbers=True)
        left = MARGIN + slot + max(bars // 2, 34) + _MATCH_GAP
        for rank in range(images.shape[1]):
            shares = None if seen is None else seen[index, rank]
            draw_person(sheet, images[index, rank], shares, top, left)
            middle = left + answer_width / 2
            sheet.text(str(rank + 1), top - 11, middle, size=13, color=GREY, align="center")
            right = None if matches is None else bool(matches[index, rank])
            score = f"{scores[index, rank]:.3f}"
            _draw_frame(sheet, right, score, top, left, SHOWN, answer_width)
            if answers.names:
                name = shorten(answers.names[index][rank], slot + bars, 11)
                sheet.text(name, top + SHOWN + 33, left, size=11, color=GREY)
            if parts is not None:
                _draw_bars(sheet, parts[index, rank] / largest, top, left + answer_width + 6)
            left += slot + bars + _MATCH_GAP
    return sheet.save(path)


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
        canvas.check_shares("query_visibility", query_visibility, (shape[0], count))
    if seen is not None:
        seen = canvas.check_shares("visibility", seen, (*shape, count))
    if parts is not None:
        parts = np.asarray(parts)
        if parts.shape != (*shape, count) or not np.isfinite(parts).all():
            raise ValueError(f"contributions: expected {(*shape, count)}, got {parts.shape}")
    return seen, parts


def _draw_bars(sheet: Canvas, lengths: NDArray[np.floating], top: int, left: int) -> None:
    """Draw a bar per part, ``lengths`` in [-1, 1]; negative bars go left from a third."""
    zero, room = left + _BARS * 0.3, _BARS * 0.62
    sheet.box(top, zero - 0.5, SHOWN, 1, fill=GREY)
    for length, (above, below) in _parts(lengths):
        thick = (below - above) * 0.5
        y = top + (above + below) / 2 - thick / 2
        if length >= 0:
            sheet.box(y, zero, thick, length * room, edge=BLUE, fill=BLUE)
        else:
            wide = -length * _BARS * 0.3
            sheet.box(y, zero - wide, thick, wide, edge=VERMILLION, hatched=True)
