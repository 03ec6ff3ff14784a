"""Sheets of images with visibilities per part: augmented pairs, queries with predictions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.cells import draw_cells
from fed_plugin.visualization.checks import (
    check_booleans,
    check_images,
    check_shares,
    check_titles,
)

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
        holistic: (N, H, W, 3) uint8 RGB, the images as they came.
        occluded: (N, H, W, 3) uint8 RGB, the same images with an occluder pasted.
        targets: (N, P) in [0, 1], 1 = visible; part 1 is the top stripe.
        path: where the PNG goes; folders are made.
        title: heading; a general one if empty.
        masks: (N, H, W), True where a pixel is covered, drawn beside the pair.
        titles: one line above every pair.

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
        path: where the PNG goes; folders are made.
        titles: one line above every image.
        title: heading of the sheet.
        explanation: what the images are.

    Returns:
        The path of the PNG.

    Raises:
        ValueError: no images, other types, or a path that is no ``.png``.
    """
    shown = check_images("images", images)
    return draw_cells(
        [[image] for image in shown],
        [[] for _ in shown],
        [""],
        path,
        title,
        explanation,
        check_titles(titles, len(shown)),
    )


def _draw_masks(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Turn (N, H, W) masks into (N, H, W, 3) pictures, covered pixels black on grey paper."""
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
    return draw_cells(
        [[image] for image in shown],
        [list(rows) for rows in zip(*columns, strict=True)],
        ["query", "predicted", "true"][: 1 + len(columns)],
        path,
        title or "Predicted visibility per part",
        f"{explanation}: {_SCALE}.",
        check_titles(titles, len(shown)),
    )
