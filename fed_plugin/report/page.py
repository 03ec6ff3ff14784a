"""The report as an HTML page and as Markdown, from the templates of this folder."""

from __future__ import annotations

import html
import json
import re
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from tabulate import tabulate

from fed_plugin.report import curves, grids
from fed_plugin.report.contents import Report
from fed_plugin.report.failures import data_uri
from fed_plugin.report.grids import Cell, Grid
from fed_plugin.visualization.canvas import printable
from fed_plugin.visualization.lines import panel_svg, swatch_svg


def as_page(report: Report) -> str:
    """Return one page of HTML without a script that loads nothing from anywhere."""
    return html_environment().get_template("report.html.j2").render(report=report)


def curves_page(figure: curves.Figure) -> str:
    """Return a page of HTML with one figure of training curves."""
    return html_environment().get_template("curves.html.j2").render(drawn=figure)


def as_markdown(report: Report) -> str:
    """Return the tables and words of the report; figures are in the page."""
    environment = _environment(autoescape=False, finalize=_markdown)
    environment.filters["github"] = _github
    return environment.get_template("report.md.j2").render(report=report)


def html_environment() -> Environment:
    """Return the environment of the HTML templates: every text is escaped."""
    environment = _environment(autoescape=True, finalize=_visible_characters)
    number = count()  # a page holds no id twice
    environment.filters |= {
        "svg": lambda panel: Markup(panel_svg(panel, f"figure {next(number)}")),
        "swatch": lambda style: Markup(swatch_svg(style, f"figure {next(number)}")),
        "data_uri": data_uri,
        "json": json.dumps,
    }
    return environment


def _environment(**settings: Any) -> Environment:
    environment = Environment(
        loader=PackageLoader("fed_plugin.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **settings,
    )
    environment.globals |= {"grids": grids, "curves": curves}
    return environment


def _visible_characters(value: Any) -> Any:
    """Replace control characters of a text; what is markup already has none."""
    return value if isinstance(value, Markup) else printable(str(value))


def _markdown(value: Any) -> str:
    return value if isinstance(value, Markup) else escaped(str(value))


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line, also in a table."""
    text = html.escape(printable(" ".join(text.split())), quote=False)
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", text)


def _github(grid: Grid) -> Markup:
    """Return a grid as a table of Markdown."""
    rows = [[_in_one_line(cell) for cell in row] for row in grid.rows]
    header = list(map(escaped, grid.header))
    return Markup(tabulate(rows, headers=header, tablefmt="github", disable_numparse=True))


def _in_one_line(cell: str | Cell) -> str:
    if isinstance(cell, str):
        return escaped(cell)
    value, *rest = cell.lines
    return " ".join([f"**{value}**" if cell.bold else value, *rest])
