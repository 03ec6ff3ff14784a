"""Timing in turns: what slows the machine down for a while slows all methods down alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def time_in_turns(
    steps: Mapping[str, Callable[[], Any]],
    rounds: int,
    progress: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time steps of several methods: each round runs one of every method.

    Every second round runs backwards, so that a machine that slows down evenly favours nobody.

    Args:
        steps: by method; each returns when its work is done, also that of a GPU.
        rounds: how many.
        progress: called with the method after each step.
        clock: in seconds.

    Returns:
        Seconds by method, one per round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(rounds):
        for name in order:
            start = clock()
            steps[name]()
            seconds[name].append(clock() - start)
            if progress is not None:
                progress(name)
        order.reverse()
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, min and max."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(values: Sequence[float], baseline: Sequence[float]) -> dict[str, float]:
    """Spread of the ratios to the baseline's values of the same rounds."""
    return spread([a / b for a, b in zip(values, baseline, strict=True)])
