"""Compressing a gallery: whether it can be, and how far a search then has to look.

Shape shorthand: ``G`` descriptors of ``D`` numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.compressed_descriptors import CompressedDescriptors
from fed_plugin.retrieval.exact_descriptors import ExactDescriptors

SAMPLE = 20_000
"""Descriptors that are looked at to find what may be left out."""

SAME = 0.0001
"""Of a similarity: answers that differ by less are equally good."""

_BLOCK = 65_536
WANTED_RECALL = 0.99
MOST_CANDIDATES = 128
"""Per answer."""

WORTHWHILE = 0.002
"""Share of the answers that doubling the candidates must find; else what was left out decides."""


def compress(
    exact: ExactDescriptors, top: int = 50, queries: int = 100
) -> tuple[CompressedDescriptors, float]:
    """Compress a gallery, and let its search look as far as it must.

    Candidates are doubled until the search finds 99 % of the right answers, or no more of them:
    descriptors that vary along many directions need more. Beside ``exact`` and what is returned, a
    sample and a block of descriptors are in memory.

    Args:
        exact: (G, D) of unit length.
        top: how many answers of each query are compared with the exact ones.
        queries: how many of the descriptors ask, evenly spread over them.

    Returns:
        What holds them, and the share of its answers that are as good as the exact ones.

    Raises:
        ValueError: Too few descriptors to know what may be left out.
    """
    check_enough(len(exact), exact.width)
    compressed = CompressedDescriptors.trained(exact.restored(_spread(len(exact), SAMPLE)))
    for start in range(0, len(exact), _BLOCK):
        compressed.add(exact.restored(slice(start, start + _BLOCK)))
    asking, worst = _asking(exact, top, queries)
    compressed.lost = compressed.lost_by(asking)
    top = min(top, len(exact))
    recall = _as_good(compressed, exact, asking, worst, top)
    most = min(MOST_CANDIDATES, -(-len(exact) // top))
    while recall < WANTED_RECALL and compressed.candidates < most:
        fewer, found = compressed.candidates, recall
        compressed.candidates = min(2 * fewer, most)
        recall = _as_good(compressed, exact, asking, worst, top)
        if recall - found < WORTHWHILE:
            compressed.candidates = fewer
            return compressed, found
    return compressed, recall


def check_enough(count: int, width: int) -> None:
    """Refuse to compress few descriptors.

    Args:
        count: ``G``.
        width: ``D``.

    Raises:
        ValueError: Fewer than a quarter of ``D``: what they vary along is not known.
    """
    if count < max(2, width // 4):
        raise ValueError(
            f"{count} descriptors of {width} numbers: expected {width // 4} or more to find out "
            "what may be left out of them; try an exact index, which is small with so few"
        )


def _asking(
    exact: ExactDescriptors, top: int, queries: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return descriptors (Q, D) that ask, and how similar their last exact answer is (Q, 1)."""
    asking = exact.restored(_spread(len(exact), queries))
    return asking, exact.search(asking, min(top, len(exact)))[0][:, -1:]


def _as_good(
    compressed: CompressedDescriptors,
    exact: ExactDescriptors,
    asking: NDArray[np.float32],
    worst: NDArray[np.float32],
    top: int,
) -> float:
    """Return the share of answers that are as similar as ``worst``, or less so by SAME at most.

    Which of many copies of a photo is found is all one.
    """
    rows = compressed.search(asking, top)[1]  # (Q, top)
    found = exact.restored(rows.ravel()).reshape(len(asking), top, -1)
    return float((np.einsum("qd,qkd->qk", asking, found) >= worst - SAME).mean())


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return rows, evenly spread over ``count``, ``most`` or all."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
