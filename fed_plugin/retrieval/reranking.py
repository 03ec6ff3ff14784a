"""Re-ranking with k-reciprocal encoding: two images are near if they share their neighbours.

Every image is encoded by a row ``V``: weights of its mutual neighbours, a few dozen images. The
Jaccard distance of two images compares their rows. The rows are sparse; therefore N images need
memory for N times some dozens of numbers, not for N x N.

Source: Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding
(CVPR 2017), equations 2 to 10. The paper leaves details open: an image is its own first neighbour,
half of ``k1`` is rounded to even and one is added, rows of ``V`` sum to 1. These details are those
of fast-reid's ``TEST.RERANK``; therefore the numbers are comparable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from fed_plugin.retrieval.distances import Floats, checked_features


def jaccard_distance(
    features: Any, k1: int = 20, k2: int = 6, num_query: int | None = None
) -> Floats:
    """Compute the Jaccard distance of the k-reciprocal encodings of images.

    Args:
        features: (N, D), queries first, NumPy array or torch tensor of any float type. Neighbours
            are exact, by squared Euclidean distance.
        k1: number of neighbours of an image, itself included; at most N.
        k2: number of neighbours over which encodings are averaged, at most ``k1``; 1 averages none.
        num_query: Q, for distances (Q, N - Q) of queries and gallery, in [0, 1]; None returns those
            of all images, (N, N).

    Raises:
        ValueError: The features are not finite, too large or not two-dimensional, ``k1`` or ``k2``
            is below 1, or there is no query or no gallery image.
    """
    features = np.ascontiguousarray(checked_features("images'", features))
    count = len(features)
    with np.errstate(over="ignore"):
        squares = np.einsum("nd,nd->n", features, features)
        fits = np.isfinite(4 * squares.max())  # (a - b)^2 <= 4 max(a^2, b^2)
    if not fits:
        raise ValueError(
            f"images' features reach {np.abs(features).max():.3g}: expected numbers whose squared "
            "distances float32 can hold; try unit length, or checking the model (a diverged run?)"
        )
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1={k1}, k2={k2}: expected at least 1 of each; try 20 and 6")
    if num_query is not None and not 0 < num_query < count:
        expected = f"expected at least 1, and fewer than the {count} images"
        raise ValueError(f"num_query={num_query}: {expected}")
    import faiss

    index = faiss.IndexFlatL2(features.shape[1])
    index.add(features)
    neighbors = index.search(features, min(k1, count))[1]  # (N, k1), the nearest first
    members = _mutual_neighbors(neighbors, int(np.around(k1 / 2)) + 1)
    encoding = _weighted(features, squares, members)  # V, (N, N)
    if k2 > 1:
        near = neighbors[:, :k2]
        encoding = _of_rows(near, 1 / near.shape[1]) @ encoding  # averages rows: equation 10
    if num_query is None:
        return _jaccard(encoding, encoding)
    return _jaccard(encoding[:num_query], encoding[num_query:])


def _mutual_neighbors(neighbors: NDArray[np.int64], half: int) -> csr_matrix:
    """Return R*, 1 where the set of an image (row) holds another one (column): equations 2 to 4."""
    mutual = _mutual(neighbors)
    near = _mutual(neighbors[:, :half])
    sizes = np.diff(near.indptr).astype(np.float32)  # |R(q, k1 / 2)|
    shared = (mutual @ near.T).multiply(mutual).tocsr()  # |R(p, k1) and R(q, k1 / 2)|
    shared.data = (shared.data > 2 / 3 * sizes[shared.indices]).astype(np.float32)
    members = (mutual + shared @ near).tocsr()
    members.eliminate_zeros()
    members.sort_indices()
    return members


def _mutual(neighbors: NDArray[np.int64]) -> csr_matrix:
    """Return R, 1 where two images are neighbours of each other: equation 2."""
    ones = _of_rows(neighbors, 1.0)
    return ones.multiply(ones.T).tocsr()


def _of_rows(columns: NDArray[np.int64], value: float) -> csr_matrix:
    rows, width = columns.shape
    data = np.full(columns.size, value, np.float32)
    starts = np.arange(0, columns.size + 1, width)
    return csr_matrix((data, columns.ravel(), starts), shape=(rows, rows))


def _weighted(features: Floats, squares: Floats, members: csr_matrix) -> csr_matrix:
    """Return V: weights fall with the squared distance, and a row sums to 1: equation 7."""
    weights = np.empty(members.nnz, np.float32)
    for row, (start, end) in enumerate(zip(members.indptr[:-1], members.indptr[1:], strict=True)):
        if start == end:
            continue
        columns = members.indices[start:end]
        distances = squares[row] + squares[columns] - 2 * (features[columns] @ features[row])
        falling = np.exp(distances.min() - distances)
        weights[start:end] = falling / falling.sum()
    return csr_matrix((weights, members.indices, members.indptr), shape=members.shape)


def _jaccard(encoding: csr_matrix, others: csr_matrix) -> Floats:
    """Return the Jaccard distance of rows: 1 - sum of minima / sum of maxima, equation 8.

    Rows sum to 1; therefore the maxima sum to 2 minus the minima. Only common columns add to the
    minima: a row's entries are paired with the entries of ``others`` in the same column.
    """
    by_column = others.tocsc()
    starts, counts = by_column.indptr[:-1], np.diff(by_column.indptr)
    distances = np.empty((encoding.shape[0], others.shape[0]), np.float32)
    for row, (start, end) in enumerate(zip(encoding.indptr[:-1], encoding.indptr[1:], strict=True)):
        columns, values = encoding.indices[start:end], encoding.data[start:end]
        many = counts[columns]
        ends = np.cumsum(many)
        entries = np.repeat(starts[columns] - ends + many, many) + np.arange(many.sum())
        shared = np.minimum(np.repeat(values, many), by_column.data[entries])
        minima = np.bincount(by_column.indices[entries], shared, others.shape[0])
        distances[row] = 1 - minima / (2 - minima)
    return np.maximum(distances, 0, out=distances)
