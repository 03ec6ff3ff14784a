"""Panels of curves: as SVG for a page, or as one picture file with a legend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from fed_plugin.visualization.canvas import (
    GREY,
    INK,
    PALE_GREY,
    as_svg,
    check_kind,
    save_figure,
    wrap,
)

COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", "#4A4A4A"),
    *("#332288", "#882255", "#5B7A1E", "#8E5BD0", "#6B3E26", "#DC3220", "#00A3A3"),
)
_MARKERS = ("o", "s", "^", "D", "v", "X", "P", "<", ">", "p", "h", "*", "d", "8")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_SALT = "18965:"  # with it, the names of our own plans ask for different colours
_MARKS = 12  # markers of a curve at most


@dataclass(frozen=True)
class Curve:
    """One line of a panel, with its label in the legend.

    ``style`` is a number from 0 on that chooses colour, marker and dashes, see `styles_of`; ``x``
    ascends or descends; ``low`` and ``high`` are ends of intervals, as many as ``x``, or empty.
    """

    label: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One system of axes with at least one curve, each of at least one point.

    The x axis is logarithmic if ``log_x``; the largest x is at the left if ``falling_x``.
    """

    title: str
    x_label: str
    curves: Sequence[Curve]
    log_x: bool = False
    falling_x: bool = False


def _draw_panel(axes: Any, panel: Panel) -> dict[int, Any]:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    lines = {}
    for curve in panel.curves:
        look, every = _look(curve.style), max(1, -(-len(curve.x) // _MARKS))
        (lines[curve.style],) = axes.plot(curve.x, curve.y, markevery=every, **look)
        if curve.low:
            band = {"color": look["color"], "alpha": 0.13, "linewidth": 0}
            axes.fill_between(curve.x, curve.low, curve.high, **band)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if panel.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    if panel.falling_x:
        axes.invert_xaxis()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))
    axes.grid(color=PALE_GREY, linewidth=0.6)
    axes.tick_params(labelsize=8.5, colors=GREY, bottom=False, left=False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GREY)
    return lines


def styles_of(methods: Iterable[str]) -> dict[str, int]:
    """Return the style of every method, the same in all figures of a benchmark.

    The name of a method asks for a colour, in every benchmark the same. If an earlier method has
    the colour, the next free one is taken. A method that is added at the end of a plan therefore
    changes no colour, and seldom does one that is added elsewhere.
    """
    styles: dict[str, int] = {}
    for method in methods:
        name = _SALT + method.replace("_", " ")  # as folders of a benchmark have no blanks
        wanted = int.from_bytes(sha256(name.encode()).digest()[:4])
        free = (
            dashes * len(COLORS) + (wanted + step) % len(COLORS)
            for dashes in range(len(_DASHES))
            for step in range(len(COLORS))
        )
        taken = set(styles.values())
        if method not in styles:
            styles[method] = next((one for one in free if one not in taken), len(styles))
    return styles


