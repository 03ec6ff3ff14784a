"""Sheets measured in pixels: pictures, boxes and words, saved as a PNG or an HTML page."""

from __future__ import annotations

import html
import io
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import write_file

# Room for words on a sheet; all lengths in pixels.

MARGIN = 24
BODY_LINE = 19
TITLE_SIZE, TITLE_LINE = 20, 27
_LETTER, _BOLD_LETTER = 0.57, 0.66  # mean width over size in DejaVu Sans, rounded up


def wrap(text: str, width: float, size: float = 14) -> list[str]:
    """Break a text of letters of ``size`` pixels into lines that fit ``width`` pixels."""
    return textwrap.wrap(text, max(12, int(width / (size * _LETTER))))


def shorten(text: str, width: float, size: float = 14) -> str:
    """Cut a text that does not fit ``width`` pixels in bold letters; end it with an ellipsis."""
    letters = max(4, int(width / (size * _BOLD_LETTER)))
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"


@dataclass(frozen=True)
class Heading:
    """Title and explanation of a sheet, in lines that fit the width of the sheet."""

    title: list[str]
    explanation: list[str]

    @classmethod
    def fit(cls, title: str, explanation: str, width: int) -> Heading:
        """Break title and explanation for a sheet of ``width`` pixels."""
        room = width - 2 * MARGIN
        title_lines = wrap(title, room * _LETTER / _BOLD_LETTER, TITLE_SIZE)
        return cls(title_lines, wrap(explanation, room))

    @property
    def height(self) -> int:
        """Rows of the heading, with the upper margin."""
        return MARGIN + TITLE_LINE * len(self.title) + 8 + BODY_LINE * len(self.explanation)


# Colours that readers with any colour vision can tell apart.
#
# Source: Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/

BLUE = "#0072B2"  # visible parts, right answers
VERMILLION = "#D55E00"  # covered, wrong; always with hatching, dashes or a cross
PALE_VERMILLION = "#F9E3D6"
INK = "#1A1A1A"
GREY = "#5F5F5F"
PALE_GREY = "#D9D9D9"
PAPER = "#FFFFFF"


# Where a picture goes: a PNG, an SVG, or one HTML page that needs no network.

KINDS = (".png", ".html")
_FONTS = "'DejaVu Sans', Verdana, sans-serif"  # Verdana is as wide
_STYLE = f"""
:root {{ color-scheme: light; }} body {{ margin: 0; background: #ffffff; }}
svg {{ display: block; margin: 0 auto; max-width: 100%; height: auto; }}
svg text {{ font-family: {_FONTS} !important; }}
@media print {{ svg {{ max-width: none; }} }}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head><body><main>{svg}</main></body></html>
"""


