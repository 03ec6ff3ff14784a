"""How long layers have been frozen (``SOLVER.FREEZE_ITERS``): the host counts it in a closure.

A resumed run would count from zero and freeze them once more.
"""

from __future__ import annotations

import inspect
from types import CellType
from typing import Any

_COUNTER = "cnt"


def frozen_steps(optimizer: Any) -> int | None:
    """Return the steps that a freezing optimizer has counted, None for any other."""
    cell = _counter(optimizer)
    return None if cell is None else int(cell.cell_contents)


def set_frozen_steps(optimizer: Any, steps: int) -> None:
    """Let a freezing optimizer go on counting from ``steps``; any other is left alone."""
    cell = _counter(optimizer)
    if cell is not None:
        cell.cell_contents = steps


def _counter(optimizer: Any) -> CellType | None:
    step = inspect.unwrap(type(optimizer).step)
    names = step.__code__.co_freevars
    if _COUNTER not in names or step.__closure__ is None:
        return None
    return step.__closure__[names.index(_COUNTER)]
