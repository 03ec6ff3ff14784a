"""Figures of the page, and the words below them."""

from __future__ import annotations

from collections.abc import Mapping

from fed_plugin.cli.report.curves import cmc_panel, training_panels
from fed_plugin.cli.report.protocols import Table
from fed_plugin.visualization.line_figure import line_figure
from fed_plugin.visualization.markup import Markup, element, joined


def cmc_figure(table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw the table's CMC curves."""
    panel = cmc_panel(table, styles)
    if panel is None:
        return joined()
    caption = (
        "Cumulative matching: the share of queries with a right answer among the first k gallery "
        "images, mean over seeds. Ranks grow by factors."
    )
    return joined(element("h3", "CMC"), line_figure([panel], caption))


def training_figure(table: Table, styles: Mapping[str, int]) -> Markup:
    """Draw what the trainings logged."""
    panels = training_panels(table, styles)
    if not panels:
        return joined()
    caption = (
        "What fast-reid logged while training, a line per seed. Losses of different methods are "
        "sums of different terms: that one is lower says nothing."
    )
    return joined(element("h3", "Training"), line_figure(panels, caption))
