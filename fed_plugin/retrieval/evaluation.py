"""From feature dumps to results, and from two results to what lies between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.distances import cosine_distance, euclidean_distance
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import Interval, bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.ranking import rank
from fed_plugin.retrieval.result import METRICS, Metric, Queries, Result

DISTANCES = {"cosine": cosine_distance, "euclidean": euclidean_distance}
_BLOCK_ELEMENTS = 64_000_000  # distances held at once: 256 MB


def evaluate_dump(
    dump: FeatureDump,
    *,
    method: str | None = None,
    distance: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> Result:
    """Rank a dump's gallery for its queries.

    Gallery images of the query's identity and camera are left out, a query without a right answer
    is left out of every mean, and equal distances keep the gallery's order.

    Args:
        dump: of one method.
        method: its name; None takes the one in ``about``, or "unnamed".
        distance: ``cosine`` or ``euclidean``; None takes the one in ``about``, or cosine.
        card: protocol card to keep with the numbers.

    Raises:
        ValueError: An unknown distance, or no query has a right answer.
    """
    distance = distance_for(dump, distance)
    gallery, rows = dump.gallery, _queries_with_answers(dump)
    step = max(1, _BLOCK_ELEMENTS // len(gallery))
    ranked = [
        _rank(dump, rows[top : top + step], gallery, distance) for top in range(0, len(rows), step)
    ]
    queries = Queries(
        tuple(map(str, dump.names[rows])),
        np.concatenate([block.first_hits for block in ranked]),
        np.concatenate([block.average_precisions for block in ranked]),
        np.concatenate([block.inverse_negative_penalties for block in ranked]),
    )
    return Result(
        method=method or str(dump.about.get("method") or "unnamed"),
        metrics={name: _metric(bootstrap_interval(queries.percentages(name))) for name in METRICS},
        queries=queries,
        card=dict(card or {}),
    )


def distance_for(dump: FeatureDump, asked: str | None = None) -> str:
    """Return the distance that a dump is ranked by: the one asked for, its own, or cosine.

    Raises:
        ValueError: There is no such distance.
    """
    distance = asked or dump.about.get("distance") or "cosine"
    if distance not in DISTANCES:
        raise ValueError(f"distance {distance!r}: expected one of {', '.join(DISTANCES)}")
    return str(distance)


def compare_results(result: Result, baseline: Result) -> dict[str, Metric]:
    """Compute by how many points a result is better, and the interval over the same queries.

    Args:
        result: of one method.
        baseline: of another method on the same queries, in any order.

    Returns:
        ``result - baseline`` by metric; an interval without zero is more than the draw of queries
        explains.

    Raises:
        ValueError: The queries are not the same.
    """
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
    return {
        metric: _metric(
            paired_bootstrap(ours.percentages(metric), theirs.percentages(metric)[order])
        )
        for metric in METRICS
    }


def _queries_with_answers(dump: FeatureDump) -> NDArray[np.int64]:
    """Return the queries' rows that have a right answer; all of them if none has."""
    cameras: dict[int, set[int]] = {}
    for row in dump.gallery:
        cameras.setdefault(int(dump.pids[row]), set()).add(int(dump.camids[row]))
    answered = [
        row
        for row in dump.query
        if cameras.get(int(dump.pids[row]), set()) - {int(dump.camids[row])}
    ]
    return np.array(answered, dtype=np.int64) if answered else dump.query  # rank says what is wrong


def _rank(dump: FeatureDump, rows: NDArray[Any], gallery: NDArray[Any], distance: str) -> Any:
    return rank(
        DISTANCES[distance](dump.features[rows], dump.features[gallery]),
        dump.pids[rows],
        dump.pids[gallery],
        dump.camids[rows],
        dump.camids[gallery],
    )


def _metric(interval: Interval) -> Metric:
    return Metric(interval.mean, interval.low, interval.high)
