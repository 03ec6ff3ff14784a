"""Rows of a table: one tracker with one descriptor, settings chosen on other videos.

A cosine distance differs in meaning between descriptors; therefore one gate for all would favour
one descriptor. The settings of a row are those with the fewest switches on the tuning videos, which
are not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from observations import Observation
from switches import Counts, count
from tracker import Rule, follow

from fed_plugin.retrieval.intervals import (
    bootstrap_interval,
    holm_adjusted,
    paired_bootstrap,
    sign_flip_test,
)

GATES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 2.0)
LEAST_IOUS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
WEIGHTS = (0.3, 1.0, 3.0, 10.0)
BOTH_LEAST_IOU = 0.3
Settings = Mapping[str, float]
"""Keywords of ``tracker.Rule``."""
POSITION, APPEARANCE, BOTH = "position", "appearance", "both"
METRICS = {"switches": "switches", "switches_after_gap": "at re-appearances", "idf1": "IDF1 %"}


@dataclass(frozen=True)
class Tracker:
    """Tracker with the settings to choose from.

    Attributes:
        name: position, appearance or both.
        track: function of a video, the descriptor's name (None for none) and settings; returns
            (N,) tracks per frame.
        choices: settings to choose from.
        described: True for a tracker that takes descriptors.
    """

    name: str
    track: Callable[[Observation, str | None, Settings], list[NDArray[np.int64]]]
    choices: Sequence[Settings]
    described: bool


@dataclass(frozen=True)
class Row:
    """Counts of one tracker with one descriptor on all measured videos.

    Attributes:
        tracker: name of the tracker.
        descriptor: name of the descriptor; None for none.
        tuned: chosen settings.
        counts: counts of each video.
    """

    tracker: str
    descriptor: str | None
    tuned: Settings
    counts: list[Counts]

    def values(self, metric: str) -> NDArray[np.float64]:
        """Return a metric of every video, (V,)."""
        return np.array([float(getattr(one, metric)) for one in self.counts])

    def interval(self, metric: str) -> tuple[float, float, float]:
        """Return the mean of a metric over the videos and its 95 % interval."""
        mean = bootstrap_interval(self.values(metric))
        return mean.mean, mean.low, mean.high

    def to_json(self) -> dict[str, Any]:
        """Return counts, sums, and means with 95 % intervals over videos."""
        return {
            "tracker": self.tracker,
            "descriptor": self.descriptor,
            "tuned": dict(self.tuned),
            "mean": {name: self.interval(name) for name in METRICS},
            "reappearances": int(self.values("reappearances").sum()),
            "videos": [asdict(one) for one in self.counts],
        }

    def to_words(self) -> dict[str, str]:
        """Return the row of a printed table."""
        idf1 = [100 * x for x in self.interval("idf1")]
        again = [int(self.values(x).sum()) for x in ("switches_after_gap", "reappearances")]
        return {
            "matched by": self.tracker,
            "descriptor": self.descriptor or "none",
            "tuned": ", ".join(f"{name} {value:g}" for name, value in self.tuned.items()),
            "switches": "{:.1f} [{:.1f}, {:.1f}]".format(*self.interval("switches")),
            "at re-appearances": f"{again[0]} of {again[1]}",
            "IDF1 %": "{:.1f} [{:.1f}, {:.1f}]".format(*idf1),
            "tracks": f"{self.values('tracks').mean():.1f}",
        }


def own_trackers(keep: int) -> list[Tracker]:
    """Return the trackers of this folder, which keep an unseen track for ``keep`` frames."""

    def track(video: Observation, name: str | None, settings: Settings) -> list[NDArray[np.int64]]:
        looks = None if name is None else video.descriptors[name]
        return follow(video.boxes, looks, Rule(**settings, keep=keep))

    def together(video: Observation, name: str | None, settings: Settings) -> Any:
        return track(video, name, {**settings, "least_iou": BOTH_LEAST_IOU})

    gates = [{"gate": gate} for gate in GATES]
    weighted = [{**gate, "weight": weight} for gate in gates for weight in WEIGHTS]
    overlaps = [{"least_iou": least} for least in LEAST_IOUS]
    return [
        Tracker(POSITION, track, overlaps, described=False),
        Tracker(APPEARANCE, track, gates, described=True),
        Tracker(BOTH, together, weighted, described=True),
    ]


def measure(
    tracker: Tracker,
    descriptor: str | None,
    tuning: Sequence[Observation],
    measured: Sequence[Observation],
) -> Row:
    """Choose the settings with the fewest switches on the tuning videos, then count on the others.

    Of settings with equal switches the highest IDF1 wins, then the first settings.
    """

    def run(videos: Sequence[Observation], settings: Settings) -> list[Counts]:
        return [count(x.people, tracker.track(x, descriptor, settings)) for x in videos]

    def badness(settings: Settings) -> tuple[int, float]:
        counts = run(tuning, settings)
        return sum(x.switches for x in counts), -sum(x.idf1 for x in counts)

    best = min(tracker.choices, key=badness)
    return Row(tracker.name, descriptor, best, run(measured, best))


def difference_in_words(difference: dict[str, Any]) -> dict[str, str]:
    """Return the row of a printed table for a result of :func:`compare`."""
    factor = 100 if difference["metric"] == "idf1" else 1
    ends = [factor * x for x in difference["difference"]]
    return {
        "matched by": difference["tracker"],
        "descriptors": f"{difference['first']} - {difference['other']}",
        "metric": METRICS[difference["metric"]],
        "difference": "{:+.1f} [{:+.1f}, {:+.1f}]".format(*ends),
        "p": f"{difference['p']:.4f}",
        "p (Holm)": f"{difference['p_holm']:.4f}",
    }


def compare(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Compare, for every tracker, the first descriptor with every other, paired over videos.

    Returns:
        Per pair and metric: mean difference first - other, 95 % interval, p-value of the sign-flip
        test, and the p-value after Holm's adjustment for all pairs of the metric.
    """
    pairs = [
        (first, other)
        for tracker in dict.fromkeys(row.tracker for row in rows)
        for first, *others in [[row for row in rows if row.tracker == tracker]]
        for other in others
    ]
    differences = []
    for metric in METRICS if pairs else ():
        both = [(a.values(metric), b.values(metric)) for a, b in pairs]
        tests = [sign_flip_test(a, b) for a, b in both]
        adjusted = holm_adjusted([test.p_value for test in tests])
        for (a, b), values, test, holm in zip(pairs, both, tests, adjusted, strict=True):
            gap = paired_bootstrap(*values)
            differences.append(
                {
                    "tracker": a.tracker,
                    "first": a.descriptor,
                    "other": b.descriptor,
                    "metric": metric,
                    "difference": [gap.mean, gap.low, gap.high],
                    "p": test.p_value,
                    "p_holm": float(holm),
                }
            )
    return differences
