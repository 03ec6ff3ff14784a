"""Panels of lines as a picture file: one legend, a band around a line that has an interval."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fed_plugin.visualization.lettering import wrap
from fed_plugin.visualization.line_figure import Curve, Panel
from fed_plugin.visualization.palette import GREY, INK, PALE_GREY
from fed_plugin.visualization.picture_file import write_whole

KINDS = (".png", ".svg")
Dress = Callable[[Any, Panel, bool, bool], None]
"""``dress(axes, panel, first, last)`` writes a panel's words: of a row's first, a column's last."""
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", INK)
_MARKERS = ("o", "s", "^", "D", "v", "X", "P")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_MARKS = 12  # of a curve at most
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
