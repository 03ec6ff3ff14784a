"""When too little of a person is visible: what refusing to answer costs, and what it gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class RefusalRow:
    """Hold what one threshold does.

    Args:
        threshold: queries whose mean visibility is below get no answer.
        refused: share of the queries.
        rank1: share of right first answers among those answered; NaN if none is.
        refused_right: share of the refused whose first answer would have been right: the cost; NaN
            if none is refused.
    """

    threshold: float
    refused: float
    rank1: float
    refused_right: float


def refusal_curve(
    visibility: NDArray[np.floating], hits: ArrayLike, thresholds: Sequence[float] = THRESHOLDS
) -> list[RefusalRow]:
    """Compute cost and benefit of refusing queries of which too little is visible.

    Args:
        visibility: (V, P) in [0, 1], as the model estimates it.
        hits: (V,) was the first answer right?
        thresholds: of the mean over the parts.
    """
    visible, right = np.asarray(visibility).mean(axis=1), np.asarray(hits, bool)
    rows = []
    for threshold in thresholds:
        refused = visible < threshold
        kept, lost = right[~refused], right[refused]
        rows.append(
            RefusalRow(
                float(threshold),
                float(refused.mean()),
                float(kept.mean()) if kept.size else float("nan"),
                float(lost.mean()) if lost.size else float("nan"),
            )
        )
    return rows
