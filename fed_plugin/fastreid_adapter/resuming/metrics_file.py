"""The host's ``metrics.json`` in a resumed run: no iteration stands in it twice."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from fastreid.engine.hooks import PeriodicWriter

NAME = "metrics.json"


def forget_lines_from(first: int, trainer: Any) -> None:
    """Cut off what a killed run wrote of iterations that are run again.

    Args:
        first: iteration that the run goes on with.
        trainer: whose writers do not write again what was measured before.
    """
    path = os.path.join(trainer.cfg.OUTPUT_DIR, NAME)
    if os.path.isfile(path):
        with open(path, "rb+") as file:
            file.truncate(_end_of_lines_before(first, file.read()))
    for hook in trainer._hooks:
        for writer in hook._writers if isinstance(hook, PeriodicWriter) else ():
            if isinstance(getattr(writer, "_last_write", None), int):
                writer._last_write = first - 1


def _end_of_lines_before(first: int, content: bytes) -> int:
    """Return the length of what stays: all up to the last whole line before iteration ``first``.

    Only the end is cut off: lines further up may be those of an earlier run in the same folder.
    """
    end = len(content)
    for line in reversed(content.splitlines(keepends=True)):
        if line.endswith(b"\n") and _iteration(line) < first:
            break
        end -= len(line)
    return end


def _iteration(line: bytes) -> float:
    try:
        return float(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError):
        return math.inf
