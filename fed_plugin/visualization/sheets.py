"""Sheets of images: training pairs, visibilities, covered queries, neighbours, occluders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import (
    GREY,
    MARGIN,
    PALE_GREY,
    Canvas,
    Heading,
    check_booleans,
    check_images,
    check_scores,
    check_shares,
    check_titles,
    draw_cells,
    shorten,
)
from fed_plugin.visualization.rankings import SHOWN, draw_person, shown_width, write_visibility

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

    Args:
        holistic: (N, H, W, 3) uint8 RGB, the images without occluder.
        occluded: (N, H, W, 3) uint8 RGB, the same images with a pasted occluder.
        targets: (N, P) in [0, 1], 1 = visible; part 1 is the top stripe.
        path: File to write, ``.png`` or ``.html``; its folder is made.
        title: Heading; a general one if empty.
        masks: (N, H, W), True where a pixel is covered, drawn beside the pair.
        titles: One line above every pair.

    Raises:
        ValueError: Shapes or types do not fit, values are outside [0, 1], or the path has another
            ending.
    """
    first = check_images("holistic", holistic)
    second = check_images("occluded", occluded, first.shape)
    shares = check_shares("targets", targets, (len(first), "P"))
    parts = shares.shape[1]
    pictures = [first, second]
    explanation = "Left: the image as it came. Then the same image with what was pasted on it"
    if masks is not None:
        pictures.append(
            _draw_masks(check_booleans("masks", masks, first.shape[:3], "a pixel is covered"))
        )
        explanation += ", and the pixels that this changed, in black"
    return draw_cells(
        [list(row) for row in zip(*pictures, strict=True)],
        [[row] for row in shares],
        ["holistic", "occluded", *["mask"] * (masks is not None), "target"],
        path,
        title or "Training pairs and their visibility targets",
        f"{explanation}. Right: what the network should answer for each of the {parts} "
        f"part{'s' * (parts > 1)}, top to bottom: {_SCALE}.",
        check_titles(titles, len(first)),
    )


def image_sheet(
    images: NDArray[np.uint8],
    path: str | Path,
    *,
    titles: Sequence[str] | None = None,
    title: str = "",
    explanation: str = "",
) -> Path:
    """Draw images side by side.

    Args:
        images: (N, H, W, 3) uint8 RGB.
        path: File to write, ``.png`` or ``.html``; its folder is made.
        titles: One line above every image.
        title: Heading of the sheet.
        explanation: Words below the heading.

    Raises:
        ValueError: There are no images, a type does not fit, or the path has another ending.
    """
    checked = check_images("images", images)
    return draw_cells(
        [[image] for image in checked],
        [[] for _ in checked],
        [""],
        path,
        title,
        explanation,
        check_titles(titles, len(checked)),
    )


