"""A sheet that shows what is pasted: one image, covered from every side, share by share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.canvas import Canvas
from fed_plugin.visualization.checks import check_images
from fed_plugin.visualization.lettering import MARGIN, Heading
from fed_plugin.visualization.palette import GREY

_LEAST_HEIGHT, _MOST_HEIGHT = 120, 200
_GAP, _GROUP_GAP, _LABEL, _LINE = 8, 26, 64, 24


def coverage_sheet(
    groups: Mapping[str, Mapping[str, NDArray[np.uint8]]],
    shares: Sequence[float],
    path: str | Path,
    title: str,
    explanation: str,
) -> Path:
    """Draw groups side by side: a row for every side, a column for every visible share.

    Args:
        groups: by kind of occluder, then by side: (S, H, W, 3) uint8, one image per share.
        shares: S visible shares.
        path: where the PNG goes; folders are made.
        title: heading.
        explanation: below the heading.

    Returns:
        The path.

    Raises:
        ValueError: no images, other shapes or types, or a path that is no ``.png``.
    """
    first = check_images("images", next(iter(next(iter(groups.values())).values())))
    if len(first) != len(shares):
        raise ValueError(f"expected an image per visible share, {len(shares)}, got {len(first)}")
    height, width = first.shape[1:3]
    scale = max(1, math.ceil(_LEAST_HEIGHT / height))
    if height > _MOST_HEIGHT:
        shown = _MOST_HEIGHT, max(1, round(width * _MOST_HEIGHT / height))
    else:
        shown = height * scale, width * scale
    rows = max(len(sides) for sides in groups.values())
    group_width = len(shares) * (max(shown[1], 44) + _GAP)
    sheet_width = 2 * MARGIN + _LABEL + len(groups) * (group_width + _GROUP_GAP) - _GROUP_GAP
    heading = Heading.fit(title, explanation, sheet_width)
    top = heading.height + _GAP
    canvas = Canvas(top + 2 * _LINE + rows * (shown[0] + _GAP) + MARGIN // 2, sheet_width)
    canvas.heading(heading)
    for place, (kind, sides) in enumerate(groups.items()):
        left = MARGIN + _LABEL + place * (group_width + _GROUP_GAP)
        canvas.text(kind, top + _LINE / 2, left, bold=True)
        step = group_width // len(shares)
        for column, share in enumerate(shares):
            canvas.text(f"{100 * share:g} %", top + 1.5 * _LINE, left + column * step, size=12)
        for row, (side, images) in enumerate(sides.items()):
            y = top + 2 * _LINE + row * (shown[0] + _GAP)
            if place == 0:
                canvas.text(side, y + shown[0] / 2, MARGIN, size=13, color=GREY)
            for column, image in enumerate(check_images("images", images, first.shape)):
                canvas.picture(image, y, left + column * step, *shown)
    return canvas.save(path)
