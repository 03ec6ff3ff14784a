"""The report as Markdown: tables and words; figures and pictures are in the page."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from fed_plugin.costs.command import HEADER
from fed_plugin.files import check_writable, write_atomically
from fed_plugin.report import wording
from fed_plugin.report.contents import Report
from fed_plugin.report.curves import Robustness, Visible
from fed_plugin.report.curves import robustness_as_json as robustness_as_json
from fed_plugin.report.curves import visible_share_as_json as visible_as_json
from fed_plugin.report.page import as_page
from fed_plugin.report.tables import COLUMNS, Gap, Row, Table


def as_markdown(report: Report) -> str:
    """Return tables and words; figures are in the page."""
    benchmark = report.benchmark
    parts = [
        f"# {escaped(benchmark.plan)}",
        f"Measured until {benchmark.written:%Y-%m-%d %H:%M} UTC; report of "
        f"{report.written:%Y-%m-%d %H:%M} UTC by {escaped(report.written_by)}.",
    ]
    told = [
        of_table
        for one in report.datasets
        for of_table in zip(one.tables, one.visible, one.robustness, strict=True)
    ]
    for table, visible, robustness in told:
        parts += [f"## {escaped(wording.title(table))}", escaped(wording.apart_words(table))]
        parts += [_numbers(table), wording.how_read(table)]
        if any(row.gaps for row in table.rows):
            parts += [_gaps(table), escaped(wording.how_gaps_read(table))]
        if visible.bins:
            parts += [_visible(visible)]
        if robustness.rows:
            parts += [_areas(robustness), wording.AREA]
    if report.costs.lines:
        parts += [
            "## Costs",
            _grid(list(HEADER), [list(map(escaped, line)) for line in report.costs.lines]),
        ]
        parts += [escaped(report.costs.notes)]
    if report.missing:
        parts += ["## What is missing", "\n".join(f"- {escaped(one)}" for one in report.missing)]
    parts += ["## What this does not say", "\n".join(f"- {one}" for one in wording.SMALL_PRINT)]
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line, also in a table."""
    text = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]#|~])", r"\\\1", text)


def _numbers(table: Table) -> str:
    lines = []
    for row in table.rows:
        line = [escaped(row.method), wording.seeds_words(row)]
        for metric in COLUMNS:
            number = row.numbers.get(metric)
            spread = number and wording.seeds_range(number, row)
            line.append(
                " ".join(
                    filter(
                        None,
                        (
                            wording.plain(number.mean),
                            f"({spread})" if spread else "",
                            wording.interval(number.low, number.high),
                        ),
                    )
                )
                if number
                else "-"
            )
        lines.append(line)
    return _grid(["method", "seeds", *COLUMNS], lines)


def _gaps(table: Table) -> str:
    lines = []
    for row in table.rows:
        line = [escaped(row.method)]
        for metric in COLUMNS:
            gap = row.gaps.get(metric)
            if gap is None:
                line.append("-")
                continue
            value = wording.signed(gap.value)
            spread = wording.gap_range(gap)
            words = [
                f"**{value}**" if gap.excludes_zero else value,
                wording.interval(gap.low, gap.high, sign=True),
                f"({spread})" if spread else "",
                wording.p_words(gap),
            ]
            line.append(" ".join(filter(None, words)))
        if row.gaps:
            lines.append(line)
    return _grid([f"against {escaped(table.baseline)}", *COLUMNS], lines)


def _visible(visible: Visible) -> str:
    """Render mAP by visible share of the query, and how well visibility is estimated."""
    methods = dict.fromkeys(method for one in visible.bins for method, _ in one.values)
    lines = []
    for method in methods:
        found = [one.values.get((method, "mAP")) for one in visible.bins]
        line = [escaped(method), *(wording.plain(one[0]) if one else "-" for one in found)]
        if visible.estimates:
            estimate = visible.estimates.get(method)
            line.append(f"{estimate[0]:.2f}" if estimate else "-")
        lines.append(line)
    header = ["mAP by visible share (queries)", *(one.words for one in visible.bins)]
    return _grid([*header, *(["visibility r"] if visible.estimates else [])], lines)


