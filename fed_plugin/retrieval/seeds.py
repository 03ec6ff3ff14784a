"""Mean and spread of one number over training seeds.

An interval over seeds says what other seeds would have done to the mean, on the same queries; one
over queries (:mod:`fed_plugin.retrieval.intervals`) says what other queries would have done to one
trained model. Neither contains the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from numpy.typing import ArrayLike

from fed_plugin.retrieval.intervals import Interval, checked_level, checked_values


@dataclass(frozen=True)
class SeedSummary:
    """Hold what the seeds say, in the unit of the values.

    Attributes:
        count: number of seeds.
        mean: mean over them.
        sd: standard deviation of one seed, with count - 1 below; None for one seed.
        lowest: smallest value.
        highest: largest value.
        interval: Student's t interval of the mean; None for one seed, which has no spread.
    """

    count: int
    mean: float
    sd: float | None
    lowest: float
    highest: float
    interval: Interval | None


def summarize_seeds(values: ArrayLike, *, level: float = 0.95) -> SeedSummary:
    """Summarize one number per training seed.

    The interval is mean +- t * sd / sqrt(n), t from Student's distribution with n - 1 degrees of
    freedom. If the seeds' numbers are independent draws of one normal distribution, intervals made
    like this contain its mean, the number of a seed chosen at random, in ``level`` of all
    repetitions. Few seeds cost width: t is 12.7 for two seeds, 4.30 for three, 2.78 for five. An
    interval that reaches beyond 0 or 1 is left so.

    For two methods trained with the same seeds, summarize their differences seed by seed.

    Args:
        values: (n,) one number per seed.
        level: share of repetitions whose interval contains the mean, in (0, 1).

    Raises:
        ValueError: The values are empty, not one-dimensional or not finite, or ``level`` is out of
            its range.
    """
    numbers = checked_values("values", values)
    checked_level(level)
    mean, sd, interval = float(numbers.mean()), None, None
    if numbers.size > 1:
        sd = float(numbers.std(ddof=1))
        half = student_t(level, numbers.size - 1) * sd / math.sqrt(numbers.size)
        interval = Interval(mean, mean - half, mean + half, level)
    return SeedSummary(numbers.size, mean, sd, float(numbers.min()), float(numbers.max()), interval)


def student_t(level: float, degrees: int) -> float:
    """Return the t with P(-t <= T <= t) = ``level`` for Student's T.

    With T = sqrt(degrees) * tan(a) the density of the angle a is proportional to
    cos(a) ** (degrees - 1), whose integral is elementary; the angle is found by halving.

    Args:
        level: in (0, 1).
        degrees: of freedom, a whole number from 1.
    """
    whole = _integral_of_cosine_power(degrees - 1, math.pi / 2)
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        if _integral_of_cosine_power(degrees - 1, middle) < level * whole:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan(middle)


def _integral_of_cosine_power(power: int, angle: float) -> float:
    """Integrate cos(a) ** power from 0 to ``angle``, two powers at a time by parts."""
    cosine, sine = math.cos(angle), math.sin(angle)
    integral = sine if power % 2 else angle
    for n in range(2 + power % 2, power + 1, 2):
        integral = (cosine ** (n - 1) * sine + (n - 1) * integral) / n
    return integral
