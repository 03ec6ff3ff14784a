"""A contact sheet of obstacles: every crop with its name and size, and some pasted over people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.checks import check_images, check_titles
from fed_plugin.visualization.lettering import MARGIN, Heading, shorten
from fed_plugin.visualization.palette import GREY, PALE_GREY

Pixels = NDArray[np.uint8]

_GAP, _SECTION, _CAPTION = 14, 34, 38
_TALL_HEIGHT, _WIDE_HEIGHT = 176, 104  # of a picture, at most
_NARROWEST, _WIDEST = 104, 136  # cells: a name has to fit, and a picture
_EXAMPLE_HEIGHT = 176
_LEAST_WIDTH, _MOST_WIDTH = 900, 1500
_SMALL = 11
_CHECKS = 16  # squares behind transparency, along the longer side


def occluder_sheet(
    crops: Sequence[Pixels],
    names: Sequence[str],
    path: str | Path,
    *,
    examples: NDArray[np.uint8] | None = None,
    example_titles: Sequence[str] | None = None,
    title: str = "",
    note: str = "",
) -> Path:
    """Draw crops of obstacles, tall ones first, and a row of examples.

    Args:
        crops: (h, w, 3) RGB or (h, w, 4) RGBA uint8, of any sizes; transparency shows a
            chequerboard.
        names: one per crop.
        path: where the PNG goes; folders are made.
        examples: (N, H, W, 3) uint8, people with a crop pasted.
        example_titles: a line under every example.
        title: heading; a general one if empty.
        note: a sentence for the end of the explanation, such as what is not shown.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: no crop, shapes or types that do not belong together, or a path that is no
            ``.png``.
    """
    titles = check_titles(names, len(crops))
    pairs = zip(titles, crops, strict=True)
    shown = [_over_chequers(_check_crop(name, crop)) for name, crop in pairs]
    if not shown:
        raise ValueError("crops: expected at least one, got none")
    groups = [
        [
            (image, name)
            for image, name in zip(shown, titles, strict=True)
            if _is_tall(image) == tall
        ]
        for tall in (True, False)
    ]
    cells = [
        (group, _cell_of(group, height))
        for group, height in zip(groups, (_TALL_HEIGHT, _WIDE_HEIGHT), strict=True)
    ]
    wanted = max(_width_of(len(group), cell) for group, cell in cells)
    width = min(_MOST_WIDTH, max(_LEAST_WIDTH, wanted))
    explanation = (
        "Every crop with its name and height x width in pixels. By the reference's rules, tall "
        "crops (h/w > 2) cover the full height of a training image, wide ones the full width. "
        + note
    )
    heading = Heading.fit(title or "Occluders", explanation.strip(), width)
    pasted = None if examples is None else check_images("examples", examples)
    rows = [] if pasted is None else _example_rows(pasted, width)
    height = heading.height + MARGIN
    height += sum(_section_height(len(group), cell, width) for group, cell in cells)
    height += _SECTION * bool(rows) + len(rows) * (_EXAMPLE_HEIGHT + _CAPTION)
    canvas = Canvas(height, width)
    canvas.heading(heading)
    top = heading.height + _GAP // 2
    for kind, (group, cell) in zip(("Tall", "Wide"), cells, strict=True):
        if group:
            _draw_section(canvas, f"{kind} crops: {len(group)}", group, cell, top)
            top += _section_height(len(group), cell, width)
    if pasted is not None:
        lines = check_titles(example_titles, len(pasted))
        _draw_examples(canvas, pasted, lines, rows, top)
    return canvas.save(path)


def _check_crop(name: str, crop: Pixels) -> Pixels:
    array = np.asarray(crop)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4) or not array.size:
        raise ValueError(
            f"crop {name}: expected (h, w, 3) or (h, w, 4) uint8, got {array.shape} of "
            f"{array.dtype}"
        )
    return array


def _over_chequers(crop: Pixels) -> Pixels:
    """Lay a crop with alpha on a chequerboard, as image editors do."""
    if crop.shape[2] == 3:
        return crop
    rows, columns = np.indices(crop.shape[:2]) * _CHECKS // max(crop.shape[:2])
    ground = np.where((rows + columns) % 2, 205.0, 245.0)[..., None]
    alpha = crop[..., 3:] / 255.0
    return np.rint(crop[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def _is_tall(image: Pixels) -> bool:
    return image.shape[0] > 2 * image.shape[1]


def _cell_of(group: list[tuple[Pixels, str]], height: int) -> tuple[int, int]:
    """Return height and width that the pictures of a group need."""
    widths = [image.shape[1] * height / image.shape[0] for image, _ in group]
    return height, int(min(_WIDEST, max([_NARROWEST, *widths])))


def _width_of(count: int, cell: tuple[int, int]) -> int:
    return 2 * MARGIN + count * (cell[1] + _GAP) - _GAP


def _columns(cell_width: int, width: int) -> int:
    return max(1, (width - 2 * MARGIN + _GAP) // (cell_width + _GAP))


def _section_height(count: int, cell: tuple[int, int], width: int) -> int:
    if not count:
        return 0
    return _SECTION + math.ceil(count / _columns(cell[1], width)) * (cell[0] + _CAPTION)


def _draw_section(
    canvas: Canvas, title: str, group: list[tuple[Pixels, str]], cell: tuple[int, int], top: int
) -> None:
    height, width = cell
    columns = _columns(width, canvas.width)
    canvas.text(title, top + _SECTION / 2, MARGIN, size=15, bold=True)
    for index, (image, name) in enumerate(group):
        row, column = divmod(index, columns)
        y = top + _SECTION + row * (height + _CAPTION)
        x = MARGIN + column * (width + _GAP)
        _draw_fitted(canvas, image, y, x, height, width)
        middle = x + width / 2
        canvas.text(
            shorten(name, width + 4, _SMALL), y + height + 10, middle, size=_SMALL, align="center"
        )
        size = f"{image.shape[0]} x {image.shape[1]}"
        canvas.text(size, y + height + 23, middle, size=_SMALL, color=GREY, align="center")


def _draw_fitted(
    canvas: Canvas, image: Pixels, top: int, left: int, height: int, width: int
) -> None:
    """Draw an image as large as its cell allows, at the cell's foot."""
    scale = min(height / image.shape[0], width / image.shape[1])
    shown_height = max(1, round(image.shape[0] * scale))
    shown_width = max(1, round(image.shape[1] * scale))
    y, x = top + height - shown_height, left + (width - shown_width) // 2
    if scale > 1:  # what is there, not what a curve makes of it
        size = (shown_width, shown_height)
        pixels = np.ascontiguousarray(image)
        image = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    canvas.picture(image, y, x, shown_height, shown_width)
    canvas.box(y - 0.5, x - 0.5, shown_height + 1, shown_width + 1, edge=PALE_GREY)


