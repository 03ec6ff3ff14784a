"""Curves against the visible share as a picture file: a line per method, a band around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.visualization.line_figure import Panel
from fed_plugin.visualization.line_sheet import line_sheet
from fed_plugin.visualization.palette import INK


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
    return line_sheet(panels, path, title, explanation, _dress, one_scale=True)


def _dress(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    name, _, of = panel.title.partition(", ")
    axes.set_title(of or name, fontsize=10.5, loc="left", color=INK)
    if first:
        axes.set_ylabel(f"{name} (%)", fontsize=10, color=INK)
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
    ticks = sorted({x for curve in panel.curves for x in curve.x})
    axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axes.set_ylim(bottom=0)
