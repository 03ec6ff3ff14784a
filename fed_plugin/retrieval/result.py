"""Results: what a ranking is worth per query and in the mean, with intervals and a protocol card.

The file is JSON of format "fed_plugin.result/1". With its lists per query anybody can repeat a
paired test, draw a CMC curve, or look a query up, without the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import StoredAsJson, convert
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import bootstrap_interval

METRICS = ("Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
Groups = Literal["query", "identity"]
GROUPS: tuple[str, ...] = get_args(Groups)
"""What a bootstrap draws: query by query, or an identity with all its queries."""
_PER_QUERY = ("first_hits", "average_precisions", "inverse_negative_penalties")


class _Lists(msgspec.Struct):
    names: list[str]
    first_hits: list[int]
    average_precisions: list[float]
    inverse_negative_penalties: list[float]
    pids: list[int] | None = None


class _Content(msgspec.Struct):
    format: Literal["fed_plugin.result/1"]
    method: str
    metrics: dict[str, Estimate]
    queries: _Lists
    card: dict[str, Any]
    undefined: dict[str, str] = {}
    groups: Groups = "query"


@dataclass(frozen=True, eq=False)
class Queries:
    """Outcome of a ranking for each of V queries that have a right answer, by file name.

    The arrays (V,) are those of a :class:`RankingResult`, and int64 identities, which are None for
    a file of an older version.

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
        for key in ("pids", *_PER_QUERY):
            values = getattr(self, key)
            if values is None:
                continue
            if values.shape != (count,):
                raise ValueError(f"queries.{key} has shape {values.shape}: expected ({count},)")
            most = np.inf if key in ("pids", "first_hits") else 1
            if key != "pids" and not ((values >= 0) & (values <= most)).all():
                raise ValueError(
                    f"queries.{key}: expected {'shares in [0, 1]' if most == 1 else 'ranks from 0'}"
                )

    def percentages(self, metric: str) -> NDArray[np.float64]:
        """Return (V,) numbers in [0, 100] whose mean is ``mAP``, ``mINP``, or a ``Rank-k``."""
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
    """Numbers of one method on one test set: percentages by name, and the outcome per query.

    ``card`` is the protocol card, as JSON has it; empty if not known. ``undefined`` holds the
    reason why a metric is missing. The intervals of means over queries draw ``groups``, of
    ``GROUPS``.
    """

    CALLED = "a result"

    method: str
    metrics: Mapping[str, Estimate]
    queries: Queries
    card: Mapping[str, Any]
    undefined: Mapping[str, str] = field(default_factory=dict)
    groups: str = "query"

    def to_json(self) -> dict[str, Any]:
        """Return the content of the file."""
        lists = {key: getattr(self.queries, key).tolist() for key in _PER_QUERY}
        if self.queries.pids is not None:
            lists["pids"] = self.queries.pids.tolist()
        return {
            "format": "fed_plugin.result/1",
            "method": self.method,
            "metrics": {name: one.to_json() for name, one in self.metrics.items()},
            "undefined": dict(self.undefined),
            "groups": self.groups,
            "queries": {"names": list(self.queries.names), **lists},
            "card": dict(self.card),
        }

    @classmethod
    def from_json(cls, content: Any) -> Result:
        """Read the content of a file.

        Raises:
            ValueError: The content is no result.
        """
        file = convert(content, _Content)
        lists = file.queries
        queries = Queries(
            tuple(lists.names),
            np.asarray(lists.first_hits, np.int64),
            *(np.asarray(getattr(lists, key), np.float64) for key in _PER_QUERY[1:]),
            pids=None if lists.pids is None else np.asarray(lists.pids, np.int64),
        )
        return cls(file.method, file.metrics, queries, file.card, file.undefined, file.groups)


# Results by visible share, where a data set has the visible share of every query.

EDGES = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
VISIBLE_SHARE_METRICS = ("Rank-1", "mAP", "mINP")


@dataclass(frozen=True)
class VisibleShareRow:
    """Numbers of the queries in one range of visible shares.

    ``high`` belongs to the next range; the last range holds its upper end. ``metrics`` are
    percentages by name, with 95 % intervals over these queries.
    """

    low: float
    high: float
    count: int
    metrics: Mapping[str, Estimate]


def by_visible_share(
    queries: Queries, shares: Mapping[str, float], edges: Sequence[float] = EDGES
) -> list[VisibleShareRow]:
    """Summarize the queries of each range of visible shares that has any, the least visible first.

    ``shares`` are visible shares by file name; more names than the queries' are allowed. ``edges``
    are rising ends of the ranges; a range holds its lower end, the last range both ends.

    Raises:
        ValueError: The edges do not rise, or a query has no share, or a share outside the edges.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges {list(edges)}: expected two numbers or more that rise")
    missing = [name for name in queries.names if name not in shares]
    if missing:
        raise ValueError(
            f"{missing[0]!r} and {len(missing) - 1} more queries have no visible share: expected "
            f"one for each of {len(queries.names)}; try the side file of the same data set"
        )
    visible = np.array([shares[name] for name in queries.names], dtype=np.float64)
    outside = np.flatnonzero(~((visible >= edges[0]) & (visible <= edges[-1])))
    if outside.size:
        raise ValueError(
            f"{queries.names[outside[0]]!r} has the visible share {visible[outside[0]]:g}: "
            f"expected one from {edges[0]:g} to {edges[-1]:g}"
        )
    places = np.minimum(np.searchsorted(edges, visible, side="right") - 1, len(edges) - 2)
    values = {name: queries.percentages(name) for name in VISIBLE_SHARE_METRICS}
    rows = []
    for place in np.unique(places):
        here = places == place
        metrics = {name: bootstrap_interval(some[here]) for name, some in values.items()}
        ends = float(edges[place]), float(edges[place + 1])
        rows.append(VisibleShareRow(*ends, int(here.sum()), metrics))
    return rows


def correlate_visibility(predicted: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Return Pearson's r of a method's visibility and the visible shares of all images' parts.

    Both are (V, P), in [0, 1]. Parts that show nothing of the person, NaN in ``true``, are left
    out. Where either does not vary, r is 0.
    """
    known = ~np.isnan(true)
    pair = np.stack([predicted[known], true[known]]).astype(np.float64)
    if pair.shape[1] < 2 or not (np.ptp(pair, axis=1) > 0).all():
        return 0.0
    return float(np.corrcoef(pair)[0, 1])