def _look(style: int) -> dict[str, Any]:
    """Return how matplotlib draws a style: 42 styles differ, the first 14 without dashes."""
    return {
        "color": COLORS[style % len(COLORS)],
        "marker": _MARKERS[style % len(_MARKERS)],
        "linestyle": _DASHES[style // len(COLORS) % len(_DASHES)],
        "linewidth": 1.7,
        "markersize": 4.5,
    }


def tick_label(value: float) -> str:
    """Return a number in few characters: "12k" for 12,000, "5e-4" for 0.0005."""
    value = round(value, 12)
    if 0 < abs(value) < 0.01:
        mantissa, _, power = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"


# SVG for a page: the style sheet of the page sets the colours, therefore light and dark both work.

_VARIABLES = {INK: "--ink", GREY: "--soft", PALE_GREY: "--line"} | {
    color: f"--s{number}" for number, color in enumerate(COLORS, start=1)
}
_COLOR = re.compile("|".join(_VARIABLES), re.IGNORECASE)
_WIDTH, _HEIGHT = 360, 250


def panel_svg(panel: Panel, salt: str = "panel") -> str:
    """Return one panel as an SVG element without a legend, in colours of the page.

    The salt makes ids differ from those of other elements of the page.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
    figure.patch.set_visible(False)
    axes = figure.add_axes((50 / _WIDTH, 40 / _HEIGHT, 300 / _WIDTH, 184 / _HEIGHT))
    axes.patch.set_visible(False)
    for line in _draw_panel(axes, panel).values():
        line.set_clip_on(False)  # markers at the edge stay whole
    ticks = axes.yaxis.get_major_locator().tick_values(*axes.dataLim.intervaly)
    axes.set_ylim(ticks[0], ticks[-1])
    axes.tick_params(labelsize=12, labelcolor=INK)
    axes.set_xlabel(panel.x_label, fontsize=12, color=GREY, parse_math=False)
    words = {"fontsize": 12, "fontweight": "bold", "color": INK, "va": "top", "parse_math": False}
    figure.text(8 / _WIDTH, 1 - 6 / _HEIGHT, panel.title, **words)
    ends = [f"{one.label} from {one.y[0]:.4g} to {one.y[-1]:.4g}" for one in panel.curves]
    label = f"{panel.title} by {panel.x_label}: {'; '.join(ends)}"
    return _in_page_colors(as_svg(figure, label, salt))


def swatch_svg(style: int, salt: str = "swatch") -> str:
    """Return the piece of a line for the legend of a page; ``salt`` as in `panel_svg`."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(36 / 72, 12 / 72), dpi=72)
    figure.patch.set_visible(False)
    figure.add_artist(Line2D((0.03, 0.5, 0.97), (0.5, 0.5, 0.5), markevery=[1], **_look(style)))
    return _in_page_colors(as_svg(figure, "", salt))


def _in_page_colors(svg: str) -> str:
    """Replace the colours of this module by the variables of the page, in tags alone."""

    def in_tag(tag: re.Match[str]) -> str:
        return _COLOR.sub(lambda color: f"var({_VARIABLES[color[0].upper()]})", tag[0])

    return re.sub(r'style="[^"]*"(?=[^<>]*>)', in_tag, svg)


# One picture file: rows of panels with one legend at the right.

KINDS = (".png", ".svg")
Dress = Callable[[Any, Panel, bool, bool], None]
"""``dress(axes, panel, first, last)`` writes a panel's words: of a row's first, a column's last."""
_PANEL_WIDTH, _PANEL_HEIGHT = 4.3, 3.0  # inches
_DPI = 130


def line_sheet(
    panels: Sequence[Sequence[Panel | None]],
    path: str | Path,
    title: str,
    explanation: str,
    dress: Dress,
    *,
    one_scale: bool = False,
) -> Path:
    """Draw rows of panels with one legend, as ``.png`` or ``.svg``; make the folder.

    Styles have their own colour and marker and, from the fifteenth on, their own dashes. The legend
    has the order of the curves at their right ends, the highest first. The rows have one length,
    with None where a row has fewer panels. ``dress`` is called for every panel. With ``one_scale``
    the panels of a row share the y axis, and all panels the x axis.

    Raises:
        ValueError: There is no panel, the rows differ in length, or the path has another ending.
    """
    check_kind(path, kinds=KINDS)
    if not panels or len({len(row) for row in panels}) != 1 or not panels[0]:
        raise ValueError(f"expected rows of panels of one length, got {list(map(len, panels))}")
    return save_figure(_draw(panels, title, explanation, dress, one_scale), path, title, KINDS)


def _draw(
    panels: Sequence[Sequence[Panel | None]],
    title: str,
    explanation: str,
    dress: Dress,
    one_scale: bool,
) -> Any:
    from matplotlib.figure import Figure

    rows, columns = len(panels), len(panels[0])
    curves = {c.style: c for row in reversed(panels) for p in reversed(row) if p for c in p.curves}
    legend_width = 0.85 + 0.085 * max(len(curve.label) for curve in curves.values())
    width = columns * _PANEL_WIDTH + legend_width
    lines = wrap(explanation, width * 100, 14)
    head = 0.45 + 0.2 * len(lines)
    height = rows * _PANEL_HEIGHT + head
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
    top = {"va": "top", "parse_math": False}
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", **top)
    figure.text(0.012, 1 - 0.4 / height, "\n".join(lines), fontsize=9, color=GREY, **top)
    share = {"sharex": one_scale, "sharey": "row" if one_scale else False}
    axes = figure.subplots(rows, columns, squeeze=False, **share)
    figure.subplots_adjust(
        left=0.62 / width,
        right=1 - legend_width / width,
        top=1 - (head + 0.25) / height,
        bottom=0.52 / height,
        wspace=0.08 if one_scale else 0.2,
        hspace=0.28,
    )
    drawn: dict[int, Any] = {}
    for y, row in enumerate(panels):
        for x, panel in enumerate(row):
            if panel is None:
                axes[y][x].remove()
                continue
            drawn = _draw_panel(axes[y][x], panel) | drawn
            dress(axes[y][x], panel, x == 0, y == rows - 1 or panels[y + 1][x] is None)
    at_right = {style: max(zip(one.x, one.y, strict=True))[1] for style, one in curves.items()}
    ordered = sorted(curves, key=at_right.__getitem__, reverse=True)
    legend = figure.legend(
        [drawn[style] for style in ordered],
        [curves[style].label for style in ordered],
        loc="upper left",
        bbox_to_anchor=(1 - (legend_width - 0.1) / width, 1 - (head + 0.2) / height),
        frameon=False,
        fontsize=9.5,
        handlelength=2.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def robustness_figure(
    panels: Sequence[Sequence[Panel]], path: str | Path, title: str, explanation: str
) -> Path:
    """Draw curves against the visible share in [0, 1], the panels of a row on one scale.

    The other arguments, the result and the errors are those of `line_sheet`.
    """
    return line_sheet(panels, path, title, explanation, _dress_robustness, one_scale=True)


def _dress_robustness(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    metric, _, kind = panel.title.partition(", ")
    _dress_training(axes, replace(panel, title=kind or metric), first, last)
    if first:
        axes.set_ylabel(f"{metric} (%)", fontsize=10, color=INK)
    ticks = sorted({x for curve in panel.curves for x in curve.x})
    axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.set_ylim(bottom=0)


_COLUMNS = 3


def training_figure(
    panels: Sequence[Panel], path: str | Path, title: str, explanation: str
) -> Path:
    """Draw curves of trainings: a panel per quantity, three in a row, each with its own scale.

    The other arguments, the result and the errors are those of `line_sheet`.
    """
    columns = min(len(panels), _COLUMNS) or 1
    cells = [*panels, *[None] * (-len(panels) % columns)]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return line_sheet(rows, path, title, explanation, _dress_training)


def _dress_training(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    axes.set_title(panel.title, fontsize=10.5, loc="left", color=INK, parse_math=False)
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
