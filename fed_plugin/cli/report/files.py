"""The report's files, each there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from fed_plugin.cli.report.contents import Report
from fed_plugin.cli.report.markdown import as_markdown
from fed_plugin.cli.report.page import as_page
from fed_plugin.cli.report.text_files import as_csv, as_json
from fed_plugin.retrieval.whole_files import check_writable, written_whole


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
        with written_whole(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]
