"""Panels of lines as a picture file: one legend, a band around a line that has an interval."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.visualization.canvas import (
    GREY,
    INK,
    PALE_GREY,
    Markup,
    element,
    joined,
    wrap,
    write_whole,
)

# Where an axis has its ticks, and how numbers are written at them.


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from ``low`` or below to ``high`` or above, in equal steps.

    Args:
        low: smallest value that is shown.
        high: largest one; may equal ``low``.
        most: steps at most.
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 2.5, 5, 10, 20) if span / (s * power) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the 1, 2 and 5 times powers of ten between two numbers above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def tick_words(ticks: Sequence[float]) -> list[str]:
    """Return the ticks in few characters: "12k" from 10,000 on, "5e-4" below 0.01."""
    largest = max(map(abs, ticks))
    if largest >= 10_000:
        return [f"{tick / 1000:g}k" if tick else "0" for tick in ticks]
    if 0 < largest < 0.01:
        return [_as_power(tick) if tick else "0" for tick in ticks]
    return [f"{tick:.6g}" for tick in ticks]


def _as_power(value: float) -> str:
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"


# How curves of a page are told apart: colours, dashes, markers, and the style sheet for them.

COLORS = 7
DASHES = (None, "7 3", "2 3")
SHAPES = (
    "M-3.5 0A3.5 3.5 0 1 0 3.5 0A3.5 3.5 0 1 0 -3.5 0",
    "M-3.2 -3.2H3.2V3.2H-3.2Z",
    "M0 -4.2L4 3H-4Z",
    "M0 -4.5L4.5 0L0 4.5L-4.5 0Z",
    "M0 4.2L4 -3H-4Z",
    "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5",
    "M-4.5 0H4.5M0 -4.5V4.5",
)

LINE_STYLE = """
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr));
  gap: 0.8rem; }