def _draw_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Turn (N, H, W) masks into (N, H, W, 3) pictures with black covered pixels on grey."""
    pictures = np.where(masks, np.uint8(0), np.uint8(225))
    return np.repeat(pictures[..., None], 3, axis=3)


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
        path: File to write, ``.png`` or ``.html``; its folder is made.
        truth: (N, P) in [0, 1], the true visible share, drawn beside the prediction.
        titles: One line above every image.
        title: Heading of the sheet; a general one if empty.

    Raises:
        ValueError: Shapes or types do not fit, values are outside [0, 1], or the path has another
            ending.
    """
    checked = check_images("images", images)
    predicted = check_shares("visibility", visibility, (len(checked), "P"))
    columns = [predicted]
    parts = predicted.shape[1]
    explanation = (
        f"Beside every image, for each of its {parts} part{'s' * (parts > 1)} from top to bottom, "
        "the visibility that the network predicts"
    )
    if truth is not None:
        columns.append(check_shares("truth", truth, predicted.shape))
        explanation += " and the true visible share"
    return draw_cells(
        [[image] for image in checked],
        [list(rows) for rows in zip(*columns, strict=True)],
        ["query", "predicted", "true"][: 1 + len(columns)],
        path,
        title or "Predicted visibility per part",
        f"{explanation}: {_SCALE}.",
        check_titles(titles, len(checked)),
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

    Args:
        groups: (S, H, W, 3) uint8, one image per share, by kind of occluder and by side.
        shares: S visible shares.
        path: File to write, ``.png`` or ``.html``; its folder is made.
        title: Heading of the sheet.
        explanation: Words below the heading.

    Raises:
        ValueError: There are no images, shapes or types differ, or the path has another ending.
    """
    first = check_images("images", next(iter(next(iter(groups.values())).values())))
    if len(first) != len(shares):
        raise ValueError(f"expected an image per visible share, {len(shares)}, got {len(first)}")
    height, width = first.shape[1:3]
    scale = max(1, math.ceil(_LEAST_HEIGHT / height))
    if height > _MOST_HEIGHT:
        size = _MOST_HEIGHT, max(1, round(width * _MOST_HEIGHT / height))
    else:
        size = height * scale, width * scale
    rows = max(len(sides) for sides in groups.values())
    group_width = len(shares) * (max(size[1], 44) + _COVERAGE_GAP)
    sheet_width = 2 * MARGIN + _LABEL + len(groups) * (group_width + _GROUP_GAP) - _GROUP_GAP
    heading = Heading.fit(title, explanation, sheet_width)
    top = heading.height + _COVERAGE_GAP
    canvas = Canvas(top + 2 * _LINE + rows * (size[0] + _COVERAGE_GAP) + MARGIN // 2, sheet_width)
    canvas.heading(heading)
    for place, (kind, sides) in enumerate(groups.items()):
        left = MARGIN + _LABEL + place * (group_width + _GROUP_GAP)
        canvas.text(kind, top + _LINE / 2, left, bold=True)
        step = group_width // len(shares)
        for column, share in enumerate(shares):
            canvas.text(f"{100 * share:g} %", top + 1.5 * _LINE, left + column * step, size=12)
        for row, (side, images) in enumerate(sides.items()):
            y = top + 2 * _LINE + row * (size[0] + _COVERAGE_GAP)
            if place == 0:
                canvas.text(side, y + size[0] / 2, MARGIN, size=13, color=GREY)
            for column, image in enumerate(check_images("images", images, first.shape)):
                canvas.picture(image, y, left + column * step, *size)
    return canvas.save(path)


# Identities whose memories are diffused into training samples.
#
# Shape shorthand: ``N`` samples, ``K`` neighbours, ``P`` parts from head to feet, ``H, W`` pixels.

_NEIGHBOR_GAP, _NUMBERS, _NEIGHBOR_CAPTION, _ABOVE, _BELOW = 18, 40, 26, 24, 66
_BAR = 9


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

    Args:
        holistic: (N, H, W, 3) uint8 RGB, the images without occluder.
        occluded: (N, H, W, 3) uint8 RGB, the same images with a pasted occluder.
        visibility: (N, P) in [0, 1] of the occluded view; None for a model that estimates none.
        neighbors: Neighbours of every sample.
        path: File to write, ``.png`` or ``.html``; its folder is made.
        titles: One line above every sample.
        title: Heading of the sheet.
        note: Words at the end of the explanation.

    Raises:
        ValueError: Shapes do not fit, weights do not add up to 1, or the path has another ending.
    """
    whole = check_images("holistic", holistic)
    covered = check_images("occluded", occluded, whole.shape)
    images = check_images("images", neighbors.images, (len(whole), "K", "H", "W", 3))
    weights = check_shares("weights", neighbors.weights, images.shape[:2])
    similarity = check_scores("similarity", neighbors.similarity, images.shape[:2])
    if np.abs(weights.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("weights: expected shares of the attention that add up to 1")
    seen = visibility
    if seen is not None:
        seen = check_shares("visibility", seen, (len(whole), "P"))
    captions = check_titles(titles, len(whole))
    own, other = shown_width(whole), shown_width(images)
    first = MARGIN + 2 * own + _NEIGHBOR_GAP // 2 + _NUMBERS + _NEIGHBOR_GAP
    width = max(640, first + images.shape[1] * (other + _NEIGHBOR_GAP) - _NEIGHBOR_GAP + MARGIN)
    heading = Heading.fit(title, _explain(seen is not None, note), width)
    height = _NEIGHBOR_CAPTION + _ABOVE + SHOWN + _BELOW
    canvas = Canvas(heading.height + 20 + len(whole) * height, width)
    canvas.heading(heading)
    for index, caption in enumerate(captions):
        top = heading.height + 10 + index * height
        canvas.start_row(caption, top)
        top += _NEIGHBOR_CAPTION + _ABOVE
        shares = None if seen is None else seen[index]
        for image, words, part_shares, left in (
            (whole[index], "holistic", None, MARGIN),
            (covered[index], "occluded", shares, MARGIN + own + _NEIGHBOR_GAP // 2),
        ):
            draw_person(canvas, image, part_shares, top, left)
            canvas.text(words, top - 11, left, size=13, color=GREY)
        if shares is not None:
            write_visibility(canvas, shares, top, MARGIN + 2 * own + _NEIGHBOR_GAP // 2)
        for rank, image in enumerate(images[index]):
            left = first + rank * (other + _NEIGHBOR_GAP)
            draw_person(canvas, image, None, top, left)
            canvas.text(str(rank + 1), top - 11, left, size=13, color=GREY)
            canvas.share_bar(float(weights[index, rank]), top + SHOWN + 6, left, _BAR, other)
            taken = f"{100 * weights[index, rank]:.0f} % taken"
            canvas.text(taken, top + SHOWN + 27, left, size=13, bold=True)
            name = shorten(neighbors.names[index][rank], other + _NEIGHBOR_GAP // 2, 11)
            for y, words in ((43, f"cosine {similarity[index, rank]:.2f}"), (57, name)):
                canvas.text(words, top + SHOWN + y, left, size=11, color=GREY)
    return canvas.save(path)


def _explain(parts: bool, note: str) -> str:
    words = (
        "Left: a training image, and the same image with an occluder. Then the identities whose "
        "memories are most similar to the occluded view, other people only. Their slots are "
        "diffused into the view; the blue bar is the share of the attention. "
    )
    if parts:
        words += (
            "A pale part of the occluded view has a low estimated visibility; the number beside "
            "the part is this visibility, from 0 to 100. "
        )
    return (words + note).strip()


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

    Args:
        crops: (h, w, 3) RGB or (h, w, 4) RGBA uint8, of any sizes; transparent pixels show a
            chequerboard.
        names: One name per crop.
        path: File to write, ``.png`` or ``.html``; its folder is made.
        examples: (N, H, W, 3) uint8, people with a pasted crop.
        example_titles: One line under every example.
        title: Heading; a general one if empty.
        note: Sentence at the end of the explanation.

    Raises:
        ValueError: There is no crop, shapes or types do not fit, or the path has another ending.
    """
    titles = check_titles(names, len(crops))
    pairs = zip(titles, crops, strict=True)
    pictures = [_over_chequers(_check_crop(name, crop)) for name, crop in pairs]
    if not pictures:
        raise ValueError("crops: expected at least one, got none")
    groups = [
        [
            (image, name)
            for image, name in zip(pictures, titles, strict=True)
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
    height += _SECTION * bool(rows) + len(rows) * (_EXAMPLE_HEIGHT + _OCCLUDER_CAPTION)
    canvas = Canvas(height, width)
    canvas.heading(heading)
    top = heading.height + _OCCLUDER_GAP // 2
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
    if crop.shape[2] == 3:
        return crop
    rows, columns = np.indices(crop.shape[:2]) * _CHECKS // max(crop.shape[:2])
    ground = np.where((rows + columns) % 2, 205.0, 245.0)[..., None]
    alpha = crop[..., 3:] / 255.0
    return np.rint(crop[..., :3] * alpha + ground * (1 - alpha)).astype(np.uint8)


def _is_tall(image: Pixels) -> bool:
    return image.shape[0] > 2 * image.shape[1]


def _cell_of(group: list[tuple[Pixels, str]], height: int) -> tuple[int, int]:
    widths = [image.shape[1] * height / image.shape[0] for image, _ in group]
    return height, int(min(_WIDEST, max([_NARROWEST, *widths])))


def _width_of(count: int, cell: tuple[int, int]) -> int:
    return 2 * MARGIN + count * (cell[1] + _OCCLUDER_GAP) - _OCCLUDER_GAP


def _columns(cell_width: int, width: int) -> int:
    return max(1, (width - 2 * MARGIN + _OCCLUDER_GAP) // (cell_width + _OCCLUDER_GAP))


def _section_height(count: int, cell: tuple[int, int], width: int) -> int:
    if not count:
        return 0
    return _SECTION + math.ceil(count / _columns(cell[1], width)) * (cell[0] + _OCCLUDER_CAPTION)


def _draw_section(
    canvas: Canvas, title: str, group: list[tuple[Pixels, str]], cell: tuple[int, int], top: int
) -> None:
    height, width = cell
    columns = _columns(width, canvas.width)
    canvas.text(title, top + _SECTION / 2, MARGIN, size=15, bold=True)
    for index, (image, name) in enumerate(group):
        row, column = divmod(index, columns)
        y = top + _SECTION + row * (height + _OCCLUDER_CAPTION)
        x = MARGIN + column * (width + _OCCLUDER_GAP)
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
    scale = min(height / image.shape[0], width / image.shape[1])
    shown_height = max(1, round(image.shape[0] * scale))
    shown_width = max(1, round(image.shape[1] * scale))
    y, x = top + height - shown_height, left + (width - shown_width) // 2
    if scale > 1:  # enlarge pixels to squares, without smoothing
        size = (shown_width, shown_height)
        pixels = np.ascontiguousarray(image)
        image = cv2.resize(pixels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    canvas.picture(image, y, x, shown_height, shown_width)
    canvas.box(y - 0.5, x - 0.5, shown_height + 1, shown_width + 1, edge=PALE_GREY)


def _example_rows(examples: Pixels, width: int) -> list[list[int]]:
    picture_width = round(examples.shape[2] * _EXAMPLE_HEIGHT / examples.shape[1])
    columns = _columns(max(picture_width, _NARROWEST), width)
    return [
        list(range(start, min(start + columns, len(examples))))
        for start in range(0, len(examples), columns)
    ]


def _draw_examples(
    canvas: Canvas, examples: Pixels, titles: list[str], rows: list[list[int]], top: int
) -> None:
    canvas.text("Pasted over people", top + _SECTION / 2, MARGIN, size=15, bold=True)
    picture_width = round(examples.shape[2] * _EXAMPLE_HEIGHT / examples.shape[1])
    room = max(picture_width, _NARROWEST)
    for row, indices in enumerate(rows):
        y = top + _SECTION + row * (_EXAMPLE_HEIGHT + _OCCLUDER_CAPTION)
        for column, index in enumerate(indices):
            x = MARGIN + column * (room + _OCCLUDER_GAP)
            left = x + (room - picture_width) // 2
            canvas.picture(examples[index], y, left, _EXAMPLE_HEIGHT, picture_width)
            line = shorten(titles[index], room + 6, _SMALL)
            canvas.text(
                line,
                y + _EXAMPLE_HEIGHT + 10,
                x + room / 2,
                size=_SMALL,
                color=GREY,
                align="center",
            )
