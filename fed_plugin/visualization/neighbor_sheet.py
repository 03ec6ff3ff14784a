"""Whose memories are diffused into training samples.

Shape shorthand: ``N`` samples, ``K`` neighbours, ``P`` parts from head to feet, ``H, W`` pixels.
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
from fed_plugin.visualization.palette import GREY, PALE_GREY
from fed_plugin.visualization.parts_picture import SHOWN, draw_person, shown_width, write_visibility

_GAP, _NUMBERS, _CAPTION, _ABOVE, _BELOW = 18, 40, 26, 24, 66
_BAR = 9


@dataclass(frozen=True)
class Neighbors:
    """Hold what each sample takes from the memory.

    Args:
        images: (N, K, H, W, 3) uint8 RGB, a photo of each identity, the most similar first.
        weights: (N, K) in [0, 1], shares of the attention; a row adds up to 1.
        similarity: (N, K) cosines.
        names: (N, K) of the identities.
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
        holistic: (N, H, W, 3) uint8 RGB, the images as they came.
        occluded: (N, H, W, 3) uint8 RGB, the same with an occluder.
        visibility: (N, P) in [0, 1] of the occluded view; None for a model that estimates none.
        neighbors: of each sample.
        path: where the picture goes, ``.png`` or ``.html``; folders are made.
        titles: one line above every sample.
        title: heading of the sheet.
        note: what else is to be said below the heading.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not belong together, weights that do not add up to 1, or a path
            of another kind.
    """
    whole = check_images("holistic", holistic)
    covered = check_images("occluded", occluded, whole.shape)
    images = check_images("images", neighbors.images, (len(whole), "K", "H", "W", 3))
    weights = check_shares("weights", neighbors.weights, images.shape[:2])
    similarity = check_scores("similarity", neighbors.similarity, images.shape[:2])
    if np.abs(weights.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("weights: expected shares of the attention that add up to 1")
    seen = visibility
    if visibility is not None:
        seen = check_shares("visibility", visibility, (len(whole), "P"))
    captions = check_titles(titles, len(whole))
    own, other = shown_width(whole), shown_width(images)
    first = MARGIN + 2 * own + _GAP // 2 + _NUMBERS + _GAP
    width = max(640, first + images.shape[1] * (other + _GAP) - _GAP + MARGIN)
    heading = Heading.fit(title, _explain(seen is not None, note), width)
    height = _CAPTION + _ABOVE + SHOWN + _BELOW
    canvas = Canvas(heading.height + 20 + len(whole) * height, width)
    canvas.heading(heading)
    for index, caption in enumerate(captions):
        top = heading.height + 10 + index * height
        canvas.rule(top, MARGIN, width - MARGIN, PALE_GREY)
        name = shorten(caption, width - 2 * MARGIN)
        canvas.text(name, top + _CAPTION * 0.6, MARGIN, bold=True)
        top += _CAPTION + _ABOVE
        shares = None if seen is None else seen[index]
        for image, words, part_shares, left in (
            (whole[index], "holistic", None, MARGIN),
            (covered[index], "occluded", shares, MARGIN + own + _GAP // 2),
        ):
            draw_person(canvas, image, part_shares, top, left)
            canvas.text(words, top - 11, left, size=13, color=GREY)
        if shares is not None:
            write_visibility(canvas, shares, top, MARGIN + 2 * own + _GAP // 2)
        for rank, image in enumerate(images[index]):
            left = first + rank * (other + _GAP)
            draw_person(canvas, image, None, top, left)
            canvas.text(str(rank + 1), top - 11, left, size=13, color=GREY)
            share = float(weights[index, rank])
            canvas.share_bar(share, top + SHOWN + 6, left, _BAR, other)
            words = f"{100 * share:.0f} % taken"
            canvas.text(words, top + SHOWN + 27, left, size=13, bold=True)
            words = f"cosine {similarity[index, rank]:.2f}"
            canvas.text(words, top + SHOWN + 43, left, size=11, color=GREY)
            words = shorten(neighbors.names[index][rank], other + _GAP // 2, 11)
            canvas.text(words, top + SHOWN + 57, left, size=11, color=GREY)
    return canvas.save(path)


def _explain(parts: bool, note: str) -> str:
    said = (
        "Left: a training image, and its view with an occluder. Then the identities whose memories "
        "look most like the occluded view, of other people only: their slots are diffused into it, "
        "by the share of the attention that the blue bar shows. "
    )
    if parts:
        said += (
            "A part of the occluded view is the paler, the less of it the model believes to be "
            "visible; the number beside it is that visibility, from 0 to 100. "
        )
    return (said + note).strip()
