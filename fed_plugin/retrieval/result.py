"""Results: what a ranking is worth, per query and in the mean, with intervals and a protocol card.

JSON, format "fed_plugin.result/1". The lists per query let anybody repeat a paired test, draw a CMC
curve, or look a query up, without the features.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.whole_files import written_whole

FORMAT = "fed_plugin.result/1"
METRICS = ("Rank-1", "Rank-5", "Rank-10", "mAP", "mINP")
_PER_QUERY = ("first_hits", "average_precisions", "inverse_negative_penalties")


@dataclass(frozen=True)
class Metric:
    """A percentage and its 95 % interval, finite numbers all."""

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.value, self.low, self.high]).all():
            raise ValueError(f"{self}: expected finite numbers")


@dataclass(frozen=True, eq=False)
class Queries:
    """What a ranking says of each query that has a right answer, V of them.

    Args:
        names: V file names.
        first_hits: (V,) int64, rank of the first right answer, counted from 0.
        average_precisions: (V,) in (0, 1].
        inverse_negative_penalties: (V,) in (0, 1].

    Raises:
        ValueError: Lengths, names or ranges do not fit.
    """

    names: tuple[str, ...]
    first_hits: NDArray[np.int64]
    average_precisions: NDArray[np.float64]
    inverse_negative_penalties: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.names)
        if not count or len(set(self.names)) != count:
            raise ValueError(f"queries.names has {count} names: expected some, each once")
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
class Result:
    """One method's numbers on one test set.

    Args:
        method: what stands in a table's first column.
        metrics: percentages by name.
        queries: what they are means of.
        card: the protocol card, as JSON has it; empty if unknown.
    """

    method: str
    metrics: Mapping[str, Metric]
    queries: Queries
    card: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds, as JSON has it."""
        lists = {key: getattr(self.queries, key).tolist() for key in _PER_QUERY}
        return {
            "format": FORMAT,
            "method": self.method,
            "metrics": {name: vars(metric) for name, metric in self.metrics.items()},
            "queries": {"names": list(self.queries.names), **lists},
            "card": dict(self.card),
        }

    @classmethod
    def from_json(cls, content: Any) -> Result:
        """Read what :meth:`to_json` returns.

        Raises:
            ValueError: It is something else.
        """
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        if found != FORMAT:
            raise ValueError(f"format {found!r}: expected {FORMAT!r}")
        try:
            metrics = {
                str(name): Metric(*(float(metric[key]) for key in ("value", "low", "high")))
                for name, metric in content["metrics"].items()
            }
            lists = content["queries"]
            first_hits = np.asarray(lists["first_hits"])
            if first_hits.dtype.kind not in "iu":
                raise ValueError(f"queries.first_hits holds {first_hits.dtype}: expected integers")
            queries = Queries(
                tuple(map(str, lists["names"])),
                first_hits.astype(np.int64),
                *(np.asarray(lists[key], dtype=np.float64) for key in _PER_QUERY[1:]),
            )
            return cls(str(content["method"]), metrics, queries, dict(content["card"]))
        except KeyError as error:
            raise ValueError(f"no key {error}: expected all of {FORMAT}") from error
        except (TypeError, AttributeError) as error:
            raise ValueError(f"a value of the wrong kind ({error})") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result; the file is there whole or not at all."""
        with written_whole(path) as file:
            file.write((json.dumps(self.to_json(), allow_nan=False) + "\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Result:
        """Read a result.

        Raises:
            FileNotFoundError: No such file.
            ValueError: It is not a result; the message names the file.
        """
        try:
            return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: not a result: {error}") from error