def printable(text: str) -> str:
    """Return a text in which U+FFFD replaces control characters."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def check_kind(path: str | Path, flag: str = "", kinds: Sequence[str] = KINDS) -> Path:
    """Return the path of a picture; ``flag`` of the command line gave the path.

    Raises:
        ValueError: The file name ends in none of ``kinds``.
    """
    target = Path(path)
    if target.suffix.lower() not in kinds:
        *others, last = kinds
        expected = f"expected a file name that ends in {', '.join(others)} or {last}"
        raise ValueError(f"{flag} {path}: {expected}".lstrip())
    return target


def save_figure(figure: Any, path: str | Path, title: str, kinds: Sequence[str] = KINDS) -> Path:
    """Write a figure of matplotlib, with size and dpi, atomically; make its folder.

    The ending of the file name chooses the format. The title is that of an HTML page, also for
    screen readers.

    Raises:
        ValueError: The file name ends in none of ``kinds``.
    """
    target = check_kind(path, kinds=kinds)
    kind = target.suffix.lower()
    if kind == ".svg":
        content: str | bytes = _print_svg(figure, {"svg.hashsalt": "fed_plugin"})
    else:
        content = _as_png(figure) if kind == ".png" else _as_page(figure, title)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(target, content)
    return target


def as_svg(figure: Any, label: str, salt: str = "fed_plugin") -> str:
    """Return a figure of matplotlib as an SVG element for a page; its words stay text.

    A screen reader reads the label; it is empty for a picture that repeats words beside it. The
    salt makes ids differ from those of other figures of the page.
    """
    svg = printable(_print_svg(figure, {"svg.fonttype": "none", "svg.hashsalt": salt}))
    opening, _, content = svg[svg.index("<svg") :].partition(">")
    view_box = re.findall(r'viewBox="[^"]*"', opening)[0]
    name = html.escape(printable(label))
    role = f'role="img" aria-label="{name}"' if label else 'aria-hidden="true"'
    title = f"<title>{name}</title>" if label else ""
    # nothing refers to the ids of groups, and a page must not hold an id twice
    content = re.sub(r'<g id="[^"]*">', "<g>", content)
    return f"<svg {_NAMESPACES} {role} {view_box}>{title}{content}"


_NAMESPACES = (
    'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1"'
)


def _print_svg(figure: Any, settings: dict[str, Any]) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    drawn = io.StringIO()
    without = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with rc_context({"font.sans-serif": ["DejaVu Sans"], **settings}):
        FigureCanvasSVG(figure).print_svg(drawn, metadata=without)
    return drawn.getvalue()


def _as_png(figure: Any) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., 2::-1]
    return cv2.imencode(".png", np.ascontiguousarray(drawn))[1].tobytes()


def _as_page(figure: Any, title: str) -> str:
    """Return a page whose words can be searched, copied and enlarged."""
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    svg = as_svg(figure, title).replace("<svg", f'<svg width="{width}" height="{height}"', 1)
    return _PAGE.format(title=html.escape(printable(title)), style=_STYLE, svg=svg)


_DPI = 100
_LARGEST_SIDE = 30_000  # Agg stops at 2**16 pixels, viewers before


class Canvas:
    """Content of one sheet of (height, width) pixels; coordinates are pixels from the top left.

    The first canvas imports matplotlib. A canvas uses no global state of matplotlib.

    Raises:
        ValueError: The sheet is too large for viewers.
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
        # a hundredth of a pixel more: without it, rounding down loses a pixel
        size = ((width + 0.01) / _DPI, (height + 0.01) / _DPI)
        self._figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
        self._axes: Any = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()

    @classmethod
    def with_heading(
        cls, title: str, explanation: str, width: int, height: int
    ) -> tuple[Canvas, int]:
        """Return a sheet with ``height`` rows below its heading, and the first of these rows."""
        heading = Heading.fit(title, explanation, width)
        sheet = cls(heading.height + height, width)
        sheet.heading(heading)
        return sheet, heading.height

    @classmethod
    def with_rows(
        cls, title: str, explanation: str, width: int, height: int, captions: Sequence[str]
    ) -> tuple[Canvas, list[int]]:
        """Return a sheet with a line above every row and a caption below each line.

        ``width`` is that of the sheet and ``height`` that of a row, in pixels. The second value
        holds the upper end of every row.
        """
        sheet, start = cls.with_heading(title, explanation, width, 20 + len(captions) * height)
        tops = [start + 10 + row * height for row in range(len(captions))]
        for caption, top in zip(captions, tops, strict=True):
            sheet.rule(top, MARGIN, width - MARGIN, PALE_GREY)
            sheet.text(shorten(caption, width - 2 * MARGIN), top + 16, MARGIN, bold=True)
        return sheet, tops

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
        """Draw a rectangle with a border of ``thickness`` pixels, centred on the edge."""
        from matplotlib.patches import Rectangle

        border = {"linewidth": thickness * 72 / _DPI, "joinstyle": "miter"}
        border["linestyle"] = (0, (3, 1.6)) if dashed else "-"
        colors = {"edgecolor": edge, "facecolor": fill, "hatch": "//////" if hatched else None}
        self._axes.add_patch(Rectangle((left, top), width, height, **border, **colors))

    def rule(
        self, y: float, left: float, right: float, color: str, *, dashed: bool = False
    ) -> None:
        """Draw a horizontal line of one pixel."""
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
        """Write one line of letters of ``size`` pixels; the middle of the line is at ``y``."""
        weight = "bold" if bold else "normal"
        look = {"fontsize": size * 72 / _DPI, "color": color, "fontweight": weight}
        place = {"horizontalalignment": align, "verticalalignment": "baseline"}
        self._axes.text(x, y + 0.36 * size, content, parse_math=False, **look, **place)

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
        """Draw a bar with a blue part of ``share`` in [0, 1] and a hatched orange rest."""
        self.box(top, left, height, width, edge=VERMILLION, fill=PALE_VERMILLION, hatched=share < 1)
        if share > 0:
            self.box(top, left, height, width * share, edge=BLUE, fill=BLUE)

    def save(self, path: str | Path) -> Path:
        """Write the sheet as a PNG, or as an HTML page with the same content; make the folder.

        Raises:
            ValueError: The file name ends neither in ``.png`` nor in ``.html``.
        """
        check_kind(path)
        # figimage does not resample; imshow of matplotlib 3.10 is off by one pixel here
        self._figure.figimage(self._pixels, origin="upper", zorder=-1)
        self._axes.set_xlim(0, self.width)
        self._axes.set_ylim(self.height, 0)
        return save_figure(self._figure, path, self._title)


