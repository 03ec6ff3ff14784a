"""Sheets of images: training pairs, visibilities, covered queries, neighbours, occluders.

A sheet is written to ``path``, ``.png`` or ``.html``, whose folder is made. ``title`` is the
heading, a general one if empty; ``explanation`` stands below it and ends with the ``note``;
``titles`` has a line above each image or row. A ValueError names shapes, types and values that do
not fit, and a path with another ending.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization import canvas
from fed_plugin.visualization.canvas import GREY, INK, MARGIN, PALE_GREY, Canvas
from fed_plugin.visualization.rankings import SHOWN, draw_person, shown_width

_SCALE = "blue = visible share, hatched orange = covered share; the number is the visible share"


def pair_sheet(
    holistic: NDArray[np.uint8],
    occluded: NDArray[np.uint8],
    targets: NDArray[np.floating],
    path: str | Path,
    title: str = "",
    *,
    masks: NDArray[np.bool_] | None = None,
    titles: Sequence[str] | None = None,
) -> Path:
    """Draw augmented pairs with the visibility target of every part.

    Beside the arguments of every sheet:
        holistic: (N, H, W, 3) uint8 RGB, the images without occluder.
        occluded: (N, H, W, 3) uint8 RGB, the same images with a pasted occluder.
        targets: (N, P) in [0, 1], 1 = visible; part 1 is the top stripe.
        masks: (N, H, W), True where a pixel is covered, drawn beside the pair.
    """
    first = canvas.check_images("holistic", holistic)
    second = canvas.check_images("occluded", occluded, first.shape)
    shares = canvas.check_shares("targets", targets, (len(first), "P"))
    parts = shares.shape[1]
    pictures = [first, second]
    explanation = "Left: the image as it came. Then the same image with what was pasted on it"
    if masks is not None:
        covered = canvas.check_booleans("masks", masks, first.shape[:3], "a pixel is covered")
        black_on_grey = np.where(covered, np.uint8(0), np.uint8(225))
        pictures.append(np.repeat(black_on_grey[..., None], 3, axis=3))
        explanation += ", and the pixels that this changed, in black"
    return canvas.draw_cells(
        [list(row) for row in zip(*pictures, strict=True)],
        [[row] for row in shares],
        ["holistic", "occluded", *["mask"] * (masks is not None), "target"],
        path,
        title or "Training pairs and their visibility targets",
        f"{explanation}. Right: what the network should answer for each of the {parts} "
        f"part{'s' * (parts > 1)}, top to bottom: {_SCALE}.",
        canvas.check_titles(titles, len(first)),
    )


def image_sheet(
    images: NDArray[np.uint8],
    path: str | Path,
    *,
    titles: Sequence[str] | None = None,
    title: str = "",
    explanation: str = "",
) -> Path:
    """Draw images (N, H, W, 3), uint8 RGB, side by side."""
    checked = canvas.check_images("images", images)
    return canvas.draw_cells(
        [[image] for image in checked],
        [[] for _ in checked],
        [""],
        path,
        title,
        explanation,
        canvas.check_titles(titles, len(checked)),
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

    Beside the arguments of every sheet:
        images: (N, H, W, 3) uint8 RGB.
        visibility: (N, P) in [0, 1], predicted; 1 = visible, part 1 is the top stripe.
        truth: (N, P) in [0, 1], the true visible share, drawn beside the prediction.
    """
    checked = canvas.check_images("images", images)
    predicted = canvas.check_shares("visibility", visibility, (len(checked), "P"))
    columns = [predicted]
    parts = predicted.shape[1]
    explanation = (
        f"Beside every image, for each of its {parts} part{'s' * (parts > 1)} from top to bottom, "
        "the visibility that the network predicts"
    )
    if truth is not None:
        columns.append(canvas.check_shares("truth", truth, predicted.shape))
        explanation += " and the true visible share"
    return canvas.draw_cells(
        [[image] for image in checked],
        [list(rows) for rows in zip(*columns, strict=True)],
        ["query", "predicted", "true"][: 1 + len(columns)],
        path,
        title or "Predicted visibility per part",
        f"{explanation}: {_SCALE}.",
        canvas.check_titles(titles, len(checked)),
    )


