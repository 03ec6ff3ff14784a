"""The files of a report: HTML and Markdown from the templates of this folder, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import to_builtins
from tabulate import tabulate

from fed_plugin.files import check_writable, write_file
from fed_plugin.report import curves, grids
from fed_plugin.report.contents import Report
from fed_plugin.report.failures import data_uri
from fed_plugin.report.grids import ROW_COLUMNS, Cell, Grid
from fed_plugin.report.tables import COLUMNS, Row
from fed_plugin.retrieval.estimates import Estimate, csv_cell, escaped
from fed_plugin.visualization.canvas import printable
from fed_plugin.visualization.lines import panel_svg, swatch_svg

FORMAT = "fed_plugin.report/1"


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``report.md``, ``.csv``, ``.json`` and ``.html``; make the folder, return the paths.

    Raises:
        NotADirectoryError: ``folder`` is a file.
        IsADirectoryError: A folder has the name of one of the files; no file is written.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file; expected a folder to write to, try --out")
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.md": as_markdown(report),
        "report.csv": as_csv(report),
        "report.json": json.dumps(as_json(report), indent=1, allow_nan=False) + "\n",
        "report.html": as_page(report),
    }
    for name in texts:
        check_writable(folder / name)
    for name, text in texts.items():
        write_file(folder / name, text)
    return [folder / name for name in texts]


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
    }
    return environment


def _environment(**settings: Any) -> Environment:
    settings |= {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=PackageLoader("fed_plugin.report"), **settings)
    environment.globals |= {"grids": grids, "curves": curves}
    return environment


def _visible_characters(value: Any) -> Any:
    """Replace control characters of a text; what is markup already has none."""
    return value if isinstance(value, Markup) else printable(str(value))


def _markdown(value: Any) -> str:
    return value if isinstance(value, Markup) else escaped(printable(str(value)))


def _github(grid: Grid) -> Markup:
    rows = [[printable(_in_one_line(cell)) for cell in row] for row in grid.cells]
    header = list(map(escaped, grid.header))
    return Markup(tabulate(rows, headers=header, tablefmt="github", disable_numparse=True))


def _in_one_line(cell: Cell) -> str:
    value, *rest = map(escaped, cell.lines) if cell.escape else cell.lines
    return " ".join([f"**{value}**" if cell.bold else value, *rest])


def as_json(report: Report) -> dict[str, Any]:
    """Return all numbers, as JSON has them."""
    return {
        "format": FORMAT,
        "plan": report.benchmark.plan,
        "measured": report.benchmark.written.isoformat(timespec="seconds"),
        "written": report.written.isoformat(timespec="seconds"),
        "written_by": report.written_by,
        "missing": list(report.missing),
        "costs": to_builtins(report.costs),
        "tables": [
            {
                "dataset": one.table.dataset,
                "apart": list(one.table.apart),
                "baseline": one.table.baseline,
                "intervals_draw": "people" if one.table.by_people else "queries",
                "rows": [_row_as_json(row) for row in one.table.rows],
                "robustness": curves.robustness_as_json(one.robustness),
                "visible": curves.visible_share_as_json(one.visible),
            }
            for one in report.tables
        ],
    }


def _row_as_json(row: Row) -> dict[str, Any]:
    about = {column.name: column.cell(row) for column in ROW_COLUMNS}
    metrics = {name: {"mean": one.value, **_ends(one)} for name, one in row.numbers.items()}
    gaps = {}
    for name, one in row.gaps.items():
        test = {"p_value": one.p, "seeds": list(row.shared), "excludes_zero": one.excludes_zero}
        gaps[name] = {"value": one.value, **_ends(one), **test}
    return {**about, "metrics": metrics, "differences": gaps}


def _ends(one: Estimate) -> dict[str, float | None]:
    return {name: getattr(one, name) for name in ("lowest", "highest", "low", "high")}


def as_csv(report: Report) -> str:
    """Return a line per table, method and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = ["dataset", "table", "apart", *(column.name for column in ROW_COLUMNS), "metric"]
    head += ["mean", "seeds_lowest", "seeds_highest", "low", "high", "baseline"]
    head += ["difference", "difference_low", "difference_high", "p_value"]
    writer.writerow([*head, "difference_seeds_lowest", "difference_seeds_highest"])
    for place, one in enumerate(report.tables, start=1):
        table = one.table
        for row in table.rows:
            cells = [column.cell(row) for column in ROW_COLUMNS]
            cells = [" ".join(map(str, x)) if isinstance(x, list) else x for x in cells]
            about = [table.dataset, place, "; ".join(table.apart), *cells]
            for metric in (*COLUMNS, *table.more_metrics):
                number, gap = row.numbers.get(metric), row.gaps.get(metric)
                values = _fields(number, "value", "lowest", "highest", "low", "high")
                values.append(table.baseline if gap else "")
                values += _fields(gap, "value", "low", "high", "p", "lowest", "highest")
                writer.writerow(map(csv_cell, [*about, metric, *values]))
    return text.getvalue()


def _fields(one: Estimate | None, *names: str) -> list[Any]:
    return [getattr(one, name, None) for name in names]
