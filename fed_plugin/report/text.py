"""The report as CSV and JSON, and the files of a report."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from fed_plugin.files import check_writable, write_file
from fed_plugin.report.contents import Report
from fed_plugin.report.curves import robustness_as_json, visible_share_as_json
from fed_plugin.report.page import as_markdown, as_page
from fed_plugin.report.tables import COLUMNS, Gap, Row

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
                "robustness": robustness_as_json(one.robustness),
                "visible": visible_share_as_json(one.visible),
            }
            for one in report.tables
            for table in (one.table,)
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
    for place, table in enumerate((one.table for one in report.tables), start=1):
        for row in table.rows:
            about = [table.dataset, place, "; ".join(table.apart), row.method, row.kind]
            about += [" ".join(map(str, row.seeds)), " ".join(map(str, row.missing))]
            for metric in (*COLUMNS, *table.more_metrics):
                number, gap = row.numbers.get(metric), row.gaps.get(metric)
                values = list(vars(number).values()) if number else [None] * 5
                gaps = [table.baseline if gap else "", *_gap_values(gap)]
                writer.writerow(map(_cell, [*about, metric, *values, *gaps]))
    return text.getvalue()


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
        write_file(folder / name, text)
    return [folder / name for name in texts]
