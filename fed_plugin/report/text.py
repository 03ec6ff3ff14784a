"""The report as Markdown: tables and words; figures and pictures are in the page."""

from __future__ import annotations

import html
import re

from tabulate import tabulate

from fed_plugin.cli.costs_table import HEADER
from fed_plugin.cli.report import wording
from fed_plugin.cli.report.contents import Report
from fed_plugin.cli.report.protocols import Table
from fed_plugin.cli.report.robustness import Robustness
from fed_plugin.cli.report.tables import COLUMNS
from fed_plugin.cli.report.visible import Visible


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
