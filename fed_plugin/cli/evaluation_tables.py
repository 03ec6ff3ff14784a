"""Tables of ``evaluate``: numbers with intervals, and differences with p-values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tabulate import tabulate

from fed_plugin.retrieval.comparison import MetricDifference, compare_results
from fed_plugin.retrieval.paired_tests import holm_adjusted
from fed_plugin.retrieval.result import METRICS, Metric, Result
from fed_plugin.retrieval.threshold_metrics import THRESHOLD_METRICS

DRAWN = {"query": "the queries", "identity": "the queries' identities"}


def means_table(results: Sequence[Result], groups: str) -> str:
    """Return Rank-1 to mINP of every result, and what their intervals are."""
    rows = [
        [name, str(len(result.queries.names)), *_cells(result, METRICS)]
        for name, result in zip(row_names(results), results, strict=True)
    ]
    note = f"95 % intervals: bootstrap over {DRAWN[groups]}"
    return f"{_table(['method', 'queries', *METRICS], rows)}\n{note}"


def thresholds_table(results: Sequence[Result]) -> str:
    """Return TPR@FPR and DIR@FAR of every result, as far as any has them; empty if none has."""
    names = [name for name in THRESHOLD_METRICS if any(name in one.metrics for one in results)]
    rows = [
        [method, *_cells(result, names)]
        for method, result in zip(row_names(results), results, strict=True)
    ]
    note = f"95 % intervals: bootstrap over {DRAWN['identity']}"
    if any(name.startswith("DIR") for name in names):
        note += "; DIR@FAR: half of the identities left the gallery"
    return f"{_table(['one threshold', *names], rows)}\n{note}" if names else ""


def undefined_notes(results: Sequence[Result]) -> list[str]:
    """Say which of TPR@FPR and DIR@FAR are missing, and why; of all results together if it fits."""
    missing: dict[tuple[str, str], list[str]] = {}
    for method, result in zip(row_names(results), results, strict=True):
        for reason in dict.fromkeys(result.undefined.values()):
            names = ", ".join(name for name, why in result.undefined.items() if why == reason)
            missing.setdefault((names, reason), []).append(method)
    return [
        f"{'' if len(methods) == len(results) else ', '.join(methods) + ': '}no {names}: {reason}"
        for (names, reason), methods in missing.items()
    ]


def differences_table(results: Sequence[Result], groups: str) -> str:
    """Return every result's differences to the first, and what is to be known of them.

    Raises:
        ValueError: Two results are not on the same queries.
    """
    names = row_names(results)
    found = [compare_results(result, results[0], groups=groups) for result in results[1:]]
    p_values = {
        metric: holm_adjusted([float(row[metric].p_value or 0) for row in found])
        for metric in METRICS
    }
    rows = [
        [name, *(_difference(row[metric], p_values[metric][place]) for metric in METRICS)]
        for place, (name, row) in enumerate(zip(names[1:], found, strict=True))
    ]
    flipped = "sign flips" if groups == "query" else "sign flips of whole identities"
    if len(found) > 1:
        flipped += f", corrected for the {len(found)} rows of a column (Holm)"
    head = (
        f"less {names[0]}, in points, with 95 % intervals over {DRAWN[groups]}; * an interval "
        f"without zero; p: {flipped}"
    )
    return f"{head}\n{_table(['method', *METRICS], rows)}"


def row_names(results: Sequence[Result]) -> list[str]:
    """Return the methods' names, numbered where two are the same."""
    count = Counter(result.method for result in results)
    return [
        f"{result.method} ({place})" if count[result.method] > 1 else result.method
        for place, result in enumerate(results, start=1)
    ]


def with_interval(metric: Metric, sign: str = "") -> str:
    """Return ``61.2 [59.8, 62.7]``, or the value alone where there is no interval.

    Args:
        metric: to print.
        sign: ``+`` for a difference.
    """
    text = f"{metric.value:{sign}.1f}"
    if metric.interval is None:
        return text
    low, high = metric.interval
    return f"{text} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _difference(metric: MetricDifference, p_value: float) -> str:
    low, high = metric.interval or (0.0, 0.0)
    return f"{with_interval(metric, '+')}{'' if low <= 0 <= high else ' *'} p {p_value:.2g}"


def _cells(result: Result, names: Sequence[str]) -> list[str]:
    return [
        with_interval(result.metrics[name]) if name in result.metrics else "-" for name in names
    ]


def _table(header: Sequence[str], rows: list[list[str]]) -> str:
    return tabulate(rows, headers=header, tablefmt="github", disable_numparse=True)
