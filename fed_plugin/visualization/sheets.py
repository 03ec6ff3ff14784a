"""Sheets of images with visibilities per part: augmented pairs, queries with predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.checks import check_images, check_shares, check_titles
from fed_plugin.visualization.lettering import MARGIN, Heading, shorten
from fed_plugin.visualization.palette import GREY, INK, PALE_GREY, PAPER

_GAP = 8
_GUTTER = 34
_BARS = 100
_BAR = 58
_CAPTION = 24
_LEAST_HEIGHT, _LEAST_ROW = 192, 15
_LEAST_WIDTH = 560
_SCALE = "blue = visible share, hatched orange = covered share; the number is the visible share"


def pair_sheet(
    holistic: NDArray[np.uint8],
    occluded: NDArray[np.uint8],
    targets: NDArray[np.floating],
    path: str | Path,
    title: str = "",
) -> Path:
    """Draw augmented pairs with the visibility target of every part.

    Args:
        holistic: (N, H, W, 3) uint8 RGB, the images as they came.
        occluded: (N, H, W, 3) uint8 RGB, the same images with an occluder pasted.
        targets: (N, P) in [0, 1], 1 = visible; part 1 is the top stripe.
        path: where the PNG goes; folders are made.
        title: heading; a general one if empty.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: shapes that do not belong together, other types, values outside [0, 1], or a
            path that is no ``.png``.
    """
    first = check_images("holistic", holistic)
    second = check_images("occluded", occluded, first.shape)
    shares = check_shares("targets", targets, (len(first), "P"))
    parts = shares.shape[1]
    return _draw_cells(
        [[a, b] for a, b in zip(first, second, strict=True)],
        [[row] for row in shares],
        ["holistic", "occluded", "target"],
        path,
        title or "Training pairs and their visibility targets",
        f"Left: the image as it came. Middle: the same image with a pasted occluder. Right: what "
        f"the network should answer for each of the {parts} part{'s' * (parts > 1)}, top to "
        f"bottom: {_SCALE}.",
        [""] * len(first),
    )


def visibility_sheet(
    images: NDArray[np.uint8],
    visibility: NDArray[np.floating],
    path: str | Path,
    *,
    truth: NDArray[np.floating] | None = None,
    titles: Sequence[str] | None = None,
    title: str = "",
) -> Path:
    """Draw images with the visibility that a network predicts for every part.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        visibility: (N, P) in [0, 1], predicted; 1 = visible, part 1 is the top stripe.
        path: where the PNG goes; folders are made.
        truth: (N, P) in [0, 1], the true visible share, drawn beside the prediction.
        titles: one line above every image.
        title: heading of the sheet; a general one if empty.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: shapes that do not belong together, other types, values outside [0, 1], or a
            path that is no ``.png``.
    """
    shown = check_images("images", images)
    predicted = check_shares("visibility", visibility, (len(shown), "P"))
    columns = [predicted]
    parts = predicted.shape[1]
    explanation = (
        f"Beside every image, for each of its {parts} part{'s' * (parts > 1)} from top to bottom, "
        "the visibility that the network predicts"
    )
    if truth is not None:
        columns.append(check_shares("truth", truth, predicted.shape))
        explanation += " and the true visible share"
    return _draw_cells(
        [[image] for image in shown],
        [list(rows) for rows in zip(*columns, strict=True)],
        ["query", "predicted", "true"][: 1 + len(columns)],
        path,
        title or "Predicted visibility per part",
        f"{explanation}: {_SCALE}.",
        check_titles(titles, len(shown)),
    )


def _draw_cells(
    pictures: list[list[NDArray[np.uint8]]],
    shares: list[list[NDArray[np.float64]]],
    captions: list[str],
    path: str | Path,
    title: str,
    explanation: str,
    titles: list[str],
) -> Path:
    """Lay out one cell per item: its pictures, then one column of bars per share vector."""
    parts, (height, width) = len(shares[0][0]), pictures[0][0].shape[:2]
    scale = math.ceil(max(_LEAST_HEIGHT, _LEAST_ROW * parts) / height)
    shown = height * scale, width * scale
    cell_width = len(pictures[0]) * (shown[1] + _GAP) + len(shares[0]) * _BARS
    caption = _CAPTION * (2 if any(titles) else 1)
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
    parts = len(vectors[0])
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
