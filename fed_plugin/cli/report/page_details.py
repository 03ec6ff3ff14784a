"""What the page folds away: cards, cells, settings; and the table of costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fed_plugin.cli.costs_table import HEADER
from fed_plugin.cli.report.benchmark_folder import FinishedCell
from fed_plugin.cli.report.costs import Costs
from fed_plugin.cli.report.page_tables import folded, grid
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.provenance import (
    card_lines,
    cell_lines,
    own_settings,
    shared_settings,
)
from fed_plugin.visualization.markup import Markup, element, joined

_TIMES = "Time of the last attempt, training and evaluation, beside whatever else was running."


def table_details(table: Table) -> Markup:
    """Draw the table's protocol cards and its cells."""
    cards = card_lines(table)
    cells = cell_lines(table)
    header = ("method", "seed", "kind", "config or dump", "time", "training", "ended", "machine")
    return joined(
        folded("Protocol card", grid("What was measured, and how", ("field", "value"), cards))
        if cards
        else element("p", "No protocol card: what was measured is not known.", class_="note"),
        folded("Cells: seeds, configs, times", grid("One line per cell", header, cells, _TIMES))
        if cells
        else None,
    )


def settings_details(cells: Sequence[FinishedCell]) -> Markup:
    """Draw the config values that differ from fast-reid's defaults."""
    own = [
        (method, _settings(values) if values else "nothing")
        for method, values in own_settings(cells).items()
    ]
    return folded(
        "Settings",
        grid(
            "What a method sets and not all do",
            ("method", "settings"),
            own[::-1],
            "Config keys that differ from fast-reid's defaults.",
        ),
        element("p", "All methods set:"),
        _settings(shared_settings(cells)) or element("p", "nothing"),
    )


def costs_section(costs: Costs) -> Markup:
    """Draw the table of costs; nothing if there are none."""
    if costs.why_not:
        return joined()
    return element(
        "section",
        element("h2", "Costs"),
        grid("What methods cost", HEADER, costs.lines),
        [element("p", line, class_="note") for line in costs.notes.splitlines()],
    )


def _settings(values: Mapping[str, Any]) -> Markup:
    return joined(
        [
            element("div", element("code", f"{key}: {json.dumps(value)}"))
            for key, value in sorted(values.items())
        ]
    )