# Cells of a sheet: the pictures of one item side by side, then bars for the visible shares.

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
    """Draw one cell per item: the pictures, then one column of bars per share vector.

    Pictures are (H, W, 3) uint8 RGB, all of one shape. Share vectors are (P,) in [0, 1], 1 =
    visible; none for no bars. The captions stand above the pictures, then above the vectors, and
    ``titles`` above the items; an empty one is not drawn. ``path`` is as for `Canvas.save`.
    """
    parts = len(shares[0][0]) if shares[0] else 1
    height, width = pictures[0][0].shape[:2]
    scale = math.ceil(max(_LEAST_HEIGHT, _LEAST_ROW * parts) / height)
    size = height * scale, width * scale
    drawn_width = len(pictures[0]) * (size[1] + _GAP) + len(shares[0]) * _BARS
    cell_width = max(_LEAST_CELL, drawn_width)
    caption = _CAPTION * (any(titles) + any(captions))
    cell_height = size[0] + caption + _GUTTER // 2
    wide = math.sqrt(1.5 * len(pictures) * cell_height / (cell_width + _GUTTER))
    columns = max(1, min(len(pictures), round(wide)))  # a sheet of about 3 wide to 2 high
    sheet_width = max(_LEAST_WIDTH, 2 * MARGIN + columns * cell_width + (columns - 1) * _GUTTER)
    below = _GAP + math.ceil(len(pictures) / columns) * cell_height + MARGIN // 2
    canvas, start = Canvas.with_heading(title, explanation, sheet_width, below)
    start += _GAP
    for index, (images, vectors) in enumerate(zip(pictures, shares, strict=True)):
        row, column = divmod(index, columns)
        top, left = start + row * cell_height, MARGIN + column * (cell_width + _GUTTER)
        if titles[index]:
            name = shorten(titles[index], cell_width)
            canvas.text(name, top + _CAPTION / 2, left, bold=True)
        _draw_cell(canvas, images, vectors, captions, top + caption, left, size)
    return canvas.save(path)


