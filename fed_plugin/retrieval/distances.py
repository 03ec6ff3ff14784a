"""Distances and similarities between two sets of feature vectors, computed in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK_ELEMENTS = 4_000_000  # float64 numbers held at once beside input and result: 32 MB
_CACHED_ROWS = 64
Floats = NDArray[np.float32]


def cosine_distance(query: Any, gallery: Any) -> Floats:
    """Compute one minus the cosine of the angle between every query and every gallery vector.

    A vector of zeros has distance 1 from every vector, as in fast-reid.

    Args:
        query: (Q, D) features, NumPy array or torch tensor of any float type on any device.
        gallery: (G, D) features of the same kind. No gradient flows.

    Returns:
        (Q, G) float32 in [0, 2].

    Raises:
        ValueError: An input is not two-dimensional, is empty or holds NaN, or the D differ.
    """
    query, gallery = _checked_pair(query, gallery)
    return distance_of_cosine(unit_rows(query) @ unit_rows(gallery).T)


def euclidean_distance(query: Any, gallery: Any) -> Floats:
    """Compute the Euclidean distance between every query and every gallery vector.

    Blocks are computed in float64: in float32 the expanded square loses small distances.
    fast-reid's ``TEST.METRIC: euclidean`` is the square of this distance; the ranking is the same.
    Arguments and errors are those of :func:`cosine_distance`; the result is not negative.
    """
    query, gallery = _checked_pair(query, gallery)
    distances = np.empty((len(query), len(gallery)), dtype=np.float32)
    columns = max(1, _BLOCK_ELEMENTS // query.shape[1])
    for left in range(0, len(gallery), columns):
        others = gallery[left : left + columns].astype(np.float64)
        rows = max(1, _BLOCK_ELEMENTS // max(len(others), query.shape[1]))
        for top in range(0, len(query), rows):
            block = query[top : top + rows].astype(np.float64)
            squared = block @ (-2 * others.T)
            squared += np.square(block).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
            distances[top : top + rows, left : left + columns] = np.sqrt(squared.clip(min=0))
    return distances


def unit_rows(features: Floats) -> Floats:
    """Return (N, D) finite vectors at length 1; vectors of zeros stay zeros."""
    units = np.empty_like(features)
    for top in range(0, len(features), _CACHED_ROWS):  # five passes over rows in the cache
        rows = features[top : top + _CACHED_ROWS]
        largest = np.abs(rows).max(axis=1, keepdims=True)  # keeps the squares from overflowing
        rows = rows / np.maximum(largest, np.finfo(np.float32).tiny)
        length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        np.divide(rows, length, out=units[top : top + _CACHED_ROWS])
    return units


def distance_of_cosine(cosine: Floats) -> Floats:
    """Turn cosines into distances in [0, 2], in place; return the same array."""
    np.subtract(1, cosine, out=cosine)
    return np.clip(cosine, 0, 2, out=cosine)


def _checked_pair(query: Any, gallery: Any) -> tuple[Floats, Floats]:
    query, gallery = checked_features("query", query), checked_features("gallery", gallery)
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"query features have {query.shape[1]} numbers each, gallery features "
            f"{gallery.shape[1]}: expected the same; try extracting both with one model"
        )
    return query, gallery


def array_of(values: Any) -> NDArray[Any]:
    """Return an array or a torch tensor on any device as an array; NumPy has no bfloat16."""
    if hasattr(values, "detach"):  # without importing torch for it
        values = values.detach().cpu()
        values = values.float() if "bfloat16" in str(values.dtype) else values
    return np.asarray(values)


def checked_features(name: str, features: Any, first: int = 0) -> Floats:
    """Return (N, D) features, arrays or tensors of any float type on any device, as float32.

    Messages call the features ``name`` and count rows from ``first``.

    Raises:
        ValueError: The features are not two-dimensional, empty, or not finite.
    """
    features = np.asarray(array_of(features), dtype=np.float32)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"{name} features have shape {features.shape}: expected (images, D)")
    broken = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{name} features hold NaN or infinity in {broken.size} of {len(features)} rows, first "
            f"in row {first + broken[0]}: expected finite numbers; try checking the model (a "
            "diverged run?)"
        )
    return features


# Similarity part by part: the share of each part in a cosine, and parts weighted by visibility.
#
# Shape shorthand: ``Q`` queries, ``G`` gallery images, ``P`` parts, ``C`` channels, ``D = P*C``.

_MATCHING_BLOCK_ELEMENTS = 8_000_000  # float32 numbers held at once beside input and result: 32 MB


def part_contributions(query: Floats, gallery: Floats, num_parts: int) -> Floats:
    """Split cosines of descriptors (Q, D) and (G, D), of unit length, into summands (Q, G, P).

    ``num_parts`` is ``P``, the number of equal slices of a descriptor, head to feet.

    Raises:
        ValueError: ``P`` does not divide ``D``, or the ``D`` differ.
    """
    q, g = _parts(query, num_parts), _parts(gallery, num_parts)
    if q.shape[2] != g.shape[2]:
        raise ValueError(f"D is {query.shape[1]} and {gallery.shape[1]}: expected the same")
    return np.einsum("qpc,gpc->qgp", q, g, optimize=True)


def visible_similarity(
    query: Floats, query_visibility: Floats, gallery: Floats, gallery_visibility: Floats
) -> Floats:
    """Compute the mean of the parts' cosines, weighted by the visibility of each part.

    A part's weight is the product of its visibilities in both images. Without a part that is
    visible in both images the similarity is 0. Descriptors are (Q, D) and (G, D), visibilities
    (Q, P) and (G, P) in [0, 1], the result is (Q, G) in [-1, 1].

    Raises:
        ValueError: ``P`` does not divide ``D``, or the shapes do not fit.
    """
    num_parts = query_visibility.shape[1]
    expected = (len(gallery), num_parts)
    if gallery_visibility.shape != expected:
        raise ValueError(f"visibility is {gallery_visibility.shape}: expected {expected}")
    similarity = np.empty((len(query), len(gallery)), np.float32)
    step = max(1, _MATCHING_BLOCK_ELEMENTS // max(1, gallery.shape[1], len(query) * num_parts))
    for left in range(0, len(gallery), step):
        columns = slice(left, left + step)
        others = gallery[columns], gallery_visibility[columns]
        summands = visible_contributions(query, query_visibility, *others)
        similarity[:, columns] = summands.sum(axis=2)
    return similarity.clip(-1, 1)


def visible_contributions(
    query: Floats, query_visibility: Floats, gallery: Floats, gallery_visibility: Floats
) -> Floats:
    """Split :func:`visible_similarity` into summands (Q, G, P), one per part, for few images."""
    num_parts = query_visibility.shape[1]
    q, g = _unit_parts(query, num_parts), _unit_parts(gallery, num_parts)
    cosines = np.einsum("qpc,gpc->qgp", q, g, optimize=True)
    weights = query_visibility[:, None] * gallery_visibility[None]  # (Q, G, P)
    total = np.broadcast_to(weights.sum(axis=2, keepdims=True), weights.shape)
    return np.divide(weights * cosines, total, out=np.zeros_like(cosines), where=total > 0)


def _parts(descriptors: Floats, num_parts: int) -> Floats:
    count, numbers = descriptors.shape
    if num_parts < 1 or numbers % num_parts:
        raise ValueError(f"{num_parts} parts do not divide descriptors of {numbers} numbers")
    return descriptors.reshape(count, num_parts, numbers // num_parts)


def _unit_parts(descriptors: Floats, num_parts: int) -> Floats:
    parts = _parts(descriptors, num_parts)
    return parts / np.maximum(np.linalg.norm(parts, axis=2, keepdims=True), 1e-12)
