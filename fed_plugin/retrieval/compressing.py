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
        What holds them, and the share of the exact answers that it finds.

    Raises:
        ValueError: Too few descriptors to know what may be left out.
    """
    check_enough(len(exact), exact.width)
    compressed = CompressedDescriptors.trained(exact.restored(_spread(len(exact), SAMPLE)))
    for start in range(0, len(exact), _BLOCK):
        compressed.add(exact.restored(slice(start, start + _BLOCK)))
    asking = exact.restored(_spread(len(exact), queries))
    right = exact.search(asking, min(top, len(exact)))[1]
    recall = recall_of(compressed, asking, right)
    most = min(MOST_CANDIDATES, -(-len(exact) // right.shape[1]))
    while recall < WANTED_RECALL and compressed.candidates < most:
        fewer, found = compressed.candidates, recall
        compressed.candidates = min(2 * fewer, most)
        recall = recall_of(compressed, asking, right)
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


def recall_of(
    compressed: CompressedDescriptors, asking: NDArray[np.float32], right: NDArray[np.int64]
) -> float:
    """Return the share of the exact answers that a search through what was compressed finds.

    Args:
        compressed: to search.
        asking: (Q, D) of unit length.
        right: (Q, K) rows, the most similar ones of each.
    """
    found = compressed.search(asking, right.shape[1])[1]
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(right, found, strict=True)]))


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return rows, evenly spread over ``count``, ``most`` or all."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
