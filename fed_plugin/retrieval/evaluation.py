"""Results of feature dumps, differences of two results, and results over seeds."""

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
    """Rank a dump's gallery for its queries, by the rules of :func:`rank`.

    TPR@FPR and DIR@FAR are no means over queries, and need at most 64 million pairs; ``undefined``
    of the result holds the reason for a missing rate. More pairs are ranked by ``rank_features``,
    which never holds all distances in memory.

    Without a method, the result takes the name in the dump's ``about``, or "unnamed". Without a
    distance, ``cosine`` or ``euclidean``, it takes that of ``about``, or cosine. The card is stored
    with the numbers. The intervals of means draw ``groups``: ``query`` by query, or ``identity`` by
    identity. ``progress`` gets gallery images done and in all, where there are many pairs.

    Raises:
        ValueError: The distance is unknown, no query has a right answer, or ``groups`` is
            ``identity`` and all queries have one identity.
    """
    distance = distance_for(dump, distance)
    beyond, ranked = _rank_all(dump, distance, progress)
    rows = dump.query[ranked.valid_queries]
    names, pids = tuple(map(str, dump.names[rows])), dump.pids[rows].astype(np.int64)
    values = ranked.first_hits, ranked.average_precisions, ranked.inverse_negative_penalties
    queries = Queries(names, *values, pids=pids)
    return Result(
        method=method or str(dump.about.get("method") or "unnamed"),
        metrics={**_means(queries, groups), **beyond.metrics},
        queries=queries,
        card=dict(card or {}),
        undefined=beyond.undefined,
        groups=groups,
    )


def distance_for(dump: FeatureDump, requested: str | None = None) -> str:
    """Return the requested distance of a ranking, else the dump's own, else cosine.

    Raises:
        ValueError: There is no such distance.
    """
    distance = requested or dump.about.get("distance") or "cosine"
    if not isinstance(distance, str) or distance not in DISTANCES:
        raise ValueError(f"distance {distance!r}: expected one of {', '.join(DISTANCES)}")
    return distance


def with_groups(result: Result, groups: str) -> Result:
    """Return a result with other groups for the intervals of its means.

    Raises:
        ValueError: As :func:`drawn_together`.
    """
    means = _means(result.queries, groups)
    return replace(result, metrics={**result.metrics, **means}, groups=groups)


def drawn_together(queries: Queries, groups: str) -> NDArray[np.int64] | None:
    """Return the groups of a bootstrap: (V,) identities, or None for every query by itself.

    Raises:
        ValueError: ``groups`` is another word, or the identities are unknown or only one.
    """
    if groups not in GROUPS:
        raise ValueError(f"groups {groups!r}: expected one of {', '.join(GROUPS)}")
    if groups == "query":
        return None
    if queries.pids is None:
        raise ValueError(
            "the result does not hold the queries' identities, as older results do not; expected "
            "queries.pids; try scoring its feature dump again, or groups by query"
        )
    if np.unique(queries.pids).size < 2:
        expected = "expected at least 2 to draw from; try groups by query"
        raise ValueError(f"all queries are of one identity: {expected}")
    return queries.pids


def _rank_all(
    dump: FeatureDump, distance: str, progress: Callable[[int, int], Any] | None
) -> tuple[ThresholdMetrics, RankingResult]:
    """Rank all queries, and compute the rates of all pairs unless they are too many."""
    query, gallery, labels = dump.query, dump.gallery, dump.labels()
    pairs = len(query) * len(gallery)
    if pairs > _BLOCK_ELEMENTS:
        reason = f"{pairs} pairs of a query and a gallery image: expected {_BLOCK_ELEMENTS} or less"
        features = _Rows(dump.features, gallery)
        return not_computed(reason), rank_features(
            dump.features[query], features, *labels, metric=distance, progress=progress
        )
    distmat = DISTANCES[distance](dump.features[query], dump.features[gallery])
    ranked = rank(distmat, *labels)  # first: its refusals are the clearer ones
    return threshold_metrics(distmat, *labels), ranked


class _Rows:
    """Rows of an array; a slice of these rows is copied when it is read."""

    def __init__(self, array: NDArray[Any], rows: NDArray[np.int64]) -> None:
        self.array, self.rows = array, rows
        self.shape = (len(rows), *array.shape[1:])

    def __getitem__(self, some: slice) -> NDArray[Any]:
        return self.array[self.rows[some]]


