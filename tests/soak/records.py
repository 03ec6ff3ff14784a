"""Figures of reliability: one file each in ``benchmarks/results/reliability``, one page of them.

A script of this folder measures something, calls :func:`write_record`, and
``docs/reliability.md`` shows it between ``<!-- NAME -->`` and ``<!-- /NAME -->``; see
``python tests/soak/page.py --check``.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fed_plugin.console import machine_words

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "reliability"
FORMAT = "fed_plugin.reliability/1"
PACKAGES = ("torch", "numpy", "fastreid")


def write_record(
    name: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    words: str,
    folder: Path = RESULTS,
    **raw: Any,
) -> Path:
    """Write what a script measured.

    Args:
        name: of the file and of the place on the page.
        columns: of the table.
        rows: of the table, a value per column.
        words: one or two sentences with the figures in them, made of the measurement.
        folder: to write to.
        **raw: what else was measured, as JSON has it.
    """
    content = {
        "format": FORMAT,
        "name": name,
        "command": " ".join(["python", *sys.argv]),
        "about": about(),
        "words": words,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
        **raw,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def about() -> dict[str, str]:
    """Return machine, interpreter, versions and day."""
    found = {"machine": machine_words(), "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**found, "day": date.today().isoformat()}


def as_markdown(content: Mapping[str, Any]) -> str:
    """Return the words, the table and where they come from."""
    rows = [content["columns"], ["---"] * len(content["columns"]), *content["rows"]]
    table = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    facts = content["about"]
    versions = ", ".join(f"{name} {facts[name]}" for name in ("python", *PACKAGES) if name in facts)
    origin = f"*`{content['command']}`, {facts['day']}; {facts['machine']}; {versions}.*"
    return f"{content['words']}\n\n{table}\n\n{origin}\n"
