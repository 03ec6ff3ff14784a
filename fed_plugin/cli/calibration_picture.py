"""A calibration as a picture: what was said beside what was true, and what refusing costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

KINDS = (".png", ".svg")


def check_picture(path: str | None) -> None:
    """Refuse a file name that no picture can have.

    Raises:
        ValueError: it ends neither in ``.png`` nor in ``.svg``.
    """
    if path and Path(path).suffix.lower() not in KINDS:
        raise ValueError(f"--picture {path}: expected a file name that ends in .png or .svg")


def draw_trial(tried: dict[str, Any], path: str, name: str) -> Path:
    """Draw what ``fit_and_try`` found.

    Args:
        tried: its record.
        path: ``.png`` or ``.svg``.
        name: of the checkpoint.
    """
    from fed_plugin.visualization.line_figure import Curve, Panel
    from fed_plugin.visualization.training_figure import training_figure

    bins = [row for row in tried["reliability"] if row["pairs"]]
    ends = (0.0, 100.0)
    said, true = ([100 * row[key] for row in bins] for key in ("said", "true"))
    panels = [
        Panel(
            "How often the pair was one person, %",
            "probability that was said, %",
            [Curve("pairs of people not seen", 0, said, true), Curve("said = true", 1, ends, ends)],
        )
    ]
    rows = [row for row in tried["refusals"] if row["rank1"] is not None]
    if rows:
        refused, rest = ([100 * row[key] for row in rows] for key in ("refused", "rank1"))
        curves = [Curve("Rank-1 of the rest", 2, refused, rest)]
        lost = [row for row in rows if row["refused_right"] is not None]
        if lost:
            points = ([100 * row[key] for row in lost] for key in ("refused", "refused_right"))
            curves.append(Curve("Rank-1 of the refused", 3, *points))
        panels.append(Panel("Right first answers, %", "queries refused by visibility, %", curves))
    counts = tried["tried"]
    return training_figure(
        panels,
        path,
        f"{name}: what a similarity means",
        f"Tried on {counts['pairs']} pairs of {counts['people']} people, {counts['right_pairs']} "
        f"of them right, that the curve was not fitted on; matching {tried['matching']}.",
    )
