"""Results: what a ranking is worth, per query and in the mean, with intervals and a protocol card.

JSON, format "fed_plugin.result/1". The lists per query let anybody repeat a paired test, draw a CMC
curve, or look a query up, without the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import StoredAsJson, reading
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import bootstrap_interval

FORMAT = "fed_plugin.result/1"
METRICS = ("Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
GROUPS = ("query", "identity")
"""What a bootstrap draws: query by query, or an identity with all its queries."""
_PER_QUERY = ("first_hits", "average_precisions", "inverse_negative_penalties")


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
    metrics: Mapping[str, Estimate]
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
            "metrics": {name: one.to_json() for name, one in self.metrics.items()},
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


def _metric(content: Any) -> Estimate:
    ends = (content["low"], content["high"])
    return Estimate(float(content["value"]), *(None if end is None else float(end) for end in ends))


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


# Results by visible share, where a data set says how much of every query can be seen.

EDGES = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
VISIBLE_SHARE_METRICS = ("Rank-1", "mAP", "mINP")


@dataclass(frozen=True)
class VisibleShareRow:
    """Hold what the queries of one range of visible shares are worth.

    Args:
        low: lower end of the range.
        high: upper end, which belongs to the next range but for the last one.
        count: queries in the range.
        metrics: percentages by name, with 95 % intervals over these queries.
    """

    low: float
    high: float
    count: int
    metrics: Mapping[str, Estimate]


def by_visible_share(
    queries: Queries, shares: Mapping[str, float], edges: Sequence[float] = EDGES
) -> list[VisibleShareRow]:
    """Sum up the queries of each range of visible shares.

    Args:
        queries: what a ranking says of each.
        shares: visible share of every query, by file name; others may be there as well.
        edges: rising ends of the ranges; a range holds its lower end, the last one both.

    Returns:
        A row per range that holds a query, from the least visible on.

    Raises:
        ValueError: the edges do not rise, or a query has no share, or one outside of the edges.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges {list(edges)}: expected two numbers or more that rise")
    missing = [name for name in queries.names if name not in shares]
    if missing:
        raise ValueError(
            f"{missing[0]!r} and {len(missing) - 1} more queries have no visible share: expected "
            f"one for each of {len(queries.names)}; try the side file of the same data set"
        )
    seen = np.array([shares[name] for name in queries.names], dtype=np.float64)
    outside = np.flatnonzero(~((seen >= edges[0]) & (seen <= edges[-1])))
    if outside.size:
        raise ValueError(
            f"{queries.names[outside[0]]!r} has the visible share {seen[outside[0]]:g}: expected "
            f"one from {edges[0]:g} to {edges[-1]:g}"
        )
    places = np.searchsorted(edges, seen, side="right") - 1
    places = np.minimum(places, len(edges) - 2)
    values = {name: queries.percentages(name) for name in VISIBLE_SHARE_METRICS}
    return [
        VisibleShareRow(
            float(edges[place]),
            float(edges[place + 1]),
            int(count),
            {name: bootstrap_interval(some[places == place]) for name, some in values.items()},
        )
        for place, count in enumerate(np.bincount(places, minlength=len(edges) - 1))
        if count
    ]


def correlate_visibility(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Correlate what a method says of the parts of images with what can be seen of them.

    Args:
        predicted: (V, P) visibility in [0, 1].
        true: (V, P) visible shares; NaN where a part shows nothing of the person, which is left
            out.

    Returns:
        Pearson's r over all parts of all images; 0 where either does not vary.
    """
    known = ~np.isnan(true)
    pair = np.stack([predicted[known], true[known]]).astype(np.float64)
    if pair.shape[1] < 2 or not (np.ptp(pair, axis=1) > 0).all():
        return 0.0
    return float(np.corrcoef(pair)[0, 1])
