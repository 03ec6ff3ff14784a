"""What a system with one threshold for all queries gets: TPR@FPR and DIR@FAR of a ranking.

Both need the distances of all queries, those without a right answer too; none is a mean over
queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.open_set import identify_open_set, leave_identities_out
from fed_plugin.retrieval.pairs import Pairs
from fed_plugin.retrieval.rate_intervals import open_set_intervals, verification_intervals
from fed_plugin.retrieval.result import Metric
from fed_plugin.retrieval.verification import verify_pairs

FALSE_POSITIVE_RATES = {"TPR@FPR=1e-2": 1e-2, "TPR@FPR=1e-3": 1e-3}
FALSE_ALARM_RATES = {"DIR@FAR=1e-1": 1e-1, "DIR@FAR=1e-2": 1e-2}
THRESHOLD_METRICS = (*FALSE_POSITIVE_RATES, *FALSE_ALARM_RATES)


@dataclass
class ThresholdMetrics:
    """Hold percentages by name, and of the rest why there is none."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)

    def __or__(self, other: ThresholdMetrics) -> ThresholdMetrics:
        """Return what either holds."""
        return ThresholdMetrics(self.metrics | other.metrics, self.undefined | other.undefined)


def threshold_metrics(
    distmat: NDArray[np.floating],
    q_pids: NDArray,
    g_pids: NDArray,
    q_camids: NDArray,
    g_camids: NDArray,
) -> ThresholdMetrics:
    """Compute TPR@FPR and DIR@FAR in per cent, with intervals over the queries' identities.

    For DIR@FAR half of the identities leave the gallery, the same ones for every method
    (``leave_identities_out``, seed 0). A rate of less than one error of all that are possible is
    not defined: it would be the one of no error at all, whatever its name.

    Args:
        distmat: (Q, G) distances of all queries.
        q_pids: (Q,) identities of the queries.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.
    """
    labels = q_pids, g_pids, q_camids, g_camids
    return _verification(distmat, *labels) | _open_set(distmat, *labels)


def not_computed(reason: str) -> ThresholdMetrics:
    """Return none of the metrics, all for one reason."""
    return ThresholdMetrics(undefined=dict.fromkeys(THRESHOLD_METRICS, reason))


def _verification(distmat: NDArray[np.floating], *labels: NDArray) -> ThresholdMetrics:
    rates = FALSE_POSITIVE_RATES
    try:
        result = verify_pairs(distmat, *labels, false_positive_rates=tuple(rates.values()))
    except ValueError as error:
        return ThresholdMetrics(undefined=dict.fromkeys(rates, str(error)))
    undefined = _too_few(rates, result.negative_pairs, "wrong pairs")
    defined = [name for name in rates if name not in undefined]
    intervals = verification_intervals(Pairs(distmat, *labels), [rates[name] for name in defined])
    values = dict(zip(rates, result.true_positive_rates, strict=True))
    return ThresholdMetrics(_metrics(values, dict(zip(defined, intervals, strict=True))), undefined)


def _open_set(distmat: NDArray[np.floating], *labels: NDArray) -> ThresholdMetrics:
    rates = FALSE_ALARM_RATES
    q_pids, g_pids, q_camids, g_camids = labels
    try:
        kept = leave_identities_out(q_pids, g_pids, share=0.5, seed=0)
        result = identify_open_set(
            *(distmat[:, kept], q_pids, g_pids[kept], q_camids, g_camids[kept]),
            false_alarm_rates=tuple(rates.values()),
        )
    except ValueError as error:
        return ThresholdMetrics(undefined=dict.fromkeys(rates, str(error)))
    count = result.unmated_queries.size
    undefined = _too_few(rates, count, "queries of identities that left the gallery")
    intervals = dict(zip(rates, open_set_intervals(result, q_pids), strict=True))
    defined = {name: one for name, one in intervals.items() if name not in undefined}
    values = dict(zip(rates, result.detection_rates, strict=True))
    return ThresholdMetrics(_metrics(values, defined), undefined)


def _too_few(rates: dict[str, float], count: int, what: str) -> dict[str, str]:
    """Say of which rates not even one error is allowed."""
    return {
        name: f"{count} {what}: expected at least {round(1 / rate)}"
        for name, rate in rates.items()
        if count < round(1 / rate)
    }


def _metrics(
    values: dict[str, float], intervals: dict[str, tuple[float, float] | None]
) -> dict[str, Metric]:
    """Return those metrics in per cent that have an entry among the intervals."""
    return {
        name: Metric(100 * float(values[name]), *(100 * end for end in ends or ()))
        for name, ends in intervals.items()
    }
