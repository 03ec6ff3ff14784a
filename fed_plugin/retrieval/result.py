"""Results: what a ranking is worth, per query and in the mean, with intervals and a protocol card.

JSON, format "fed_plugin.result/1". The lists per query let anybody repeat a paired test, draw a CMC
curve, or look a query up, without the features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.json_files import StoredAsJson, reading

FORMAT = "fed_plugin.result/1"
METRICS = ("Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
GROUPS = ("query", "identity")
"""What a bootstrap draws: query by query, or an identity with all its queries."""
_PER_QUERY = ("first_hits", "average_precisions", "inverse_negative_penalties")


@dataclass(frozen=True)
class Metric:
    """A percentage and its 95 % interval, finite numbers all; low and high None: no interval."""

    value: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self}: expected both ends of an interval, or none")
        numbers = [self.value, *(end for end in (self.low, self.high) if end is not None)]
        if not np.isfinite(numbers).all():
            raise ValueError(f"{self}: expected finite numbers")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, eq=False)
class Queries:
    """What a ranking says of each query that has a right answer, V of them.

    Args:
        names: V file names.
        first_hits: (V,) int64, rank of the first right answer, counted from 0.
        average_precisions: (V,) in (0, 1].
        inverse_negative_penalties: (V,) in (0, 1].
        pids: (V,) int64, identities; None where an older file does not say them.

    Raises:
        ValueError: Lengths, names or ranges do not fit.
    """

    names: tuple[str, ...]
    first_hits: NDArray[np.int64]
    average_precisions: NDArray[np.float64]
    inverse_negative_penalties: NDArray[np.float64]
    pids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(set(self.names)) != count:
            raise ValueError(f"queries.names has {count} names: expected some, each once")
        if self.pids is not None and self.pids.shape != (count,):
            raise ValueError(f"queries.pids has shape {self.pids.shape}: expected ({count},)")
        for key in _PER_QUERY:
            values = getattr(self, key)
            if values.shape != (count,):
                raise ValueError(f"queries.{key} has shape {values.shape}: expected ({count},)")
            shares = key != "first_hits"
            if not ((values >= 0).all() and (not shares or (values <= 1).all())):
                raise ValueError(
                    f"queries.{key}: expected {'shares in [0, 1]' if shares else 'ranks from 0 on'}"
                )

    def percentages(self, metric: str) -> NDArray[np.float64]:
        """Return (V,) numbers in [0, 100] whose mean is the metric.

        Args:
            metric: ``mAP``, ``mINP``, or ``Rank-`` and a number from 1 on.
        """
        if metric == "mAP":
            return 100 * self.average_precisions
        if metric == "mINP":
            return 100 * self.inverse_negative_penalties
        rank_name, _, k = metric.partition("-")
        if rank_name != "Rank" or not k.isdigit() or k == "0":
            raise ValueError(f"metric {metric!r}: expected one of {', '.join(METRICS)}")
        return 100.0 * (self.first_hits < int(k))


@dataclass(frozen=True, eq=False)
class Result(StoredAsJson):
    """One method's numbers on one test set.

    Args:
        method: what stands in a table's first column.
        metrics: percentages by name.
        queries: what they are means of.
        card: the protocol card, as JSON has it; empty if unknown.
        undefined: why a metric that others have is not among these, by its name.
        groups: what was drawn for the intervals of means over queries, one of ``GROUPS``.
    """

    CALLED = "a result"

    method: str
    metrics: Mapping[str, Metric]
    queries: Queries
    card: Mapping[str, Any]
    undefined: Mapping[str, str] = field(default_factory=dict)
    groups: str = "query"

    def __post_init__(self) -> None:
        if self.groups not in GROUPS:
            raise ValueError(f"groups {self.groups!r}: expected one of {', '.join(GROUPS)}")

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds, as JSON has it."""
        lists = {key: getattr(self.queries, key).tolist() for key in _PER_QUERY}
        if self.queries.pids is not None:
            lists["pids"] = self.queries.pids.tolist()
        return {
            "format": FORMAT,
            "method": self.method,
            "metrics": {
                name: {"value": metric.value, "low": metric.low, "high": metric.high}
                for name, metric in self.metrics.items()
            },
            "undefined": dict(self.undefined),
            "groups": self.groups,
            "queries": {"names": list(self.queries.names), **lists},
            "card": dict(self.card),
        }

    @classmethod
    def from_json(cls, content: Any) -> Result:
        """Read what :meth:`to_json` returns.

        Raises:
            ValueError: It is something else.
        """
        with reading(content, FORMAT):
            return cls(
                str(content["method"]),
                {str(name): _metric(metric) for name, metric in content["metrics"].items()},
                _queries(content["queries"]),
                dict(content["card"]),
                {str(name): str(why) for name, why in content.get("undefined", {}).items()},
                str(content.get("groups", GROUPS[0])),
            )


def _metric(content: Any) -> Metric:
    ends = (content["low"], content["high"])
    return Metric(float(content["value"]), *(None if end is None else float(end) for end in ends))


def _queries(lists: Any) -> Queries:
    return Queries(
        tuple(map(str, lists["names"])),
        _integers("first_hits", lists["first_hits"]),
        *(np.asarray(lists[key], dtype=np.float64) for key in _PER_QUERY[1:]),
        pids=None if lists.get("pids") is None else _integers("pids", lists["pids"]),
    )


def _integers(key: str, values: Any) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"queries.{key} holds {numbers.dtype}: expected integers")
    return numbers.astype(np.int64)
