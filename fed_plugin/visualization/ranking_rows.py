"""One row of a ranking sheet: a query and what each method ranks first for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.lettering import MARGIN, shorten
from fed_plugin.visualization.palette import BLUE, GREY, INK, PALE_GREY, VERMILLION

_SHOWN = 176
_LEAST_SLOT = 76
_GAP = 12
_BETWEEN = 40
_ABOVE, _BELOW = 24, 34
_FRAME = 5
_CAPTION = 24
_LEAST_WIDTH = 620


@dataclass(frozen=True)
class RankingLists:
    """Hold what one method ranks first for every query.

    Args:
        gallery_images: (Nq, K, H, W, 3) uint8 RGB, best first.
        matches: (Nq, K) bool, true where the person is the query's.
        scores: (Nq, K), printed under the images.
    """

    gallery_images: NDArray[np.uint8]
    matches: NDArray[np.bool_]
    scores: NDArray[np.floating]


@dataclass(frozen=True)
class RowLayout:
    """Where the parts of a row stand, in pixels; the same for all rows of a sheet.

    Args:
        slot: columns for one image.
        lists_left: where the ranking lists begin.
        caption: rows above the query, 0 without titles.
        height: rows of the whole row, its share of white included.
        width: columns of the sheet.
    """

    slot: int
    lists_left: int
    caption: int
    height: int
    width: int

    @classmethod
    def fit(
        cls, queries: NDArray[np.uint8], lists: Mapping[str, RankingLists], captioned: bool
    ) -> RowLayout:
        """Choose a layout that holds the widest image, the longest list and name."""
        galleries = [ranked.gallery_images for ranked in lists.values()]
        slot = max(_LEAST_SLOT, *(_shown_width(images) for images in [queries, *galleries]))
        letters = max(len(name) for name in lists)
        lists_left = MARGIN + slot + _BETWEEN + (max(110, 10 * letters + 16) if letters else 0)
        longest = max(images.shape[1] for images in galleries)
        width = max(_LEAST_WIDTH, lists_left + longest * (slot + _GAP) + MARGIN)
        caption = _CAPTION if captioned else 0
        height = caption + _GAP + len(lists) * (_ABOVE + _SHOWN + _BELOW) + _GAP // 2
        return cls(slot, lists_left, caption, height, width)


def draw_row(
    canvas: Canvas,
    layout: RowLayout,
    top: int,
    query: NDArray[np.uint8],
    lists: Mapping[str, RankingLists],
    index: int,
    caption: str,
) -> None:
    """Draw query ``index`` and its list by every method, from row ``top`` down."""
    canvas.rule(top, MARGIN, layout.width - MARGIN, PALE_GREY)
    name = shorten(caption, layout.width - 2 * MARGIN)
    canvas.text(name, top + _CAPTION * 2 / 3, MARGIN, bold=True)
    top += layout.caption + _GAP + _ABOVE
    _draw_query(canvas, query, top)
    for method, ranked in lists.items():
        if method:
            left = MARGIN + layout.slot + _BETWEEN / 2
            _draw_label(canvas, method, ranked.matches[index], top, left)
        _draw_list(canvas, ranked, index, top, layout.lists_left, layout.slot)
        top += _ABOVE + _SHOWN + _BELOW


def _shown_width(images: NDArray[np.uint8]) -> int:
    height, width = images.shape[-3:-1]
    return max(1, round(int(width) * _SHOWN / int(height)))


def _draw_query(canvas: Canvas, image: NDArray[np.uint8], top: int) -> None:
    width = _shown_width(image)
    canvas.text("query", top - 10, MARGIN, size=13, color=GREY)
    canvas.picture(image, top, MARGIN, _SHOWN, width)
    canvas.box(top, MARGIN, _SHOWN, width, edge=INK, thickness=2)


def _draw_label(
    canvas: Canvas, name: str, matches: NDArray[np.bool_], top: float, left: float
) -> None:
    canvas.text(name, top + _SHOWN / 2 - 10, left, size=15, bold=True)
    found = f"{int(np.sum(matches))} of {len(matches)} right"
    canvas.text(found, top + _SHOWN / 2 + 12, left, size=13, color=GREY)


def _draw_list(
    canvas: Canvas, ranked: RankingLists, index: int, top: int, left: int, slot: int
) -> None:
    images, matches = ranked.gallery_images[index], ranked.matches[index]
    width = _shown_width(images)
    for rank, (image, right, score) in enumerate(
        zip(images, matches, ranked.scores[index], strict=True), start=1
    ):
        middle = left + slot / 2
        start = left + (slot - width) // 2
        color = BLUE if right else VERMILLION
        canvas.text(str(rank), top - 11, middle, size=13, color=GREY, align="center")
        canvas.picture(image, top, start, _SHOWN, width)
        canvas.box(top, start, _SHOWN, width, edge=color, thickness=_FRAME, dashed=not right)
        mark = "\u2713" if right else "\u2717"
        canvas.text(
            f"{mark} {_format_score(float(score))}",
            top + _SHOWN + 15,
            middle,
            size=15,
            color=color,
            bold=True,
            align="center",
        )
        left += slot + _GAP


def _format_score(score: float) -> str:
    return f"{score:.2f}" if abs(score) < 100 else f"{score:.0f}"
