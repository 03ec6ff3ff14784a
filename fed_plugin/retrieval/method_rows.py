"""Rows of tables: a method on a data set with a result for every seed that is finished."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.protocol_groups import group_by_protocol
from fed_plugin.retrieval.result import Result
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
