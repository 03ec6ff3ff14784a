"""Cost columns of the report, from ``costs.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.cli.costs import FILE, FORMAT
from fed_plugin.cli.costs_table import costs_lines, notes


@dataclass(frozen=True)
class Costs:
    """Hold the table of costs.

    Attributes:
        lines: a method each, under the header of ``costs_table``; empty if there are none.
        notes: what a reader has to know of it.
        content: of the file.
        why_not: a sentence if there are none.
    """

    lines: tuple[tuple[str, ...], ...] = ()
    notes: str = ""
    content: Mapping[str, Any] | None = None
    why_not: str = ""


def read_costs(folder: Path) -> Costs:
    """Read the costs that lie in a benchmark's folder."""
    path = folder / FILE
    if not path.is_file():
        return Costs(why_not=f"costs: no {FILE}; `python -m fed_plugin costs` measures them")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT!r}")
        lines = tuple(map(tuple, costs_lines(content)))
        return Costs(lines, notes(content), content)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Costs(why_not=f"costs: {FILE} cannot be read ({error!r:.120})")


def _refuse(constant: str) -> None:
    raise ValueError(f"a number is {constant}")