.panels.pairs { grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.panels svg { width: 100%; max-width: 27rem; height: auto; display: block; overflow: visible; }
svg text { fill: var(--ink); font-size: 12px; } svg .unit { fill: var(--soft); }
svg .axis { stroke: var(--soft); } svg .rule { stroke: var(--line); }
.curve polyline, .curve path { fill: none; stroke: currentColor; stroke-width: 1.8; }
.curve path { stroke-width: 1.4; } .curve .band { fill: currentColor; opacity: 0.14; }
.legend { list-style: none; padding: 0; margin: 0.4rem 0; display: flex; flex-wrap: wrap;
  gap: 0.2rem 1.2rem; font-size: 0.85rem; }
.legend svg { width: 36px; height: 12px; margin-right: 0.35rem; vertical-align: middle; }
""" + "".join(f".c{n} {{ color: var(--s{n}); }} " for n in range(1, COLORS + 1))


# Curves as SVG for a page: readable in light and dark, and by readers with any colour vision.
#
# A curve is known by its colour, its marker and, from the eighth on, its dashes. The page's style
# sheet sets the colours (``LINE_STYLE``); text takes the page's.

_MARKS = 12  # of a curve at most
_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 26, 40


@dataclass(frozen=True)
class Curve:
    """Hold a line of a panel.

    Args:
        label: in the legend.
        style: number from 0 on that chooses colour, marker and dashes: the same for the same
            method in every panel.
        x: ascending or falling.
        y: as many.
        low: lower ends of intervals, as many; empty for none.
        high: upper ends.
    """

    label: str
    style: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """Hold one system of axes.

    Args:
        title: above it.
        x_label: below it.
        curves: at least one, each of at least one point.
        log_x: whether x grows by factors.
        falling_x: whether the largest x stands left.
    """

    title: str
    x_label: str
    curves: Sequence[Curve]
    log_x: bool = False
    falling_x: bool = False


def line_figure(panels: Sequence[Panel], caption: str) -> Markup:
    """Draw panels with one legend.

    Args:
        panels: at least one.
        caption: what is shown, below.
    """
    styles = {c.style: c.label for panel in panels for c in panel.curves}
    legend = [
        element("li", element("span", _swatch(style), class_=_color(style)), label)
        for style, label in sorted(styles.items())
    ]
    return element(
        "figure",
        element(
            "div",
            [draw_panel(panel) for panel in panels],
            class_="panels pairs" if len(panels) in (2, 4) else "panels",
        ),
        element("ul", legend, class_="legend"),
        element("figcaption", caption),
    )


def draw_panel(panel: Panel) -> Markup:
    """Draw one system of axes as SVG."""
    xs = [x for curve in panel.curves for x in curve.x]
    ys = [y for curve in panel.curves for y in (*curve.y, *curve.low, *curve.high)]
    y_ticks = round_ticks(min(ys), max(ys), 5)
    x_ticks = log_ticks(min(xs), max(xs)) if panel.log_x else _inside(min(xs), max(xs))
    across = _scale(
        (max(xs), min(xs)) if panel.falling_x else (min(xs), max(xs)),
        (_LEFT + 6, _WIDTH - _RIGHT - 6),
        panel.log_x,
    )
    up = _scale((y_ticks[0], y_ticks[-1]), (_HEIGHT - _BOTTOM, _TOP))
    label = f"{panel.title} by {panel.x_label}: {'; '.join(map(_in_words, panel.curves))}"
    return element(
        "svg",
        element("title", label),
        element("text", panel.title, x=_LEFT - 38, y=14, font_weight="600"),
        _axes(x_ticks, y_ticks, across, up),
        element(
            "text",
            panel.x_label,
            class_="unit",
            x=(_LEFT + _WIDTH - _RIGHT) / 2,
            y=_HEIGHT - 6,
            text_anchor="middle",
        ),
        [_draw_curve(curve, across, up) for curve in panel.curves],
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=label,
    )


def _axes(
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> Markup:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tick, words in zip(y_ticks, tick_words(y_ticks), strict=True):
        y = _round(up(tick))
        parts.append(element("line", x1=_LEFT, x2=right, y1=y, y2=y, class_="rule"))
        parts.append(element("text", words, x=_LEFT - 6, y=y + 4, text_anchor="end"))
    for tick, words in zip(x_ticks, tick_words(x_ticks), strict=True):
        x = _round(across(tick))
        parts.append(element("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"))
        parts.append(element("text", words, x=x, y=bottom + 17, text_anchor="middle"))
    parts.append(element("line", x1=_LEFT, x2=right, y1=bottom, y2=bottom, class_="axis"))
    return joined(parts)


def _draw_curve(
    curve: Curve, across: Callable[[float], float], up: Callable[[float], float]
) -> Markup:
    points = [(_round(across(x)), _round(up(y))) for x, y in zip(curve.x, curve.y, strict=True)]
    parts = []
    if curve.low:
        low, high = (
            [f"{_round(across(x))},{_round(up(y))}" for x, y in zip(curve.x, ends, strict=True)]
            for ends in (curve.low, curve.high)
        )
        parts.append(element("polygon", points=" ".join([*high, *reversed(low)]), class_="band"))
    line = " ".join(f"{x},{y}" for x, y in points)
    dashes = DASHES[curve.style // COLORS % len(DASHES)]
    parts.append(element("polyline", points=line, stroke_dasharray=dashes))
    step = math.ceil(len(points) / _MARKS)
    parts += [_mark(curve.style, x, y) for x, y in points[::step]]
    return element("g", parts, class_=f"curve {_color(curve.style)}")


def _mark(style: int, x: float, y: float) -> Markup:
    return element("path", d=SHAPES[style % len(SHAPES)], transform=f"translate({x} {y})")


def _swatch(style: int) -> Markup:
    dashes = DASHES[style // COLORS % len(DASHES)]
    line = element("polyline", points="1,6 35,6", stroke_dasharray=dashes)
    return element(
        "svg",
        element("g", line, _mark(style, 18, 6), class_="curve"),
        viewBox="0 0 36 12",
        aria_hidden="true",
    )


def _color(style: int) -> str:
    return f"c{style % COLORS + 1}"


def _scale(
    values: tuple[float, float], pixels: tuple[float, float], log: bool = False
) -> Callable[[float], float]:
    def position(value: float) -> float:
        return math.log(value) if log else value

    start, end = map(position, values)
    span = (end - start) or 1.0

    def pixel(value: float) -> float:
        return pixels[0] + (position(value) - start) / span * (pixels[1] - pixels[0])

    return pixel


def _inside(low: float, high: float) -> list[float]:
    ticks = round_ticks(low, high, 5)
    return [tick for tick in ticks if low <= tick <= high] or [low]


def _in_words(curve: Curve) -> str:
    return f"{curve.label} from {curve.y[0]:.4g} to {curve.y[-1]:.4g}"


def _round(value: float) -> float:
    return round(value, 1)


KINDS = (".png", ".svg")
Dress = Callable[[Any, Panel, bool, bool], None]
"""``dress(axes, panel, first, last)`` writes a panel's words: of a row's first, a column's last."""
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", INK)
_MARKERS = ("o", "s", "^", "D", "v", "X", "P")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_PANEL_WIDTH, _PANEL_HEIGHT = 4.3, 3.0  # inches
_DPI = 130
_WITHOUT_DATE: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".png": {}}


