"""What lies between two results on the same queries: differences, intervals, p-values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.evaluation import drawn_together
from fed_plugin.retrieval.intervals import paired_bootstrap
from fed_plugin.retrieval.paired_tests import sign_flip_test
from fed_plugin.retrieval.result import METRICS, Metric, Result


@dataclass(frozen=True)
class MetricDifference(Metric):
    """Hold by how many points a result is better, its interval, and whether that may be chance.

    Args:
        p_value: two-sided, of sign flips; None if nobody computed it.
    """

    p_value: float | None = None


def compare_results(
    result: Result, baseline: Result, *, groups: str = "query"
) -> dict[str, MetricDifference]:
    """Compute by how many points a result is better, and the interval over the same queries.

    Args:
        result: of one method.
        baseline: of another method on the same queries, in any order.
        groups: what is drawn and flipped: ``query`` by query, or ``identity`` by identity.

    Returns:
        ``result - baseline`` by metric, of those that are means over queries; an interval without
        zero is more than the draw of queries explains.

    Raises:
        ValueError: The queries are not the same; or ``identity``, and they do not say their
            identities, or are all of one.
    """
    order, together = _partners(result, baseline), drawn_together(result.queries, groups)
    differences = {}
    for metric in METRICS:
        ours = result.queries.percentages(metric)
        theirs = baseline.queries.percentages(metric)[order]
        interval = paired_bootstrap(ours, theirs, groups=together)
        test = sign_flip_test(ours, theirs, groups=together)
        differences[metric] = MetricDifference(
            interval.mean, interval.low, interval.high, test.p_value
        )
    return differences


def _partners(result: Result, baseline: Result) -> NDArray[np.intp]:
    """Return (V,) places of the result's queries among the baseline's."""
    ours, theirs = result.queries, baseline.queries
    place = {name: row for row, name in enumerate(theirs.names)}
    missing = [name for name in ours.names if name not in place]
    if missing or len(place) != len(ours.names):
        raise ValueError(
            f"{result.method} ranked {len(ours.names)} queries and {baseline.method} {len(place)}"
            f"{f', {missing[0]!r} among the first alone' if missing else ''}: expected the same "
            "queries; try dumping both methods on one test set"
        )
    order = np.array([place[name] for name in ours.names])
    if (
        ours.pids is not None
        and theirs.pids is not None
        and (ours.pids != theirs.pids[order]).any()
    ):
        name = ours.names[int(np.flatnonzero(ours.pids != theirs.pids[order])[0])]
        raise ValueError(
            f"{name!r} is of another identity in {result.method} than in {baseline.method}: "
            "expected the same queries; try dumping both methods on one test set"
        )
    return order
