"""The report as one page of HTML that needs no network, no script and no other file."""

from __future__ import annotations

from fed_plugin.cli.report import wording
from fed_plugin.cli.report.contents import DatasetReport, Report
from fed_plugin.cli.report.page_details import costs_section, settings_details, table_details
from fed_plugin.cli.report.page_failures import failures_section
from fed_plugin.cli.report.page_figures import (
    cmc_figure,
    robustness_section,
    training_figure,
    visible_section,
)
from fed_plugin.cli.report.page_style import STYLE
from fed_plugin.cli.report.page_tables import gaps_table, more_metrics, numbers_table
from fed_plugin.visualization.markup import Markup, element, joined

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""


def as_page(report: Report) -> str:
    """Return the whole page."""
    plan = report.benchmark.plan
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{plan}: report"),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        element(
            "header",
            element("h1", plan),
            element(
                "p",
                f"Measured until {report.benchmark.written:%Y-%m-%d %H:%M} UTC. Report of "
                f"{report.written:%Y-%m-%d %H:%M} UTC by {report.written_by}.",
                class_="note",
            ),
        ),
        element(
            "main",
            [_dataset(dataset) for dataset in report.datasets],
            costs_section(report.costs),
            settings_details(report.benchmark.cells),
            _missing(report),
            _small_print(),
        ),
    )
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def _dataset(dataset: DatasetReport) -> Markup:
    parts = []
    for place, table in enumerate(dataset.tables):
        parts.append(element("h2", wording.title(table)))
        if table.apart:
            parts.append(element("p", wording.apart_words(table), class_="warning"))
        parts += [numbers_table(table), gaps_table(table), more_metrics(table)]
        parts += [cmc_figure(table, dataset.styles)]
        parts += [failures_section(dataset.failures[place])]
        parts += [visible_section(dataset.visible[place], table, dataset.styles)]
        parts += [robustness_section(dataset.robustness[place], table, dataset.styles)]
        parts += [training_figure(table, dataset.styles), table_details(table)]
    return element("section", parts)


def _missing(report: Report) -> Markup:
    if not report.missing:
        return joined()
    return element(
        "section",
        element("h2", "What is missing"),
        element("ul", [element("li", sentence) for sentence in report.missing]),
    )


def _small_print() -> Markup:
    return element(
        "section",
        element("h2", "What this does not say"),
        element("ul", [element("li", sentence) for sentence in wording.SMALL_PRINT]),
        class_="note",
    )