def _draw_cell(
    canvas: Canvas,
    images: list[NDArray[np.uint8]],
    vectors: list[NDArray[np.float64]],
    captions: list[str],
    top: int,
    left: int,
    size: tuple[int, int],
) -> None:
    height, width = size
    parts = len(vectors[0]) if vectors else 1
    room, x = height / parts, left
    thickness = min(20.0, room * 0.6)
    for image, caption in zip(images, captions, strict=False):
        canvas.text(caption, top - 10, x, size=13, color=GREY)
        canvas.picture(image, top, x, height, width)
        x += width + _GAP
    right = x + len(vectors) * _BARS - _GAP
    for part in range(1, parts):
        y = top + part * room
        canvas.rule(y, x - _GAP - width, x - _GAP, INK)
        canvas.rule(y, x - _GAP - width, x - _GAP, PAPER, dashed=True)
        canvas.rule(y, x - _GAP, right, PALE_GREY)
    for vector, caption in zip(vectors, captions[len(images) :], strict=True):
        canvas.text(caption, top - 10, x, size=13, color=GREY)
        for part, share in enumerate(vector.tolist()):
            y = top + (part + 0.5) * room
            canvas.share_bar(share, y - thickness / 2, x, thickness, _BAR)
            canvas.text(f"{share:.2f}", y, x + _BAR + 5, size=min(14.0, room * 0.9))
        x += _BARS


# Checks of arguments: shapes, types and ranges.


Shape = tuple[int | str, ...]
"""Lengths of the axes of an array; a letter stands for any length above 0."""


def check_images(name: str, images: Any, shape: Shape = ("N", "H", "W", 3)) -> NDArray[np.uint8]:
    """Return ``images`` as an array, if it has the given shape and is uint8.

    Raises:
        ValueError: The shape or the type differs; the message calls the argument ``name``.
    """
    array = _of_shape(name, np.asarray(images), shape, "uint8 RGB images")
    if array.dtype != np.uint8:
        raise ValueError(
            f"{name}: expected uint8 in 0..255, got {array.dtype}; "
            "undo the normalisation and cast before drawing"
        )
    return array


def check_shares(name: str, values: Any, shape: Shape) -> NDArray[np.float64]:
    """Return ``values`` as float64, if they have the given shape and are in [0, 1].

    Raises:
        ValueError: The shape differs, or a value is outside [0, 1] or not finite.
    """
    array = _of_shape(name, np.asarray(values, np.float64), shape, "visibilities in [0, 1]")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(
            f"{name}: expected visibilities in [0, 1], got {array.min():.3g} to {array.max():.3g}"
        )
    return array


def check_booleans(name: str, values: Any, shape: Shape, meaning: str) -> NDArray[np.bool_]:
    """Return ``values``, if they are booleans of the given shape; errors are as in `check_images`.

    The ``meaning`` of a true value is for the message.
    """
    array = _of_shape(name, np.asarray(values), shape, f"booleans, true where {meaning}")
    if array.dtype != np.bool_:
        raise ValueError(f"{name}: expected booleans, got {array.dtype}")
    return array


def check_scores(name: str, values: Any, shape: Shape) -> NDArray[np.float64]:
    """Return ``values`` as float64, if they have the given shape, else raise ValueError."""
    return _of_shape(name, np.asarray(values, np.float64), shape, "scores")


def check_titles(titles: Sequence[str] | None, count: int) -> list[str]:
    """Return one title per item; empty titles for None.

    Raises:
        ValueError: The number of titles is not ``count``.
    """
    if titles is None:
        return [""] * count
    if isinstance(titles, str) or len(titles) != count:
        got = "one string" if isinstance(titles, str) else str(len(titles))
        raise ValueError(f"titles: expected {count}, one per row of images, got {got}")
    return [str(title) for title in titles]


def _of_shape(name: str, array: NDArray[Any], shape: Shape, what: str) -> NDArray[Any]:
    fits = array.ndim == len(shape)
    for wanted, length in zip(shape, array.shape, strict=False):
        fits = fits and (wanted == length if isinstance(wanted, int) else length > 0)
    if not fits:
        expected = f"({', '.join(map(str, shape))}) {what}, none of them empty"
        raise ValueError(f"{name}: expected {expected}, got shape {array.shape}")
    return array