def _areas(robustness: Robustness) -> str:
    lines = [
        [
            escaped(row.method),
            ", ".join(map(str, row.seeds)),
            *(
                f"{wording.plain(one.value)} {wording.interval(one.low, one.high)}"
                for one in row.numbers.values()
            ),
        ]
        for row in robustness.rows
    ]
    return _grid(["robustness", "seeds", *robustness.rows[0].numbers], lines)


def _grid(header: list[str], lines: list[list[str]]) -> str:
    return tabulate(lines, headers=header, tablefmt="github", disable_numparse=True)


# The report as CSV and JSON.

FORMAT = "fed_plugin.report/1"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets run


def as_json(report: Report) -> dict[str, Any]:
    """Return all numbers, as JSON has them."""
    return {
        "format": FORMAT,
        "plan": report.benchmark.plan,
        "measured": report.benchmark.written.isoformat(timespec="seconds"),
        "written": report.written.isoformat(timespec="seconds"),
        "written_by": report.written_by,
        "missing": list(report.missing),
        "costs": report.costs.content,
        "tables": [
            {
                "dataset": table.dataset,
                "apart": list(table.apart),
                "baseline": table.baseline,
                "intervals_draw": "people" if table.by_people else "queries",
                "rows": [_row_as_json(row) for row in table.rows],
                "robustness": robustness_as_json(robustness),
                "visible": visible_as_json(visible),
            }
            for dataset in report.datasets
            for table, robustness, visible in zip(
                dataset.tables, dataset.robustness, dataset.visible, strict=True
            )
        ],
    }


def as_csv(report: Report) -> str:
    """Return a line per table, method and metric."""
    text = io.StringIO()
    head = ["dataset", "table", "apart", "method", "kind", "seeds", "missing_seeds", "metric"]
    head += ["mean", "seeds_lowest", "seeds_highest", "low", "high", "baseline"]
    head += ["difference", "difference_low", "difference_high", "p_value"]
    head += ["difference_seeds_lowest", "difference_seeds_highest"]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for place, table in enumerate(_tables(report), start=1):
        for row in table.rows:
            about = [table.dataset, place, "; ".join(table.apart), row.method, row.kind]
            about += [" ".join(map(str, row.seeds)), " ".join(map(str, row.missing))]
            for metric in (*COLUMNS, *table.more_metrics):
                number, gap = row.numbers.get(metric), row.gaps.get(metric)
                values = list(vars(number).values()) if number else [None] * 5
                gaps = [table.baseline if gap else "", *_gap_values(gap)]
                writer.writerow(map(_cell, [*about, metric, *values, *gaps]))
    return text.getvalue()


def _tables(report: Report) -> Iterator[Table]:
    for dataset in report.datasets:
        yield from dataset.tables


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "method": row.method,
        "kind": row.kind,
        "seeds": list(row.seeds),
        "missing_seeds": list(row.missing),
        "metrics": {name: vars(number) for name, number in row.numbers.items()},
        "differences": {
            name: {**vars(gap), "seeds": list(gap.seeds), "excludes_zero": gap.excludes_zero}
            for name, gap in row.gaps.items()
        },
    }


def _gap_values(gap: Gap | None) -> list[float | None]:
    if gap is None:
        return [None] * 6
    return [gap.value, gap.low, gap.high, gap.p_value, gap.lowest, gap.highest]


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return f"{value:.4f}" if isinstance(value, float) else value


# The report's files, each there whole or not at all.


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write ``report.md``, ``.csv``, ``.json`` and ``.html``.

    Args:
        report: what they say.
        folder: where; it is made.

    Raises:
        NotADirectoryError: it is a file.
        IsADirectoryError: a folder lies where a file goes; none is written.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder}: is a file, expected a folder to write to; try --out")
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
        with write_atomically(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]
