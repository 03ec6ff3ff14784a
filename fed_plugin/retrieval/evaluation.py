"""From feature dumps to results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.card_files import group_by_protocol
from fed_plugin.retrieval.distances import cosine_distance, euclidean_distance
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import (
    SeedSummary,
    bootstrap_interval,
    paired_bootstrap,
    sign_flip_test,
    summarize_seeds,
)
from fed_plugin.retrieval.large_ranking import rank_features
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.ranking import RankingResult, rank
from fed_plugin.retrieval.result import GROUPS, METRICS, Queries, Result
from fed_plugin.retrieval.thresholds import ThresholdMetrics, not_computed, threshold_metrics

DISTANCES = {"cosine": cosine_distance, "euclidean": euclidean_distance}
_BLOCK_ELEMENTS = 64_000_000  # distances held at once: 256 MB


def evaluate_dump(
    dump: FeatureDump,
    *,
    method: str | None = None,
    distance: str | None = None,
    card: Mapping[str, Any] | None = None,
    groups: str = "query",
    progress: Callable[[int, int], Any] | None = None,
) -> Result:
    """Rank a dump's gallery for its queries.

    Gallery images of the query's identity and camera are left out, a query without a right answer
    is left out of every mean, and equal distances keep the gallery's order. TPR@FPR and DIR@FAR,
    which are no means over queries, need at most 64 million pairs; ``undefined`` of the result says
    why one is missing. More pairs are ranked by ``rank_features``: their distances never all are in
    memory.

    Args:
        dump: of one method.
        method: its name; None takes the one in ``about``, or "unnamed".
        distance: ``cosine`` or ``euclidean``; None takes the one in ``about``, or cosine.
        card: protocol card to keep with the numbers.
        groups: what the intervals of means draw: ``query`` by query, or ``identity`` by identity.
        progress: called with gallery images done and all of them, where there are many pairs.

    Raises:
        ValueError: An unknown distance, or no query has a right answer; or ``identity``, and all
            queries are of one.
    """
    distance = distance_for(dump, distance)
    rows = _queries_with_answers(dump)
    beyond, ranked = _rank_all(dump, rows, distance, progress)
    queries = Queries(
        tuple(map(str, dump.names[rows])),
        ranked.first_hits,
        ranked.average_precisions,
        ranked.inverse_negative_penalties,
        pids=dump.pids[rows].astype(np.int64),
    )
    return Result(
        method=method or str(dump.about.get("method") or "unnamed"),
        metrics={**_means(queries, groups), **beyond.metrics},
        queries=queries,
        card=dict(card or {}),
        undefined=beyond.undefined,
        groups=groups,
    )


def distance_for(dump: FeatureDump, asked: str | None = None) -> str:
    """Return the distance that a dump is ranked by: the one asked for, its own, or cosine.

    Raises:
        ValueError: There is no such distance.
    """
    distance = asked or dump.about.get("distance") or "cosine"
    if not isinstance(distance, str) or distance not in DISTANCES:
        raise ValueError(f"distance {distance!r}: expected one of {', '.join(DISTANCES)}")
    return distance


def with_groups(result: Result, groups: str) -> Result:
    """Return a result whose intervals of means draw ``query`` by query or ``identity`` by identity.

    Raises:
        ValueError: As :func:`drawn_together`.
    """
    means = _means(result.queries, groups)
    return replace(result, metrics={**result.metrics, **means}, groups=groups)


def drawn_together(queries: Queries, groups: str) -> NDArray[np.int64] | None:
    """Return what a bootstrap draws together, (V,) identities or None for every query by itself.

    Args:
        queries: of a result.
        groups: ``query`` or ``identity``.

    Raises:
        ValueError: Another word; identities that an older file does not say, or only one of them.
    """
    if groups not in GROUPS:
        raise ValueError(f"groups {groups!r}: expected one of {', '.join(GROUPS)}")
    if groups == "query":
        return None
    if queries.pids is None:
        raise ValueError(
            "the result does not say the queries' identities, as older ones do not; expected "
            "queries.pids; try scoring its feature dump again, or groups by query"
        )
    if np.unique(queries.pids).size < 2:
        raise ValueError(
            "all queries are of one identity: expected at least 2 to draw from; try groups by query"
        )
    return queries.pids


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


def _rank_all(
    dump: FeatureDump,
    rows: NDArray[np.int64],
    distance: str,
    progress: Callable[[int, int], Any] | None,
) -> tuple[ThresholdMetrics, RankingResult]:
    """Rank the queries in ``rows``, in blocks if need be; without need, look at all pairs too."""
    query, gallery = dump.query, dump.gallery
    pairs = len(query) * len(gallery)
    if pairs > _BLOCK_ELEMENTS:
        reason = f"{pairs} pairs of a query and a gallery image: expected {_BLOCK_ELEMENTS} or less"
        features = _Rows(dump.features, gallery)
        labels = _labels(dump, rows)
        return not_computed(reason), rank_features(
            dump.features[rows], features, *labels, metric=distance, progress=progress
        )
    distmat = _distances(dump, query, distance)
    answered = distmat if len(rows) == len(query) else distmat[np.isin(query, rows)]
    ranked = rank(answered, *_labels(dump, rows))
    return threshold_metrics(distmat, *_labels(dump, query)), ranked


class _Rows:
    """Some rows of an array, copied only when a slice of them is asked for."""

    def __init__(self, array: NDArray[Any], rows: NDArray[np.int64]) -> None:
        self.array, self.rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, some: slice) -> NDArray[Any]:
        return self.array[self.rows[some]]


def _distances(dump: FeatureDump, rows: NDArray[np.int64], distance: str) -> NDArray[Any]:
    return DISTANCES[distance](dump.features[rows], dump.features[dump.gallery])


def _labels(dump: FeatureDump, rows: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
    """Return identities, then cameras, of queries and gallery."""
    gallery = dump.gallery
    return dump.pids[rows], dump.pids[gallery], dump.camids[rows], dump.camids[gallery]


def _means(queries: Queries, groups: str) -> dict[str, Estimate]:
    drawn = drawn_together(queries, groups)
    return {name: bootstrap_interval(queries.percentages(name), groups=drawn) for name in METRICS}


# What lies between two results on the same queries: differences, intervals, p-values.


def compare_results(
    result: Result, baseline: Result, *, groups: str = "query"
) -> dict[str, Estimate]:
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
        differences[metric] = replace(interval, p=test.p_value)
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


# Rows of tables: a method on a data set with a result for every seed that is finished.


@dataclass(frozen=True)
class MethodRow:
    """Hold what is known of a method on a data set, under one protocol.

    Args:
        dataset: tested on.
        method: its name.
        results: one per seed that is finished.
        wanted: number of seeds that were asked for.
    """

    dataset: str
    method: str
    results: tuple[Result, ...]
    wanted: int

    @property
    def cards(self) -> list[ProtocolCard]:
        """Cards of the results that have one."""
        return [ProtocolCard.from_json(one.card) for one in self.results if one.card]

    def summary(self, metric: str) -> SeedSummary | None:
        """Return mean and spread over the seeds; None if a seed lacks the metric, or none is there.

        Args:
            metric: a key of ``Result.metrics``.
        """
        if not self.results or any(metric not in one.metrics for one in self.results):
            return None
        return summarize_seeds([one.metrics[metric].value for one in self.results])

    def estimate(self, metric: str, groups: str = "query") -> Estimate | None:
        """Return the mean over the seeds, their range, and the interval of :meth:`over_queries`.

        One seed keeps the interval of its result, also where the metric is no mean over queries.

        Args:
            metric: a key of ``Result.metrics``.
            groups: what is drawn: ``query`` by query, or ``identity`` by identity.

        Returns:
            None if a seed lacks the metric, or no seed is there.
        """
        seeds = self.summary(metric)
        if seeds is None:
            return None
        over = self.over_queries(metric, groups)
        if over is None and seeds.count == 1:
            over = self.results[0].metrics[metric]
        ends = (over.low, over.high) if over else (None, None)
        return Estimate(seeds.mean, *ends, lowest=seeds.lowest, highest=seeds.highest)

    def over_queries(self, metric: str, groups: str = "query") -> Estimate | None:
        """Return the mean over the seeds with its interval over the queries.

        Every query counts with its mean over the seeds. The interval says what another draw of
        queries would do to these trained models, and nothing of other seeds.

        Args:
            metric: one that is a mean over queries.
            groups: what is drawn: ``query`` by query, or ``identity`` by identity.

        Returns:
            None if the metric is no mean over queries, no seed is there, or the seeds ranked
            different queries.

        Raises:
            ValueError: ``identity``, and the queries are of one identity or do not say theirs.
        """
        values = self.per_query(metric)
        if values is None:
            return None
        return bootstrap_interval(values, groups=drawn_together(self.results[0].queries, groups))

    def per_query(self, metric: str) -> NDArray[np.float64] | None:
        """Return what every query is worth in the mean over the seeds, (V,) percentages.

        Args:
            metric: one that is a mean over queries.

        Returns:
            In the order of the first result's queries; None as for :meth:`over_queries`.
        """
        if metric not in METRICS or not self.results:
            return None
        first, total = self.results[0].queries, np.zeros(len(self.results[0].queries.names))
        for queries in (one.queries for one in self.results):
            place = {name: row for row, name in enumerate(queries.names)}
            if place.keys() != set(first.names):
                return None
            total += queries.percentages(metric)[[place[name] for name in first.names]]
        return total / len(self.results)


def method_rows(found: Iterable[tuple[str, str, Result | None]]) -> list[MethodRow]:
    """Return a row per data set and method, several where its seeds are of several protocols.

    Args:
        found: (data set, method, result) for every seed; None for a result that is not there.
    """
    seeds: dict[tuple[str, str], list[Result | None]] = {}
    for dataset, method, result in found:
        seeds.setdefault((dataset, method), []).append(result)
    rows = []
    for (dataset, method), results in seeds.items():
        groups = group_by_protocol([one for one in results if one is not None], _card)
        same = [group.rows for group in groups] or [()]
        rows += [MethodRow(dataset, method, finished, len(results)) for finished in same]
    return rows


def _card(result: Result) -> list[ProtocolCard]:
    return [ProtocolCard.from_json(result.card)] if result.card else []
