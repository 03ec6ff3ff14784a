"""Curves as SVG for a page: readable in light and dark, and by readers with any colour vision.

A curve is known by its colour, its marker and, from the eighth on, its dashes. The page's style
sheet sets the colours (``LINE_STYLE``); text takes the page's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fed_plugin.visualization.axis_ticks import log_ticks, round_ticks, tick_words
from fed_plugin.visualization.line_looks import COLORS, DASHES, SHAPES
from fed_plugin.visualization.markup import Markup, element, joined

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
