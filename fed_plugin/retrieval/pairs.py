"""The pairs of queries and gallery images that the camera rule allows, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.ranking import checked_distances, checked_labels

_BLOCK_ELEMENTS = 4_000_000  # distances looked at in one go


@dataclass(frozen=True)
class PairBlock:
    """Hold some rows of the distances and what their pairs are.

    Same identity *and* camera is neither right nor wrong: the protocol takes such a pair out.

    Attributes:
        distances: (R, G) rows of the distances, a view.
        right: (R, G) bool: same identity, other camera.
        wrong: (R, G) bool: other identity.
    """

    distances: NDArray
    right: NDArray
    wrong: NDArray


class Pairs:
    """Go through all pairs under the same-identity-and-camera rule in bounded memory.

    Args:
        distmat: (Q, G) distances, any real dtype.
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.

    Raises:
        ValueError: The shapes do not fit, or a distance is NaN.
        TypeError: The distances are not real numbers.
    """

    def __init__(
        self,
        distmat: ArrayLike,
        q_pids: ArrayLike,
        g_pids: ArrayLike,
        q_camids: ArrayLike,
        g_camids: ArrayLike,
    ) -> None:
        self.distmat = checked_distances(distmat)
        count_q, count_g = self.distmat.shape
        self.q_pids = checked_labels("q_pids", q_pids, count_q)
        self.g_pids = checked_labels("g_pids", g_pids, count_g)
        self.q_camids = checked_labels("q_camids", q_camids, count_q)
        self.g_camids = checked_labels("g_camids", g_camids, count_g)

    def __iter__(self) -> Iterator[PairBlock]:
        rows = max(1, _BLOCK_ELEMENTS // self.distmat.shape[1])
        for top in range(0, self.distmat.shape[0], rows):
            some = slice(top, top + rows)
            same_pid = self.q_pids[some, None] == self.g_pids
            other_camera = self.q_camids[some, None] != self.g_camids
            yield PairBlock(self.distmat[some], same_pid & other_camera, ~same_pid)
