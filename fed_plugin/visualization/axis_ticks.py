"""Where an axis has its ticks, and how numbers are written at them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from ``low`` or below to ``high`` or above, in equal steps.

    Args:
        low: smallest value that is shown.
        high: largest one; may equal ``low``.
        most: steps at most.
    """
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 2.5, 5, 10, 20) if span / (s * power) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(k * step, 12) for k in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return the 1, 2 and 5 times powers of ten between two numbers above 0."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def tick_words(ticks: Sequence[float]) -> list[str]:
    """Return the ticks in few characters: "12k" from 10,000 on, "5e-4" below 0.01."""
    largest = max(map(abs, ticks))
    if largest >= 10_000:
        return [f"{tick / 1000:g}k" if tick else "0" for tick in ticks]
    if 0 < largest < 0.01:
        return [_as_power(tick) if tick else "0" for tick in ticks]
    return [f"{tick:.6g}" for tick in ticks]


def _as_power(value: float) -> str:
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(power)}"