def line_sheet(
    panels: Sequence[Sequence[Panel | None]],
    path: str | Path,
    title: str,
    explanation: str,
    dress: Dress,
    *,
    one_scale: bool = False,
) -> Path:
    """Draw rows of panels with one legend.

    A method is known by its colour, its marker and, from the eighth on, its dashes; the legend has
    them as they end at the right of the first panel that shows them, the highest first.

    Args:
        panels: rows of panels, all of one length, None where a row has fewer.
        path: where it goes, ``.png`` or ``.svg``; folders are made.
        title: heading.
        explanation: below the heading.
        dress: called for every panel.
        one_scale: whether a row shares its y axis and all share x.

    Returns:
        The path.

    Raises:
        ValueError: no panel, rows of several lengths, or a path of another kind.
    """
    target = Path(path)
    if target.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: expected a path that ends in {' or '.join(KINDS)}")
    if not panels or len({len(row) for row in panels}) != 1 or not panels[0]:
        raise ValueError(f"expected rows of panels of one length, got {list(map(len, panels))}")
    from matplotlib import rc_context

    drawn, kind = io.BytesIO(), target.suffix.lower()
    with rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "robustness"}):
        figure = _draw(panels, title, explanation, dress, one_scale)
        figure.savefig(drawn, format=kind[1:], dpi=_DPI, metadata=_WITHOUT_DATE[kind])
    return write_whole(target, drawn.getvalue())


def _draw(
    panels: Sequence[Sequence[Panel | None]],
    title: str,
    explanation: str,
    dress: Dress,
    one_scale: bool,
) -> Any:
    from matplotlib.figure import Figure

    rows, columns = len(panels), len(panels[0])
    known = {c.style: c for row in reversed(panels) for p in reversed(row) if p for c in p.curves}
    legend_width = 0.85 + 0.085 * max(len(curve.label) for curve in known.values())
    width = columns * _PANEL_WIDTH + legend_width
    lines = wrap(explanation, width * 100, 14)
    head = 0.45 + 0.2 * len(lines)
    height = rows * _PANEL_HEIGHT + head
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.012, 1 - 0.12 / height, title, fontsize=13, fontweight="bold", va="top")
    figure.text(0.012, 1 - 0.4 / height, "\n".join(lines), fontsize=9, color=GREY, va="top")
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        sharex=one_scale,
        sharey="row" if one_scale else False,
        gridspec_kw={
            "left": 0.62 / width,
            "right": 1 - legend_width / width,
            "top": 1 - (head + 0.25) / height,
            "bottom": 0.52 / height,
            "wspace": 0.08 if one_scale else 0.2,
            "hspace": 0.28,
        },
    )
    lines_by_style: dict[int, Any] = {}
    for y, row in enumerate(panels):
        for x, panel in enumerate(row):
            if panel is None:
                axes[y][x].remove()
                continue
            drawn = _draw_panel(axes[y][x], panel)
            lines_by_style = drawn | lines_by_style
            last = y == rows - 1 or panels[y + 1][x] is None
            dress(axes[y][x], panel, x == 0, last)
    in_order = sorted(known, key=lambda style: -_value_at_right(known[style]))
    named = {known[style].label: lines_by_style[style] for style in in_order}
    _draw_legend(figure, named, (legend_width - 0.1, head + 0.2))
    return figure


