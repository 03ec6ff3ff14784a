"""Curves against the visible share as a picture file: a line per method, a band around it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.visualization.lettering import wrap
from fed_plugin.visualization.line_figure import Curve, Panel
from fed_plugin.visualization.palette import GREY, INK, PALE_GREY

KINDS = (".png", ".svg")
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9", INK)
_MARKERS = ("o", "s", "^", "D", "v", "X", "P")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
_PANEL_WIDTH, _PANEL_HEIGHT = 4.3, 3.0  # inches
_DPI = 130
_WITHOUT_DATE: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".png": {}}


def robustness_figure(
    panels: Sequence[Sequence[Panel]], path: str | Path, title: str, explanation: str
) -> Path:
    """Draw rows of panels, those of a row on one scale, with one legend.

    A method is known by its colour, its marker and, from the eighth on, its dashes; the legend has
    the methods as they end at the right of the first panel, the best one first.

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
    target = Path(path)
    if target.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: expected a path that ends in {' or '.join(KINDS)}")
    if not panels or len({len(row) for row in panels}) != 1 or not panels[0]:
        raise ValueError(f"expected rows of panels of one length, got {list(map(len, panels))}")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _save(panels, title, explanation, unfinished, target.suffix.lower())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _save(
    panels: Sequence[Sequence[Panel]], title: str, explanation: str, path: Path, kind: str
) -> None:
    from matplotlib import rc_context

    with rc_context({"font.family": "DejaVu Sans", "svg.hashsalt": "robustness"}):
        figure = _draw(panels, title, explanation)
        figure.savefig(path, format=kind[1:], dpi=_DPI, metadata=_WITHOUT_DATE[kind])


def _draw(panels: Sequence[Sequence[Panel]], title: str, explanation: str) -> Any:
    from matplotlib.figure import Figure

    rows, columns = len(panels), len(panels[0])
    legend_width = 0.5 + 0.085 * max(len(curve.label) for curve in panels[0][0].curves)
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
        sharex=True,
        sharey="row",
        gridspec_kw={
            "left": 0.62 / width,
            "right": 1 - legend_width / width,
            "top": 1 - (head + 0.25) / height,
            "bottom": 0.52 / height,
            "wspace": 0.08,
            "hspace": 0.28,
        },
    )
    for y, row in enumerate(panels):
        for x, panel in enumerate(row):
            _draw_panel(axes[y][x], panel, first=x == 0, last=y == rows - 1)
    _draw_legend(figure, axes[0][0], panels[0][0], (legend_width - 0.1, head + 0.2))
    return figure


def _draw_legend(figure: Any, axes: Any, panel: Panel, corner: tuple[float, float]) -> None:
    """Draw the legend of a panel; ``corner`` in inches from the figure's upper right one."""
    drawn = zip(panel.curves, axes.get_lines(), strict=True)
    best_first = sorted(drawn, key=lambda pair: -_value_at_right(pair[0]))
    width, height = figure.get_size_inches()
    figure.legend(
        [line for _, line in best_first],
        [curve.label for curve, _ in best_first],
        loc="upper left",
        bbox_to_anchor=(1 - corner[0] / width, 1 - corner[1] / height),
        frameon=False,
        fontsize=9.5,
        handlelength=2.6,
    )


def _draw_panel(axes: Any, panel: Panel, *, first: bool, last: bool) -> None:
    for curve in panel.curves:
        color = _COLORS[curve.style % len(_COLORS)]
        axes.plot(
            curve.x,
            curve.y,
            color=color,
            marker=_MARKERS[curve.style % len(_MARKERS)],
            linestyle=_DASHES[curve.style // len(_COLORS) % len(_DASHES)],
            linewidth=1.7,
            markersize=4.5,
        )
        if curve.low:
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.13, linewidth=0)
    name, _, of = panel.title.partition(", ")
    axes.set_title(of or name, fontsize=10.5, loc="left", color=INK)
    if first:
        axes.set_ylabel(f"{name} (%)", fontsize=10, color=INK)
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
    ticks = sorted({x for curve in panel.curves for x in curve.x})
    axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.grid(color=PALE_GREY, linewidth=0.6)
    axes.tick_params(labelsize=8.5, colors=GREY, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GREY)


def _value_at_right(curve: Curve) -> float:
    return max(zip(curve.x, curve.y, strict=True))[1]
