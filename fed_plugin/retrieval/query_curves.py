"""What becomes of every query as it is covered, and the area under what becomes of it.

Shape shorthand: ``V`` queries, ``L`` visible shares below 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("Rank-1", "mAP")


@dataclass(frozen=True, eq=False)
class QueryCurves:
    """What became of every query, in the mean over the sides.

    Args:
        names: V file names.
        visible_shares: 1, where nothing is pasted, then L falling shares above 0.
        values: (1 + L, V) percentages by kind and metric; the first rows of all kinds agree.

    Raises:
        ValueError: names, shares, shapes or ranges do not fit.
    """

    names: tuple[str, ...]
    visible_shares: tuple[float, ...]
    values: Mapping[str, Mapping[str, NDArray[np.float64]]]

    def __post_init__(self) -> None:
        shares, count = np.asarray(self.visible_shares, dtype=np.float64), len(self.names)
        if not count or len(set(self.names)) != count:
            raise ValueError(f"per_query.names has {count} names: expected some, each once")
        falls = shares.ndim == 1 and shares.size > 1 and bool((np.diff(shares) < 0).all())
        if not (falls and shares[0] == 1 and shares[-1] > 0):
            raise ValueError(
                f"per_query.visible_shares is {list(self.visible_shares)}: expected 1, then shares "
                "in (0, 1) that fall"
            )
        if not self.values:
            raise ValueError("per_query.values: expected a kind of occluder or more, got none")
        for kind, metrics in self.values.items():
            for name in METRICS:
                values = metrics[name]
                if values.shape != (shares.size, count):
                    raise ValueError(
                        f"per_query.values.{kind}.{name} has shape {values.shape}: expected "
                        f"{(shares.size, count)}"
                    )
                if not ((values >= 0).all() and (values <= 100).all()):
                    raise ValueError(f"per_query.values.{kind}.{name}: expected percentages")

    def percentages(self, metric: str, kind: str | None = None) -> NDArray[np.float64]:
        """Return (1 + L, V) percentages of one kind of occluder, or their mean over the kinds."""
        kinds = self.values if kind is None else [kind]
        return np.mean([self.values[one][metric] for one in kinds], axis=0)

    def whole(self, metric: str) -> NDArray[np.float64]:
        """Return (V,) percentages where nothing is pasted."""
        return self.percentages(metric)[0]

    def areas(self, metric: str, kind: str | None = None) -> NDArray[np.float64]:
        """Return (V,) areas in [0, 100], whose mean is the area of the mean curve."""
        return area_weights(self.visible_shares) @ self.percentages(metric, kind)


def area_weights(visible_shares: Sequence[float]) -> NDArray[np.float64]:
    """Return (1 + L,) weights of a curve's points in its area; they sum to 1.

    Args:
        visible_shares: 1 and L falling shares.
    """
    steps = -np.diff(np.asarray(visible_shares, dtype=np.float64))
    return (np.append(steps, 0) + np.append(0, steps)) / (2 * steps.sum())