def _means(queries: Queries, groups: str) -> dict[str, Estimate]:
    drawn = drawn_together(queries, groups)
    return {name: bootstrap_interval(queries.percentages(name), groups=drawn) for name in METRICS}


# Differences of two results on the same queries.


def compare_results(
    result: Result, baseline: Result, *, groups: str = "query"
) -> dict[str, Estimate]:
    """Compute the differences of two results in points, with intervals and p-values.

    Both ranked the same queries, in any order. The intervals draw ``groups``, and the tests flip
    them: ``query`` by query, or ``identity`` by identity.

    Returns:
        ``result - baseline`` by metric, for metrics that are means over queries. If the interval
        leaves out zero, the draw of queries does not explain the difference.

    Raises:
        ValueError: The queries are not the same, or as :func:`drawn_together`.
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
    """Return (V,) rows of the result's queries in the baseline."""
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
    if ours.pids is None or theirs.pids is None:
        return order
    others = np.flatnonzero(ours.pids != theirs.pids[order])
    if others.size:
        methods = f"{result.method} than in {baseline.method}"
        raise ValueError(
            f"{ours.names[others[0]]!r} is of another identity in {methods}: expected the same "
            "queries; try dumping both methods on one test set"
        )
    return order


# Rows of tables: a method on a data set, with a result for every finished seed.


@dataclass(frozen=True)
class MethodRow:
    """Results of a method on a data set and protocol, one per finished seed of ``wanted``."""

    dataset: str
    method: str
    results: tuple[Result, ...]
    wanted: int

    @property
    def cards(self) -> list[ProtocolCard]:
        """Protocol cards of the results, where known."""
        return [card for one in self.results for card in _cards(one)]

    def summary(self, metric: str) -> SeedSummary | None:
        """Return mean and spread over the seeds; None without seeds or if one lacks the metric."""
        if not self.results or any(metric not in one.metrics for one in self.results):
            return None
        return summarize_seeds([one.metrics[metric].value for one in self.results])

    def estimate(self, metric: str, groups: str = "query") -> Estimate | None:
        """Return the mean over the seeds, their range, and the interval of :meth:`over_queries`.

        A single seed keeps the interval of its result if the metric is no mean over queries. None
        without seeds, or if a seed lacks the metric.
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

        Every query counts with its mean over the seeds. The interval shows what another draw of
        queries would do to these trained models, and nothing about other seeds. None as for
        :meth:`per_query`; ``groups`` is one of ``GROUPS``.

        Raises:
            ValueError: As :func:`drawn_together`.
        """
        values = self.per_query(metric)
        if values is None:
            return None
        return bootstrap_interval(values, groups=drawn_together(self.results[0].queries, groups))

    def per_query(self, metric: str) -> NDArray[np.float64] | None:
        """Return the mean over the seeds for every query, (V,) percentages.

        The order is that of the first result's queries. None if the metric is no mean over queries,
        there are no seeds, or the seeds ranked different queries.
        """
        if metric not in METRICS or not self.results:
            return None
        names, columns = self.results[0].queries.names, []
        for queries in (one.queries for one in self.results):
            values = dict(zip(queries.names, queries.percentages(metric), strict=True))
            if values.keys() != set(names):
                return None
            columns.append([values[name] for name in names])
        return np.mean(columns, axis=0)


def method_rows(results: Iterable[tuple[str, str, Result | None]]) -> list[MethodRow]:
    """Return a row per data set and method, or several if its seeds follow several protocols.

    A seed is (data set, method, result), with None for a missing result.
    """
    seeds: dict[tuple[str, str], list[Result | None]] = {}
    for dataset, method, result in results:
        seeds.setdefault((dataset, method), []).append(result)
    rows = []
    for (dataset, method), of_seeds in seeds.items():
        groups = group_by_protocol([one for one in of_seeds if one is not None], _cards)
        same = [group.rows for group in groups] or [()]
        rows += [MethodRow(dataset, method, finished, len(of_seeds)) for finished in same]
    return rows


def _cards(result: Result) -> list[ProtocolCard]:
    return [ProtocolCard.from_json(result.card)] if result.card else []
