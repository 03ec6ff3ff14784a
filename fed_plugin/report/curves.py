"""Curves of a table: CMC, and training from the host's metrics files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.tables import Row
from fed_plugin.visualization.line_figure import Curve, Panel

LONGEST_CMC = 50
MOST_BANDS = 5
TRAINING = "metrics.json"
_ITERATION, _TOTAL, _RATE = "iteration", "total_loss", "lr"


def cmc(row: Row) -> NDArray[np.float64]:
    """Return (K,) shares of queries, in per cent, with a right answer among the first 1, 2, ... K.

    Args:
        row: with finished cells; the curve is the mean over them.
    """
    ranks = np.arange(LONGEST_CMC)
    hits = [cell.result.queries.first_hits for cell in row.cells]
    return np.mean([100 * (one[:, None] <= ranks).mean(axis=0) for one in hits], axis=0)


def cmc_panel(table: Table, styles: Mapping[str, int]) -> Panel | None:
    """Draw the CMC of every method of a table; None if none is finished."""
    ranks = list(range(1, LONGEST_CMC + 1))
    curves = [
        Curve(row.method, styles[row.method], ranks, cmc(row).tolist())
        for row in table.rows
        if row.cells
    ]
    return Panel("Right answer found, %", "among the first k", curves, True) if curves else None


def training_panels(table: Table, styles: Mapping[str, int]) -> list[Panel]:
    """Draw every loss and the learning rate that a table's cells logged, a line per seed."""
    runs = [
        (row.method, read_training(path))
        for row in table.rows
        for cell in row.cells
        if cell.kind == "trained" and (path := cell.file(TRAINING))
    ]
    names = dict.fromkeys(name for _, run in runs for name in run)
    losses = sorted(name for name in names if name.startswith("loss"))
    panels = []
    for name in (_TOTAL, *losses, _RATE):
        curves = [
            Curve(method, styles[method], *zip(*run[name], strict=True))
            for method, run in runs
            if run.get(name)
        ]
        if curves:
            panels.append(Panel(_title(name), "iteration", curves))
    return panels


def with_few_bands(panels: Sequence[Panel], kept: Sequence[str]) -> list[Panel]:
    """Return panels of many curves with the bands of some methods alone, so that lines are seen.

    Args:
        panels: of a figure.
        kept: methods that keep their bands.
    """
    if not too_many_bands(panels):
        return list(panels)
    return [
        replace(
            panel,
            curves=[
                curve if curve.label in kept else replace(curve, low=(), high=())
                for curve in panel.curves
            ],
        )
        for panel in panels
    ]


def too_many_bands(panels: Sequence[Panel]) -> bool:
    """Whether a panel has more curves than bands can be told apart."""
    return any(len(panel.curves) > MOST_BANDS for panel in panels)


def split_panels(panels: Sequence[Panel]) -> tuple[list[Panel], list[Panel]]:
    """Return the sum of losses and the learning rate, and the single losses."""
    titles = {_title(_TOTAL), _title(_RATE)}
    shown = [panel for panel in panels if panel.title in titles]
    rest = [panel for panel in panels if panel.title not in titles]
    return (shown, rest) if shown else (rest, [])


def read_training(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Read the host's metrics file: a JSON object per line, the last one perhaps cut off.

    What a resumed training logged again counts in its last version.

    Returns:
        (iteration from 1 on, value) by name, for losses and the learning rate.
    """
    found: dict[str, dict[float, float]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            iteration = entry[_ITERATION] + 1
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        for name, value in entry.items():
            if not (name == _RATE or "loss" in name) or not isinstance(value, (int, float)):
                continue
            if math.isfinite(value):
                found.setdefault(name, {})[iteration] = float(value)
    return {name: sorted(values.items()) for name, values in found.items()}


def styles_of(tables: Sequence[Table]) -> dict[str, int]:
    """Return the style that a method has in all figures of a data set."""
    methods = dict.fromkeys(row.method for table in tables for row in table.rows)
    return {method: style for style, method in enumerate(methods)}


def _title(name: str) -> str:
    return {_TOTAL: "total loss", _RATE: "learning rate"}.get(name, name.replace("_", " "))
