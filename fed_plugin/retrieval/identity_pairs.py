"""Which gallery images are of a query's own identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.ranking import no_right_answer


@dataclass(frozen=True)
class IdentityPairs:
    """Hold the N pairs of a query and a gallery image of its identity, sorted by query, then image.

    Attributes:
        query: (N,) rows of the queries that have a right answer.
        image: (N,) rows of the gallery.
        removed: (N,) whether the camera rule takes the image out.
        starts: (V + 1,) where a query's pairs begin.
        valid: (V,) those queries' rows among all.
    """

    query: NDArray[np.int64]
    image: NDArray[np.int64]
    removed: NDArray[np.bool_]
    starts: NDArray[np.int64]
    valid: NDArray[np.int64]


def identity_pairs(
    q_pids: NDArray, g_pids: NDArray, q_camids: NDArray, g_camids: NDArray
) -> IdentityPairs:
    """Pair every query that has a right answer with the gallery images of its identity.

    Args:
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.

    Raises:
        ValueError: No query has a right answer.
    """
    by_pid = np.argsort(g_pids, kind="stable")
    starts = np.searchsorted(g_pids, q_pids, side="left", sorter=by_pid)
    ends = np.searchsorted(g_pids, q_pids, side="right", sorter=by_pid)
    counts = ends - starts
    query = np.repeat(np.arange(len(q_pids)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    image = by_pid[starts[query] + within]
    removed = g_camids[image] == q_camids[query]
    answers = np.bincount(query[~removed], minlength=len(q_pids))
    valid = np.flatnonzero(answers)
    if not valid.size:
        raise no_right_answer(len(q_pids), len(g_pids))
    kept = answers[query] > 0
    return IdentityPairs(
        np.searchsorted(valid, query[kept]),
        image[kept],
        removed[kept],
        np.concatenate(([0], np.cumsum(counts[valid]))),
        valid,
    )
