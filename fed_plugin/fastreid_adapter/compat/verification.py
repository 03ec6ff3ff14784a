"""Row 24, found here: TPR@FPR of ``TEST.ROC`` has right and wrong pairs exchanged."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from .mending import mend, replace


def takes_wrong_pairs_for_positive(evaluate_roc: Any) -> bool:
    """Tell whether a near pair of one identity gets a label below that of a far one of two."""
    import numpy as np

    distances, q_pids, g_pids = np.array([[0.25, 0.75]]), np.array([1]), np.array([1, 2])
    cameras = np.array([0]), np.array([1, 1])
    scores, labels = evaluate_roc(distances, q_pids, g_pids, *cameras, use_cython=False)
    label_at = dict(zip(np.abs(scores).tolist(), labels.tolist(), strict=True))
    return bool(label_at[0.25] < label_at[0.75])


@mend(
    row=24,
    after="fastreid.evaluation.roc",
    reason="TPR@FPR takes pairs of two people for the positive ones",
)
def roc_counts_right_pairs_as_positive(module: ModuleType) -> bool:
    """Let ``evaluate_roc`` return similarities, and 1 for pairs of one person.

    NOTE(host): the evaluator goes on reading the nearest point of the curve, on either side of the
    rate it prints; ``fed_plugin.retrieval.verify_pairs`` stays at or below it.
    """
    stock = module.evaluate_roc
    if not takes_wrong_pairs_for_positive(stock):
        return False

    @functools.wraps(stock)
    def evaluate_roc(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        distances, is_wrong = stock(*args, **kwargs)
        return -distances, 1 - is_wrong

    replace(module, "evaluate_roc", evaluate_roc)
    return True
