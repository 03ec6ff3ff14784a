"""Curves of trainings as a picture file: a panel per quantity, a line per run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fed_plugin.visualization.line_figure import Panel
from fed_plugin.visualization.line_sheet import line_sheet
from fed_plugin.visualization.palette import INK

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
    return line_sheet(rows, path, title, explanation, _dress)


def _dress(axes: Any, panel: Panel, first: bool, last: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(panel.title, fontsize=10.5, loc="left", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if last:
        axes.set_xlabel(panel.x_label, fontsize=10, color=INK)
