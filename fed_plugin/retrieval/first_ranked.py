"""What a ranking puts first, to look at: numbers come from :mod:`fed_plugin.retrieval.ranking`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FirstRanked:
    """Hold the gallery images that come first for every query.

    Attributes:
        places: (Q, K) int64, rows of the gallery, nearest first.
        distances: (Q, K) to the query; infinite where the camera rule leaves fewer than K images.
        matches: (Q, K) bool, true where the identity is the query's.
    """

    places: NDArray[np.int64]
    distances: NDArray[np.floating[Any]]
    matches: NDArray[np.bool_]


def first_ranked(
    distmat: NDArray[np.floating[Any]],
    q_pids: NDArray[np.integer[Any]],
    g_pids: NDArray[np.integer[Any]],
    q_camids: NDArray[np.integer[Any]],
    g_camids: NDArray[np.integer[Any]],
    count: int,
) -> FirstRanked:
    """Rank the gallery without images of the query's identity and camera, and keep the first.

    Args:
        distmat: (Q, G) distances; equal ones keep the gallery's order.
        q_pids: (Q,) identities of the queries.
        g_pids: (G,) of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) of the gallery.
        count: K, or all of the gallery if it has fewer.
    """
    same = q_pids[:, None] == g_pids
    removed = same & (q_camids[:, None] == g_camids)
    distances = np.where(removed, np.inf, distmat)
    places = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return FirstRanked(
        places,
        np.take_along_axis(distances, places, axis=1),
        np.take_along_axis(same & ~removed, places, axis=1),
    )