# One image, covered from every side, share by share.

_LEAST_HEIGHT, _MOST_HEIGHT = 120, 200
_COVERAGE_GAP, _GROUP_GAP, _LABEL, _LINE = 8, 26, 64, 24


def coverage_sheet(
    groups: Mapping[str, Mapping[str, NDArray[np.uint8]]],
    shares: Sequence[float],
    path: str | Path,
    title: str,
    explanation: str,
) -> Path:
    """Draw groups side by side: a row for every side, a column for every visible share.

    Beside the arguments of every sheet:
        groups: (S, H, W, 3) uint8, one image per share, by kind of occluder and by side.
        shares: S visible shares.
    """
    first = canvas.check_images("images", next(iter(next(iter(groups.values())).values())))
    if len(first) != len(shares):
        raise ValueError(f"expected an image per visible share, {len(shares)}, got {len(first)}")
    height, width = first.shape[1:3]
    drawn = min(height, _MOST_HEIGHT) * max(1, math.ceil(_LEAST_HEIGHT / height))
    size = drawn, max(1, round(width * drawn / height))
    rows = max(len(sides) for sides in groups.values())
    group_width = len(shares) * (max(size[1], 44) + _COVERAGE_GAP)
    sheet_width = 2 * MARGIN + _LABEL + len(groups) * (group_width + _GROUP_GAP) - _GROUP_GAP
    below = _COVERAGE_GAP + 2 * _LINE + rows * (size[0] + _COVERAGE_GAP) + MARGIN // 2
    sheet, top = Canvas.with_heading(title, explanation, sheet_width, below)
    top += _COVERAGE_GAP
    for place, (kind, sides) in enumerate(groups.items()):
        left = MARGIN + _LABEL + place * (group_width + _GROUP_GAP)
        sheet.text(kind, top + _LINE / 2, left, bold=True)
        step = group_width // len(shares)
        for column, share in enumerate(shares):
            sheet.text(f"{100 * share:g} %", top + 1.5 * _LINE, left + column * step, size=12)
        for row, (side, images) in enumerate(sides.items()):
            y = top + 2 * _LINE + row * (size[0] + _COVERAGE_GAP)
            if place == 0:
                sheet.text(side, y + size[0] / 2, MARGIN, size=13, color=GREY)
            for column, image in enumerate(canvas.check_images("images", images, first.shape)):
                sheet.picture(image, y, left + column * step, *size)
    return sheet.save(path)


# Identities whose memories are diffused into training samples.
#
# Shape shorthand: ``N`` samples, ``K`` neighbours, ``P`` parts from head to feet, ``H, W`` pixels.

_NEIGHBOR_GAP, _NUMBERS, _NEIGHBOR_CAPTION, _ABOVE, _BELOW = 18, 40, 26, 24, 66
_BAR = 9
_NEIGHBOR_EXPLANATION = (
    "Left: a training image, and the same image with an occluder. Then the identities whose "
    "memories are most similar to the occluded view, other people only. Their slots are diffused "
    "into the view; the blue bar is the share of the attention."
)
_PALE_PARTS = (
    "A pale part of the occluded view has a low estimated visibility; the number beside the part "
    "is this visibility, from 0 to 100."
)


@dataclass(frozen=True)
class Neighbors:
    """Identities that every sample attends to.

    Args:
        images: (N, K, H, W, 3) uint8 RGB, a photo of each identity, the most similar first.
        weights: (N, K) in [0, 1], shares of the attention; a row adds up to 1.
        similarity: (N, K) cosines.
        names: (N, K) names of the identities.
    """

    images: NDArray[np.uint8]
    weights: NDArray[np.floating]
    similarity: NDArray[np.floating]
    names: Sequence[Sequence[str]]