def _example_rows(examples: Pixels, width: int) -> list[list[int]]:
    shown = round(examples.shape[2] * _EXAMPLE_HEIGHT / examples.shape[1])
    columns = _columns(max(shown, _NARROWEST), width)
    return [
        list(range(start, min(start + columns, len(examples))))
        for start in range(0, len(examples), columns)
    ]


def _draw_examples(
    canvas: Canvas, examples: Pixels, titles: list[str], rows: list[list[int]], top: int
) -> None:
    canvas.text("Pasted over people", top + _SECTION / 2, MARGIN, size=15, bold=True)
    shown = round(examples.shape[2] * _EXAMPLE_HEIGHT / examples.shape[1])
    room = max(shown, _NARROWEST)
    for row, indices in enumerate(rows):
        y = top + _SECTION + row * (_EXAMPLE_HEIGHT + _CAPTION)
        for column, index in enumerate(indices):
            x = MARGIN + column * (room + _GAP)
            left = x + (room - shown) // 2
            canvas.picture(examples[index], y, left, _EXAMPLE_HEIGHT, shown)
            line = shorten(titles[index], room + 6, _SMALL)
            canvas.text(
                line,
                y + _EXAMPLE_HEIGHT + 10,
                x + room / 2,
                size=_SMALL,
                color=GREY,
                align="center",
            )