def _draw_legend(figure: Any, named: dict[str, Any], corner: tuple[float, float]) -> None:
    """Draw the legend of lines; ``corner`` in inches from the figure's upper right one."""
    width, height = figure.get_size_inches()
    figure.legend(
        [*named.values()],
        [*named],
        loc="upper left",
        bbox_to_anchor=(1 - corner[0] / width, 1 - corner[1] / height),
        frameon=False,
        fontsize=9.5,
        handlelength=2.6,
    )


def _draw_panel(axes: Any, panel: Panel) -> dict[int, Any]:
    """Draw a panel's curves; return their lines by style."""
    lines = {}
    for curve in panel.curves:
        color = _COLORS[curve.style % len(_COLORS)]
        (lines[curve.style],) = axes.plot(
            curve.x,
            curve.y,
            color=color,
            marker=_MARKERS[curve.style % len(_MARKERS)],
            markevery=max(1, -(-len(curve.x) // _MARKS)),
            linestyle=_DASHES[curve.style // len(_COLORS) % len(_DASHES)],
            linewidth=1.7,
            markersize=4.5,
        )
        if curve.low:
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.13, linewidth=0)
    axes.grid(color=PALE_GREY, linewidth=0.6)
    axes.tick_params(labelsize=8.5, colors=GREY, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GREY)
    return lines


def _value_at_right(curve: Curve) -> float:
    return max(zip(curve.x, curve.y, strict=True))[1]


# Curves against the visible share as a picture file: a line per method, a band around it.


def robustness_figure(
    panels: Sequence[Sequence[Panel]], path: str | Path, title: str, explanation: str
) -> Path:
    """Draw rows of panels, those of a row on one scale, with one legend, the best method first.

    Args:
        panels: rows of panels, all of one length; x is the visible share in [0, 1].
        path: where it goes, ``.png`` or ``.svg``; folders are made.
        title: heading.
        explanation: below the heading.

    Returns:
        The path.

    Raises:
        ValueError: no panel, rows of several lengths, or a path of another kind.
    """
    return line_sheet(panels, path, title, explanation, _dress_robustness, one_scale=True)


def _dress_robustness(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    name, _, of = panel.title.partition(", ")
    axes.set_title(of or name, fontsize=10.5, loc="left", color=INK)
    if first:
        axes.set_ylabel(f"{name} (%)", fontsize=10, color=INK)
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
    ticks = sorted({x for curve in panel.curves for x in curve.x})
    axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.set_ylim(bottom=0)


# Curves of trainings as a picture file: a panel per quantity, a line per run.

_COLUMNS = 3


def training_figure(
    panels: Sequence[Panel], path: str | Path, title: str, explanation: str
) -> Path:
    """Draw panels, three in a row, with one legend.

    Args:
        panels: at least one, each with the scale of its own; the first has all runs.
        path: where it goes, ``.png`` or ``.svg``; folders are made.
        title: heading.
        explanation: below the heading.

    Returns:
        The path.

    Raises:
        ValueError: no panel, or a path of another kind.
    """
    columns = min(len(panels), _COLUMNS) or 1
    missing = -len(panels) % columns
    cells: list[Panel | None] = [*panels, *[None] * missing]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    return line_sheet(rows, path, title, explanation, _dress_training)


def _dress_training(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(panel.title, fontsize=10.5, loc="left", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
