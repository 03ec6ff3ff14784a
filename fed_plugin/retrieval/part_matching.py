"""Similarity part by part: what each part adds to a cosine, and parts weighted by visibility.

Shape shorthand: ``Q`` queries, ``G`` gallery images, ``P`` parts, ``C`` channels, ``D = P*C``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK_ELEMENTS = 8_000_000  # float32 numbers held at once beside input and result: 32 MB


def part_contributions(
    query: NDArray[np.float32], gallery: NDArray[np.float32], num_parts: int
) -> NDArray[np.float32]:
    """Split cosines of descriptors into what each part adds; the parts sum to the cosine.

    Args:
        query: (Q, D) of unit length.
        gallery: (G, D) of unit length.
        num_parts: ``P``, the equal slices that a descriptor consists of, head to feet.

    Returns:
        (Q, G, P) float32.

    Raises:
        ValueError: ``P`` does not divide ``D``, or the ``D`` differ.
    """
    q, g = _parts(query, num_parts), _parts(gallery, num_parts)
    if q.shape[2] != g.shape[2]:
        raise ValueError(f"D is {query.shape[1]} and {gallery.shape[1]}: expected the same")
    return np.einsum("qpc,gpc->qgp", q, g, optimize=True)


def visible_similarity(
    query: NDArray[np.float32],
    query_visibility: NDArray[np.float32],
    gallery: NDArray[np.float32],
    gallery_visibility: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Compare what both images show: the mean of the parts' cosines, weighted by visibilities.

    A part's weight is the product of its visibilities in both images. Where nothing is visible in
    both, the similarity is 0.

    Args:
        query: (Q, D) descriptors.
        query_visibility: (Q, P) in [0, 1].
        gallery: (G, D) descriptors; compared block by block.
        gallery_visibility: (G, P) in [0, 1].

    Returns:
        (Q, G) float32 in [-1, 1].

    Raises:
        ValueError: ``P`` does not divide ``D``, or shapes do not belong together.
    """
    num_parts = query_visibility.shape[1]
    if gallery_visibility.shape != (len(gallery), num_parts):
        raise ValueError(
            f"visibility is {gallery_visibility.shape}: expected {(len(gallery), num_parts)}"
        )
    similarity = np.empty((len(query), len(gallery)), np.float32)
    step = max(1, _BLOCK_ELEMENTS // max(1, gallery.shape[1], len(query) * num_parts))
    for left in range(0, len(gallery), step):
        columns = slice(left, left + step)
        similarity[:, columns] = visible_contributions(
            query, query_visibility, gallery[columns], gallery_visibility[columns]
        ).sum(axis=2)
    return similarity.clip(-1, 1)


def visible_contributions(
    query: NDArray[np.float32],
    query_visibility: NDArray[np.float32],
    gallery: NDArray[np.float32],
    gallery_visibility: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Split :func:`visible_similarity` into what each part adds; the arguments are the same.

    Returns:
        (Q, G, P) float32, at once: for a few images.
    """
    num_parts = query_visibility.shape[1]
    q, g = _unit_parts(query, num_parts), _unit_parts(gallery, num_parts)
    cosines = np.einsum("qpc,gpc->qgp", q, g, optimize=True)
    weights = query_visibility[:, None] * gallery_visibility[None]  # (Q, G, P)
    total = np.broadcast_to(weights.sum(axis=2, keepdims=True), weights.shape)
    return np.divide(weights * cosines, total, out=np.zeros_like(cosines), where=total > 0)


def _parts(descriptors: NDArray[np.float32], num_parts: int) -> NDArray[np.float32]:
    count, numbers = descriptors.shape
    if num_parts < 1 or numbers % num_parts:
        raise ValueError(f"{num_parts} parts do not divide descriptors of {numbers} numbers")
    return descriptors.reshape(count, num_parts, numbers // num_parts)


def _unit_parts(descriptors: NDArray[np.float32], num_parts: int) -> NDArray[np.float32]:
    parts = _parts(descriptors, num_parts)
    return parts / np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-12)
