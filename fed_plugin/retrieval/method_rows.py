"""Rows of tables: a method on a data set with a result for every seed that is finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.evaluation import drawn_together
from fed_plugin.retrieval.intervals import Interval, bootstrap_interval
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.protocol_groups import group_by_protocol
from fed_plugin.retrieval.result import METRICS, Result
from fed_plugin.retrieval.seeds import SeedSummary, summarize_seeds


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

    def over_queries(self, metric: str, groups: str = "query") -> Interval | None:
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