def neighbor_sheet(
    holistic: NDArray[np.uint8],
    occluded: NDArray[np.uint8],
    visibility: NDArray[np.floating] | None,
    neighbors: Neighbors,
    path: str | Path,
    titles: Sequence[str] | None = None,
    *,
    title: str = "Whose memories are diffused into training samples",
    note: str = "",
) -> Path:
    """Draw samples and the identities that their occluded view attends to.

    Beside the arguments of every sheet:
        holistic: (N, H, W, 3) uint8 RGB, the images without occluder.
        occluded: (N, H, W, 3) uint8 RGB, the same images with a pasted occluder.
        visibility: (N, P) in [0, 1] of the occluded view; None for a model that estimates none.
    """
    whole = canvas.check_images("holistic", holistic)
    covered = canvas.check_images("occluded", occluded, whole.shape)
    images = canvas.check_images("images", neighbors.images, (len(whole), "K", "H", "W", 3))
    weights = canvas.check_shares("weights", neighbors.weights, images.shape[:2])
    similarity = canvas.check_scores("similarity", neighbors.similarity, images.shape[:2])
    if np.abs(weights.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("weights: expected shares of the attention that add up to 1")
    seen = visibility
    if seen is not None:
        seen = canvas.check_shares("visibility", seen, (len(whole), "P"))
    captions = canvas.check_titles(titles, len(whole))
    own, other = shown_width(whole, SHOWN), shown_width(images, SHOWN)
    first = MARGIN + 2 * own + _NEIGHBOR_GAP // 2 + _NUMBERS + _NEIGHBOR_GAP
    width = max(640, first + images.shape[1] * (other + _NEIGHBOR_GAP) - _NEIGHBOR_GAP + MARGIN)
    above = _NEIGHBOR_CAPTION + _ABOVE
    words = [_NEIGHBOR_EXPLANATION, _PALE_PARTS if seen is not None else "", note]
    explanation, height = " ".join(filter(None, words)), above + SHOWN + _BELOW
    sheet, tops = Canvas.with_rows(title, explanation, width, height, captions)
    for index, row in enumerate(tops):
        top = row + above
        shares = None if seen is None else seen[index]
        left = MARGIN + own + _NEIGHBOR_GAP // 2
        draw_person(sheet, whole[index], None, top, MARGIN, "holistic")
        draw_person(sheet, covered[index], shares, top, left, "occluded", numbers=True)
        for rank, image in enumerate(images[index]):
            left = first + rank * (other + _NEIGHBOR_GAP)
            draw_person(sheet, image, None, top, left, str(rank + 1))
            sheet.share_bar(float(weights[index, rank]), top + SHOWN + 6, left, _BAR, other)
            taken = f"{100 * weights[index, rank]:.0f} % taken"
            sheet.text(taken, top + SHOWN + 27, left, size=13, bold=True)
            name = canvas.shorten(neighbors.names[index][rank], other + _NEIGHBOR_GAP // 2, 11)
            for y, words in ((43, f"cosine {similarity[index, rank]:.2f}"), (57, name)):
                sheet.text(words, top + SHOWN + y, left, size=11, color=GREY)
    return sheet.save(path)


# A contact sheet of obstacles: every crop with name and size, and some pasted over people.

Pixels = NDArray[np.uint8]

_OCCLUDER_GAP, _SECTION, _OCCLUDER_CAPTION = 14, 34, 38
_TALL_HEIGHT, _WIDE_HEIGHT = 176, 104  # of a picture, at most
_NARROWEST, _WIDEST = 104, 136  # columns of a cell, for name and picture
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
    """Draw crops of obstacles, tall crops first, and a row of examples.

    Beside the arguments of every sheet:
        crops: (h, w, 3) RGB or (h, w, 4) RGBA uint8, of any sizes; transparent pixels show a
            chequerboard.
        examples: (N, H, W, 3) uint8, people with a pasted crop.
        example_titles: One line under every example.
    """
    tall, wide = [], []
    for name, crop in zip(canvas.check_titles(names, len(crops)), crops, strict=True):
        image = _over_chequers(name, crop)
        height, width = image.shape[:2]
        lines = ((name, INK), (f"{height} x {width}", GREY))
        (tall if height > 2 * width else wide).append((image, lines))
    if not tall and not wide:
        raise ValueError("crops: expected at least one, got none")
    sections = [
        _Section(f"Tall crops: {len(tall)}", tall, _TALL_HEIGHT),
        _Section(f"Wide crops: {len(wide)}", wide, _WIDE_HEIGHT),
    ]
    wanted = max(one.width for one in sections)
    if examples is not None:
        pasted = canvas.check_images("examples", examples)
        lines = canvas.check_titles(example_titles, len(pasted))
        people = [(image, ((line, GREY),)) for image, line in zip(pasted, lines, strict=True)]
        sections.append(_Section("Pasted over people", people, _EXAMPLE_HEIGHT))
    width = min(_MOST_WIDTH, max(_LEAST_WIDTH, wanted))
    explanation = (
        "Every crop with its name and height x width in pixels. By the reference's rules, tall "
        "crops (h/w > 2) cover the full height of a training image, wide ones the full width. "
        f"{note}"
    )
    heights = [one.height_on(width) for one in sections]
    below = MARGIN + sum(heights)
    sheet, top = Canvas.with_heading(title or "Occluders", explanation.strip(), width, below)
    top += _OCCLUDER_GAP // 2
    for section, height in zip(sections, heights, strict=True):
        section.draw(sheet, top)
        top += height
    return sheet.save(path)


def _over_chequers(name: str, crop: Pixels) -> Pixels:
    """Return (h, w, 3) RGB of a crop; transparent pixels show a chequerboard."""
    crop = np.asarray(crop)
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] not in (3, 4) or not crop.size:
        expected = "(h, w, 3) or (h, w, 4) uint8"
        raise ValueError(f"crop {name}: expected {expected}, got {crop.shape} of {crop.dtype}")
    if crop.shape[2] == 3:
        return crop
    rows, columns = np.indices(crop.shape[:2]) * _CHECKS // max(crop.shape[:2])
    ground = np.where((rows + columns) % 2, 205.0, 245.0)[..., None]
    alpha = crop[..., 3:] / 255.0
    return np.rint(crop[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


@dataclass(frozen=True)
class _Section:
    """Pictures of one kind, ``row`` pixels high, each above its (line, colour) pairs."""

    title: str
    items: list[tuple[Pixels, tuple[tuple[str, str], ...]]]
    row: int

    @property
    def cell(self) -> int:
        widths = [image.shape[1] * self.row / image.shape[0] for image, _ in self.items]
        return int(min(_WIDEST, max([_NARROWEST, *widths])))

    @property
    def width(self) -> int:
        return 2 * MARGIN + len(self.items) * (self.cell + _OCCLUDER_GAP) - _OCCLUDER_GAP

    def columns(self, width: int) -> int:
        return max(1, (width - 2 * MARGIN + _OCCLUDER_GAP) // (self.cell + _OCCLUDER_GAP))

    def height_on(self, width: int) -> int:
        """Return the rows of the section on a sheet of ``width`` pixels; 0 without a picture."""
        rows = math.ceil(len(self.items) / self.columns(width))
        return _SECTION * bool(rows) + rows * (self.row + _OCCLUDER_CAPTION)

    def draw(self, sheet: Canvas, top: int) -> None:
        if self.items:
            sheet.text(self.title, top + _SECTION / 2, MARGIN, size=15, bold=True)
        for index, (image, lines) in enumerate(self.items):
            row, column = divmod(index, self.columns(sheet.width))
            y = top + _SECTION + row * (self.row + _OCCLUDER_CAPTION)
            x = MARGIN + column * (self.cell + _OCCLUDER_GAP)
            _draw_fitted(sheet, image, y, x, self.row, self.cell)
            for place, (line, color) in enumerate(lines):
                words = canvas.shorten(line, self.cell + 4, _SMALL)
                middle, below = x + self.cell / 2, y + self.row + 10 + 13 * place
                sheet.text(words, below, middle, size=_SMALL, color=color, align="center")


def _draw_fitted(
    sheet: Canvas, image: Pixels, top: int, left: int, height: int, width: int
) -> None:
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(side * scale)) for side in image.shape[:2])
    y, x = top + height - rows, left + (width - columns) // 2
    if scale > 1:  # enlarge pixels to squares, without smoothing
        method = cv2.INTER_NEAREST_EXACT
        image = cv2.resize(np.ascontiguousarray(image), (columns, rows), interpolation=method)
    sheet.picture(image, y, x, rows, columns)
    sheet.box(y - 0.5, x - 0.5, rows + 1, columns + 1, edge=PALE_GREY)
