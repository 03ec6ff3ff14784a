"""A sheet of paper measured in pixels: pictures, boxes and words, saved as one PNG or page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.visualization.lettering import (
    BODY_LINE,
    MARGIN,
    TITLE_LINE,
    TITLE_SIZE,
    Heading,
)
from fed_plugin.visualization.palette import BLUE, GREY, INK, PALE_VERMILLION, VERMILLION
from fed_plugin.visualization.picture_file import check_kind, save_figure

_DPI = 100
_LARGEST_SIDE = 30_000  # Agg stops at 2**16 pixels, viewers before


class Canvas:
    """Collect what a sheet shows; every coordinate is in pixels from the top left corner.

    matplotlib is imported when the first canvas is made, and no global state of it is used.

    Args:
        height: rows of the PNG.
        width: columns of the PNG.

    Raises:
        ValueError: a sheet too large to be drawn or looked at.
    """

    def __init__(self, height: int, width: int) -> None:
        if max(height, width) > _LARGEST_SIDE:
            raise ValueError(
                f"the sheet would have {width} x {height} pixels, over {_LARGEST_SIDE} a side; "
                "draw fewer images on it"
            )
        from matplotlib.figure import Figure

        self.height, self.width = height, width
        self._title = "Pictures"
        self._pixels = np.full((height, width, 3), 255, dtype=np.uint8)
        # a hair more than whole pixels, or rounding down loses one
        size = ((width + 0.01) / _DPI, (height + 0.01) / _DPI)
        self._figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
        self._axes: Any = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()

    def picture(
        self, image: NDArray[np.uint8], top: int, left: int, height: int, width: int
    ) -> None:
        """Paste an (H, W, 3) uint8 image, resized to ``height`` x ``width``."""
        shrinks = height < image.shape[0]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        resized = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=method)
        self._pixels[top : top + height, left : left + width] = resized

    def box(
        self,
        top: float,
        left: float,
        height: float,
        width: float,
        *,
        edge: str = "none",
        fill: str = "none",
        thickness: float = 1.0,
        dashed: bool = False,
        hatched: bool = False,
    ) -> None:
        """Draw a rectangle; ``thickness`` in pixels, centred on the border."""
        from matplotlib.patches import Rectangle

        self._axes.add_patch(
            Rectangle(
                (left, top),
                width,
                height,
                edgecolor=edge,
                facecolor=fill,
                linewidth=thickness * 72 / _DPI,
                linestyle=(0, (3, 1.6)) if dashed else "-",
                hatch="//////" if hatched else None,
                joinstyle="miter",
            )
        )

    def rule(
        self, y: float, left: float, right: float, color: str, *, dashed: bool = False
    ) -> None:
        """Draw a level line of one pixel."""
        style = (0, (4, 3)) if dashed else "-"
        self._axes.plot([left, right], [y, y], color=color, linewidth=72 / _DPI, linestyle=style)

    def text(
        self,
        content: str,
        y: float,
        x: float,
        *,
        size: float = 14,
        color: str = INK,
        bold: bool = False,
        align: str = "left",
    ) -> None:
        """Write one line, its middle at height ``y``; ``size`` in pixels."""
        self._axes.text(
            x,
            y + 0.36 * size,
            content,
            fontsize=size * 72 / _DPI,
            color=color,
            fontweight="bold" if bold else "normal",
            horizontalalignment=align,
            verticalalignment="baseline",
            parse_math=False,
        )

    def heading(self, heading: Heading) -> None:
        """Write title and explanation at the top."""
        self._title = " ".join(heading.title)
        y = MARGIN
        for line in heading.title:
            self.text(line, y + 8, MARGIN, size=TITLE_SIZE, bold=True)
            y += TITLE_LINE
        y += 8
        for line in heading.explanation:
            self.text(line, y + 6, MARGIN, color=GREY)
            y += BODY_LINE

    def share_bar(self, share: float, top: float, left: float, height: float, width: float) -> None:
        """Draw a bar whose blue part is ``share`` in [0, 1], the rest hatched in orange."""
        self.box(top, left, height, width, edge=VERMILLION, fill=PALE_VERMILLION, hatched=share < 1)
        if share > 0:
            self.box(top, left, height, width * share, edge=BLUE, fill=BLUE)

    def save(self, path: str | Path) -> Path:
        """Write the sheet as a PNG, or as an HTML page that shows the same; make its folder.

        Raises:
            ValueError: the name ends neither in ``.png`` nor in ``.html``.
        """
        check_kind(path)
        # behind everything and without resampling: matplotlib 3.10's imshow is a pixel off here
        self._figure.figimage(self._pixels, origin="upper", zorder=-1)
        self._axes.set_xlim(0, self.width)
        self._axes.set_ylim(self.height, 0)
        return save_figure(self._figure, path, self._title)
