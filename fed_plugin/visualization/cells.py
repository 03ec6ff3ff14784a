"""Cells of a sheet: pictures of one item side by side, then bars for its visible shares."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.lettering import MARGIN, Heading, shorten
from fed_plugin.visualization.palette import GREY, INK, PALE_GREY, PAPER

_GAP = 8
_GUTTER = 34
_BARS = 100
_BAR = 58
_CAPTION = 24
_LEAST_HEIGHT, _LEAST_ROW = 192, 15
_LEAST_WIDTH, _LEAST_CELL = 560, 216


def draw_cells(
    pictures: list[list[NDArray[np.uint8]]],
    shares: list[list[NDArray[np.float64]]],
    captions: list[str],
    path: str | Path,
    title: str,
    explanation: str,
    titles: list[str],
) -> Path:
    """Lay out one cell per item: its pictures, then one column of bars per share vector.

    Args:
        pictures: of every item, each (H, W, 3) uint8 RGB, all of one shape.
        shares: of every item, each (P,) in [0, 1], 1 = visible; none draws no bars.
        captions: of the pictures, then of the share vectors.
        path: where the PNG goes; folders are made.
        title: heading of the sheet.
        explanation: below the heading.
        titles: a line above each item, empty for none.

    Returns:
        The path of the PNG.
    """
    parts = len(shares[0][0]) if shares[0] else 1
    height, width = pictures[0][0].shape[:2]
    scale = math.ceil(max(_LEAST_HEIGHT, _LEAST_ROW * parts) / height)
    shown = height * scale, width * scale
    cell_width = len(pictures[0]) * (shown[1] + _GAP) + len(shares[0]) * _BARS
    cell_width = max(_LEAST_CELL, cell_width)
    caption = _CAPTION * (any(titles) + any(captions))
    cell_height = shown[0] + caption + _GUTTER // 2
    columns = _count_columns(len(pictures), cell_height, cell_width + _GUTTER)
    rows = math.ceil(len(pictures) / columns)
    sheet_width = max(_LEAST_WIDTH, 2 * MARGIN + columns * cell_width + (columns - 1) * _GUTTER)
    heading = Heading.fit(title, explanation, sheet_width)
    start = heading.height + _GAP
    canvas = Canvas(start + rows * cell_height + MARGIN // 2, sheet_width)
    canvas.heading(heading)
    for index, (images, vectors) in enumerate(zip(pictures, shares, strict=True)):
        row, column = divmod(index, columns)
        top, left = start + row * cell_height, MARGIN + column * (cell_width + _GUTTER)
        if titles[index]:
            name = shorten(titles[index], cell_width)
            canvas.text(name, top + _CAPTION / 2, left, bold=True)
        _draw_cell(canvas, images, vectors, captions, top + caption, left, shown)
    return canvas.save(path)


def _count_columns(count: int, cell_height: int, cell_width: int) -> int:
    """Choose how many cells stand side by side, so that the sheet is about 3 wide to 2 high."""
    return max(1, min(count, round(math.sqrt(1.5 * count * cell_height / cell_width))))


def _draw_cell(
    canvas: Canvas,
    images: list[NDArray[np.uint8]],
    vectors: list[NDArray[np.float64]],
    captions: list[str],
    top: int,
    left: int,
    shown: tuple[int, int],
) -> None:
    height, width = shown
    parts = len(vectors[0]) if vectors else 1
    x = left
    for image, caption in zip(images, captions, strict=False):
        canvas.text(caption, top - 10, x, size=13, color=GREY)
        canvas.picture(image, top, x, height, width)
        x += width + _GAP
    right = x + len(vectors) * _BARS - _GAP
    for part in range(1, parts):
        y = top + height * part / parts
        canvas.rule(y, x - _GAP - width, x - _GAP, INK)
        canvas.rule(y, x - _GAP - width, x - _GAP, PAPER, dashed=True)
        canvas.rule(y, x - _GAP, right, PALE_GREY)
    for vector, caption in zip(vectors, captions[len(images) :], strict=True):
        canvas.text(caption, top - 10, x, size=13, color=GREY)
        for part, share in enumerate(vector.tolist()):
            _draw_share(canvas, share, top + height * (part + 0.5) / parts, x, height / parts)
        x += _BARS


def _draw_share(canvas: Canvas, share: float, y: float, x: float, room: float) -> None:
    thickness = min(20.0, room * 0.6)
    canvas.share_bar(share, y - thickness / 2, x, thickness, _BAR)
    canvas.text(f"{share:.2f}", y, x + _BAR + 5, size=min(14.0, room * 0.9))
