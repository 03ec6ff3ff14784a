"""One person on a sheet, cut into parts: each the paler, the less of it is visible.

Shape shorthand: ``H, W`` pixels, ``P`` parts from head to feet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.palette import INK

SHOWN = 192
"""Rows of a person on a sheet."""
_DIM = 0.35  # of a wholly covered part's contrast is left


def shown_width(images: NDArray[np.uint8]) -> int:
    """Return the columns that (..., H, W, 3) images take when they are ``SHOWN`` rows high."""
    height, width = images.shape[-3:-1]
    return max(1, round(int(width) * SHOWN / int(height)))


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
    """Paste an image (H, W, 3); with ``visibility`` (P,) in [0, 1] each part as pale as it says."""
    width = shown_width(image)
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
    """Write (P,) shares as numbers from 0 to 100, each beside its part."""
    edges = part_edges(len(visibility))
    for value, above, below in zip(visibility, edges, edges[1:], strict=False):
        size = min(13, max(8, (below - above) * 0.8))
        canvas.text(f"{100 * value:.0f}", top + (above + below) / 2, left + 6, size=size)
