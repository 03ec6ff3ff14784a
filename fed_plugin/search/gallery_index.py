"""A gallery to search: descriptors, names, visibility, and which model described them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from fed_plugin.files import about_as_text, about_from_array, read_arrays, write_atomically
from fed_plugin.retrieval.distances import visible_similarity

# The largest inner products of queries with many vectors, without all of them in memory.

_QUERIES = 256  # of a tile
_PRODUCTS = 4_194_304  # of a tile: 16 MB
_HELD = 4  # products in waiting per answer, before only the best are kept


def best_of_blocks(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return (Q, count) rows of the vectors with the largest products, ascending.

    Only products above the smallest of a query's best so far are looked at again, which are few
    after the first blocks.

    Args:
        queries: (Q, S).
        vectors: (G, S).
        count: at least 1 and at most G.
    """
    found = np.empty((len(queries), count), np.int64)
    for top in range(0, len(queries), _QUERIES):
        tile = queries[top : top + _QUERIES]
        found[top : top + _QUERIES] = _best(np.ascontiguousarray(tile), vectors, count)
    found.sort(axis=1)
    return found


def _best(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    waiting = _Waiting(len(queries), count)
    step = min(max(1, _PRODUCTS // len(queries)), len(vectors))
    room = np.empty((len(queries), step), np.float32)  # fresh pages each time would be slow
    for start in range(0, len(vectors), step):
        block = vectors[start : start + step]
        products = np.matmul(queries, block.T, out=room if len(block) == step else None)
        if not waiting.take(products, start):
            waiting.keep_the_best()
            if not waiting.take(products, start):
                waiting.take_the_best(products, start)
    waiting.keep_the_best()
    return waiting.rows[:, :count]


class _Waiting:
    """Hold what may be among the ``count`` best of each query: products, rows, how many."""

    def __init__(self, num_queries: int, count: int) -> None:
        self.count = count
        self.products = np.full((num_queries, _HELD * count), -np.inf, np.float32)
        self.rows = np.zeros((num_queries, _HELD * count), np.int64)
        self.held = np.zeros(num_queries, np.int64)
        self.floor = np.full((num_queries, 1), -np.inf, np.float32)

    def take(self, products: NDArray[np.float32], start: int) -> bool:
        """Take what is above the floor of (Q, N) products; or nothing, if it is too much."""
        above = products > self.floor
        new = np.count_nonzero(above, axis=1)
        if (self.held + new).max() > self.products.shape[1]:
            return False
        query, column = np.divmod(np.flatnonzero(above), products.shape[1])
        place = np.arange(len(query)) - np.repeat(np.cumsum(new) - new - self.held, new)
        self.products[query, place] = products[query, column]
        self.rows[query, place] = start + column
        self.held += new
        return True

    def take_the_best(self, products: NDArray[np.float32], start: int) -> None:
        """Take the best of (Q, N) products where very many are above the floor."""
        best = _largest(products, min(self.count, products.shape[1]))
        few = np.take_along_axis(products, best, axis=1)
        self.products = np.hstack((self.products[:, : self.count], few))
        self.rows = np.hstack((self.rows[:, : self.count], start + best))
        self.keep_the_best()

    def keep_the_best(self) -> None:
        """Leave ``count`` of each query."""
        best = _largest(self.products, self.count)
        products = np.take_along_axis(self.products, best, axis=1)
        rows = np.take_along_axis(self.rows, best, axis=1)
        room = np.full((len(rows), (_HELD - 1) * self.count), -np.inf, np.float32)
        self.products = np.hstack((products, room))
        self.rows = np.hstack((rows, np.zeros(room.shape, np.int64)))
        self.held = np.isfinite(products).sum(axis=1)  # fewer, while less was seen
        self.floor = products.min(axis=1, keepdims=True)


def _largest(products: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the columns (Q, count) of each row's largest numbers, in any order."""
    return np.argpartition(products, -count, axis=1)[:, -count:]


# Descriptors at about an eighth of their size, and the search through them.
#
# Descriptors vary along few directions. Each is turned to the axes along which a gallery's are
# largest; of ``D`` numbers 3/8 are kept, the largest 1/32 as float32 and the others as one byte.
# A search looks through the first alone, which is a matrix product of 1/32 of the size, and
# compares the best of these candidates by all that was kept.
#
# Shape shorthand: ``G`` descriptors, ``D`` numbers each, ``S`` of them scanned, ``R`` in bytes.

ARRAYS = ("axes", "low", "step", "scanned", "codes")
_ENCODED_AT_ONCE = 8192
_CANDIDATES = 8  # per answer, if nobody says more
_FEWEST_ANSWERS = 50  # that candidates are looked at for, however few are wanted
_MARGIN = 0.05  # of a byte's range, for descriptors that training has not seen


class CompressedDescriptors:
    """Hold compressed descriptors.

    Args:
        axes: (S + R, D) orthonormal rows, the directions that are kept, the widest first.
        low: (R,) what the byte 0 means.
        step: (R,) by how much a byte's next value is larger.
        scanned: (G, S) float32.
        codes: (G, R) uint8.
        candidates: per answer, and for 50 answers at least, how many of those that look best by
            ``scanned`` are compared by all that was kept; more find more of the right answers, and
            take longer.
        lost: of the similarity to itself that a descriptor of the gallery has, the mean share that
            compressing costs; NaN if nobody measured it.

    Raises:
        ValueError: Arrays that do not fit each other, or no candidate.
    """

    def __init__(
        self,
        axes: NDArray[np.float32],
        low: NDArray[np.float32],
        step: NDArray[np.float32],
        scanned: NDArray[np.float32],
        codes: NDArray[np.uint8],
        candidates: int = _CANDIDATES,
        lost: float = float("nan"),
    ) -> None:
        arrays = {"axes": axes, "low": low, "step": step, "scanned": scanned, "codes": codes}
        for name, array in arrays.items():
            dimensions = 1 if name in ("low", "step") else 2
            right = array.dtype == np.uint8 if name == "codes" else array.dtype.kind == "f"
            if array.ndim != dimensions or not right:
                words = f"{dimensions} dimensions of {'bytes' if name == 'codes' else 'floats'}"
                raise ValueError(f"{name}: expected {words}, got {array.dtype} {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite numbers")
        shapes = {
            "axes": (scanned.shape[1] + len(low), axes.shape[1]),
            "step": low.shape,
            "codes": (len(scanned), len(low)),
        }
        for name, shape in shapes.items():
            if arrays[name].shape != shape:
                raise ValueError(f"{name}: expected {shape} numbers, got {arrays[name].shape}")
        if candidates < 1:
            raise ValueError(f"candidates: expected 1 or more per answer, got {candidates}")
        self.axes, self.low, self.step, self.scanned, self.codes = axes, low, step, scanned, codes
        if not (step > 0).all() or not np.allclose(np.linalg.norm(axes, axis=1), 1, atol=0.01):
            raise ValueError("axes, step: expected axes of unit length and steps above 0")
        self.candidates, self.lost = candidates, lost

    @classmethod
    def trained(cls, descriptors: NDArray[np.float32]) -> CompressedDescriptors:
        """Find what to keep, holding nothing yet.

        Args:
            descriptors: (N, D) of unit length, a sample of a gallery's.
        """
        width = descriptors.shape[1]
        scanned, kept = max(1, width // 32), max(2, 3 * width // 8)
        moments = (descriptors.T @ descriptors).astype(np.float64)
        axes = np.ascontiguousarray(np.linalg.eigh(moments)[1][:, : -kept - 1 : -1].T, np.float32)
        rest = descriptors @ axes[scanned:].T
        low, high = rest.min(axis=0), rest.max(axis=0)
        low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
        step = np.maximum((high - low) / 255, np.finfo(np.float32).tiny)
        empty = np.empty((0, scanned), np.float32), np.empty((0, kept - scanned), np.uint8)
        return cls(axes, low, step, *empty)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> CompressedDescriptors:
        """Take over arrays of a file.

        Raises:
            KeyError: One of ``ARRAYS`` is not there.
            ValueError: As the class.
        """
        candidates = _number(arrays, "candidates", "i", _CANDIDATES)
        lost = _number(arrays, "lost", "f", float("nan"))
        kept = {name: np.asarray(arrays[name]) for name in ARRAYS}
        for name, array in kept.items():
            if array.dtype == np.float64:
                kept[name] = array.astype(np.float32)
        return cls(**kept, candidates=int(candidates), lost=lost)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what :meth:`from_arrays` takes."""
        kept = {name: getattr(self, name) for name in ARRAYS}
        numbers = {"candidates": np.array(self.candidates), "lost": np.array(self.lost)}
        return {**kept, **numbers}

    def __len__(self) -> int:
        return len(self.scanned)

    @property
    def width(self) -> int:
        """``D``."""
        return int(self.axes.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(getattr(self, name).nbytes for name in ARRAYS)

    def add(self, descriptors: NDArray[np.float32]) -> None:
        """Append (N, D) descriptors of unit length."""
        width = self.scanned.shape[1]
        scanned = np.empty((len(descriptors), width), np.float32)
        codes = np.empty((len(descriptors), len(self.low)), np.uint8)
        for top in range(0, len(descriptors), _ENCODED_AT_ONCE):
            part = slice(top, top + _ENCODED_AT_ONCE)
            turned = descriptors[part] @ self.axes.T  # (N, S + R)
            scanned[part] = turned[:, :width]
            codes[part] = np.rint((turned[:, width:] - self.low) / self.step).clip(0, 255)
        self.scanned = np.concatenate((self.scanned, scanned))
        self.codes = np.concatenate((self.codes, codes))

    def lost_by(self, descriptors: NDArray[np.float32]) -> float:
        """Return what share of their similarity to themselves (N, D) descriptors lose, in the mean.

        Those that are unlike what the axes and the bytes' ranges were found from lose more.
        """
        alone = type(self)(self.axes, self.low, self.step, self.scanned[:0], self.codes[:0])
        alone.add(descriptors)
        similar = np.einsum("nd,nd->n", alone.restored(slice(None)), descriptors)
        return float((1 - similar / np.einsum("nd,nd->n", descriptors, descriptors)).mean())

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out descriptors whose row is False."""
        self.scanned, self.codes = self.scanned[rows], self.codes[rows]

    def restored(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return descriptors (N, D) as they can be told from what was kept."""
        rest = self.codes[rows] * self.step + self.low
        restored: NDArray[np.float32] = np.hstack((self.scanned[rows], rest)) @ self.axes
        return restored

    def search(
        self, descriptors: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the descriptors most like others, nearly always.

        Args:
            descriptors: (Q, D) finite, of unit length.
            top: how many of each, at least 1 and at most G.

        Returns:
            Similarities (Q, top), best first, and rows (Q, top).
        """
        turned = descriptors @ self.axes.T  # (Q, S + R)
        count = min(len(self), self.candidates * max(top, _FEWEST_ANSWERS))
        candidates = best_of_blocks(turned[:, : self.scanned.shape[1]], self.scanned, count)
        similarities = np.empty((len(turned), top), np.float32)
        rows = np.empty((len(turned), top), np.int64)
        for query, (of, among) in enumerate(zip(turned, candidates, strict=True)):
            exact = self._similarities(of, among)
            best = np.argsort(-exact, kind="stable")[:top]
            similarities[query], rows[query] = exact[best], among[best]
        return similarities, rows

    def _similarities(
        self, turned: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Compare one query (S + R,) with (N,) rows by all that was kept."""
        first, rest = np.split(turned, [self.scanned.shape[1]])
        bytes_part = self.codes[rows].astype(np.float32) @ (rest * self.step)
        found: NDArray[np.float32] = self.scanned[rows] @ first + bytes_part + rest @ self.low
        return found


def _number(arrays: Mapping[str, Any], name: str, kind: str, default: float) -> float:
    """Return a number of a file; the first files had none."""
    value = np.asarray(arrays.get(name, default))
    if value.shape or value.dtype.kind != kind:
        raise ValueError(f"{name}: expected a number, got {value.dtype} {value}")
    return value.item()  # type: ignore[no-any-return]


# Descriptors as they are, searched exactly.

_LENGTH_MAY_MISS = 0.01


class ExactDescriptors:
    """Hold (G, D) float32 descriptors in faiss; what :class:`CompressedDescriptors` does, exactly.

    Args:
        width: ``D``.
    """

    def __init__(self, width: int) -> None:
        self.faiss = faiss.IndexFlatIP(width)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> ExactDescriptors:
        """Take over arrays of a file.

        Raises:
            KeyError: ``descriptors`` is not there.
            ValueError: It is not (G, D) finite numbers.
        """
        descriptors = np.asarray(arrays["descriptors"])
        if descriptors.ndim != 2 or descriptors.dtype.kind != "f":
            raise ValueError(
                "expected names (G,) and descriptors (G, D) of floats, got "
                f"{descriptors.dtype} {descriptors.shape}"
            )
        descriptors = np.ascontiguousarray(descriptors, np.float32)
        if not np.isfinite(descriptors).all():
            raise ValueError(f"descriptors: expected {descriptors.shape} finite numbers")
        check_unit_length(descriptors)
        made = cls(descriptors.shape[1])
        made.add(descriptors)
        return made

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what :meth:`from_arrays` takes."""
        return {"descriptors": self.restored(slice(None))}

    def __len__(self) -> int:
        return int(self.faiss.ntotal)

    @property
    def width(self) -> int:
        """``D``."""
        return int(self.faiss.d)

    def add(self, descriptors: NDArray[np.float32]) -> None:
        """Append (N, D) descriptors of unit length."""
        self.faiss.add(np.ascontiguousarray(descriptors, np.float32))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Leave out descriptors whose row is False."""
        self.faiss.remove_ids(np.flatnonzero(~rows).astype(np.int64))

    def restored(self, rows: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Return descriptors (N, D), a copy."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            found = self.faiss.reconstruct_n(start, max(0, stop - start))[::step]
        else:
            found = np.array([self.faiss.reconstruct(int(row)) for row in rows], np.float32)
        return np.asarray(found, np.float32).reshape(-1, self.width)

    def search(
        self, descriptors: NDArray[np.float32], top: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the descriptors most like others.

        Args:
            descriptors: (Q, D) finite, of unit length.
            top: how many of each, at least 1 and at most G.

        Returns:
            Similarities (Q, top), best first, and rows (Q, top).
        """
        found: tuple[NDArray[np.float32], NDArray[np.int64]] = self.faiss.search(descriptors, top)
        return found


def check_unit_length(descriptors: NDArray[np.float32]) -> None:
    """Refuse (N, D) descriptors whose inner products are no cosines.

    Raises:
        ValueError: One is not of unit length.
    """
    lengths = np.sqrt(np.einsum("nd,nd->n", descriptors, descriptors))
    if (np.abs(lengths - 1) > _LENGTH_MAY_MISS).any():
        raise ValueError(
            f"descriptors: expected unit length, got {lengths.min():.3g} to {lengths.max():.3g}"
        )


# Compressing a gallery: whether it can be, and how far a search then has to look.
#
# Shape shorthand: ``G`` descriptors of ``D`` numbers.

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


# The file of a gallery index.
#
# ``.npz``, nothing pickled: ``names`` (G,) strings, ``descriptors`` (G, D) float32 of unit length,
# optional ``visibility`` (G, P), and ``about``, a JSON object whose ``model`` says which model
# described them. A compressed index has, in the place of ``descriptors``, what
# ``CompressedDescriptors`` describes: ``axes`` (S + R, D), ``low`` and ``step`` (R,), ``scanned``
# (G, S) float32, ``codes`` (G, R) uint8, and the numbers ``candidates`` and ``lost``.

CALLED = "a gallery index"
Stored = ExactDescriptors | CompressedDescriptors
Content = tuple[list[str], Stored, "NDArray[np.float32] | None", dict[str, Any]]
"""Names, descriptors, visibility or None, and ``about``."""


def write_index(
    path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]
) -> None:
    """Write an index's file; it is there whole or not at all."""
    with write_atomically(path) as file:
        np.savez(file, about=np.array(about_as_text(about)), **arrays)  # type: ignore[arg-type]


@contextmanager
def read_index(path: str | os.PathLike[str]) -> Iterator[Content]:
    """Read an index's file, executing nothing of it; errors in the block are said to be the file's.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It is something else; the message names the file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file, expected {CALLED} (.npz)")
    arrays = read_arrays(path, CALLED, "making it anew with `index`")
    try:
        names, visibility = arrays["names"], arrays.get("visibility")
        kind = CompressedDescriptors if "codes" in arrays else ExactDescriptors
        stored = kind.from_arrays(arrays)
        if names.ndim != 1 or names.dtype.kind != "U" or len(names) != len(stored):
            raise ValueError(
                f"expected names (G,) and descriptors (G, D), got {names.shape} and "
                f"{(len(stored), stored.width)}"
            )
        if visibility is not None and (visibility.ndim != 2 or visibility.dtype.kind != "f"):
            raise ValueError(
                f"visibility: expected (G, P) floats, got {visibility.dtype} {visibility.shape}"
            )
        yield names.tolist(), stored, visibility, about_from_array(arrays["about"])
    except KeyError as error:
        raise ValueError(f"{path}: holds no array {error}, expected {CALLED}") from error
    except ValueError as error:
        raise ValueError(f"{path}: not {CALLED}: {error}") from error


MATCHINGS = ("cosine", "visibility")
_SHOWN = 3  # names in a message


class GalleryIndex:
    """Hold described images and find those most like others; exact, unless it was compressed.

    Args:
        num_dimensions: ``D``.
        num_parts: ``P``; 0 for a model that estimates no visibility.
        about: what JSON can hold; ``model`` is compared by :meth:`check_model`.
    """

    def __init__(self, num_dimensions: int, num_parts: int, about: Mapping[str, Any]) -> None:
        self.stored: ExactDescriptors | CompressedDescriptors = ExactDescriptors(num_dimensions)
        self.names: list[str] = []
        self.visibility = np.empty((0, num_parts), np.float32)
        self.about = dict(about)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def num_parts(self) -> int:
        """``P``, 0 without visibility."""
        return int(self.visibility.shape[1])

    @property
    def descriptors(self) -> NDArray[np.float32]:
        """(G, D), a copy; of a compressed index, what can be told of them."""
        return self.stored.restored(slice(None))

    @property
    def is_compressed(self) -> bool:
        """Whether a search nearly always finds the most similar, not always."""
        return isinstance(self.stored, CompressedDescriptors)

    def compress(self, top: int = 50, queries: int = 100) -> float:
        """Keep about an eighth of the descriptors' bytes; what is added later is compressed too.

        Args:
            top: how many answers are compared with the exact ones.
            queries: how many images of the index ask for them.

        Returns:
            The share of those answers that the compressed index finds.

        Raises:
            ValueError: Compressed already, or too few images to know what may be left out.
        """
        if isinstance(self.stored, CompressedDescriptors):
            raise ValueError("the index is compressed already")
        self.stored, recall = compress(self.stored, top, queries)
        return recall

    def add(
        self,
        names: Sequence[str],
        descriptors: NDArray[np.float32],
        visibility: NDArray[np.float32] | None = None,
    ) -> float:
        """Append images; what is there already stays untouched.

        Args:
            names: (N,) each new.
            descriptors: (N, D) of unit length.
            visibility: (N, P) in [0, 1]; None without parts.

        Returns:
            What share of their similarity to themselves they lose by compression, 0 without it.

        Raises:
            ValueError: a name is there already or twice, or an array is not as above.
        """
        descriptors = np.ascontiguousarray(descriptors, np.float32)
        _check_finite("descriptors", descriptors, (len(names), self.stored.width))
        check_unit_length(descriptors)
        parts = self._checked_parts(names, visibility)
        self.stored.add(descriptors)
        self._append(names, parts)
        if not len(descriptors) or isinstance(self.stored, ExactDescriptors):
            return 0.0
        return self.stored.lost_by(descriptors)

    def _checked_parts(
        self, names: Sequence[str], visibility: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Return visibility as float32, or refuse it or the names."""
        counted = Counter([*self.names, *names])
        twice = sorted(name for name in set(names) if counted[name] > 1)
        if twice:
            raise ValueError(
                f"{len(twice)} names are in the index already or twice, first "
                f"{', '.join(twice[:_SHOWN])}: expected each image once; try removing them first"
            )
        parts = np.empty((len(names), 0)) if visibility is None else visibility
        _check_finite("visibility", parts, (len(names), self.num_parts))
        if parts.size and not (parts.min() >= 0 and parts.max() <= 1):
            raise ValueError(
                f"visibility: expected shares in [0, 1], got {parts.min():.3g} to {parts.max():.3g}"
            )
        return parts.astype(np.float32)

    def _append(self, names: Sequence[str], parts: NDArray[np.float32]) -> None:
        self.visibility = np.concatenate((self.visibility, parts))
        self.names.extend(names)

    def remove(self, names: Sequence[str]) -> None:
        """Take images out; the others keep their order, and nothing is described again.

        Raises:
            KeyError: a name is not there; then nothing is removed.
        """
        gone = set(names)
        if missing := sorted(gone - {*self.names}):
            raise KeyError(
                f"{len(missing)} names are not in the index, first {', '.join(missing[:_SHOWN])}: "
                "expected names as `search` prints them"
            )
        keep = np.array([name not in gone for name in self.names], dtype=bool)
        self.stored.keep(keep)
        self.visibility = self.visibility[keep]
        self.names = [name for name in self.names if name not in gone]

    def search(
        self,
        descriptors: NDArray[np.float32],
        top: int,
        visibility: NDArray[np.float32] | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the images most like others.

        Args:
            descriptors: (Q, D) of unit length.
            top: how many of each, ``K``; fewer if the index holds fewer.
            visibility: (Q, P) weighs the parts, see ``visible_similarity``; None compares whole
                descriptors by their cosine.

        Returns:
            Similarities (Q, K), best first, and rows of ``names`` (Q, K).

        Raises:
            ValueError: another ``D`` or ``P``, a number that is not finite, ``top`` below 1, or
                visibility where the index has none.
        """
        if top < 1:
            raise ValueError(f"top {top}: expected 1 or more")
        if visibility is not None and not self.num_parts:
            raise ValueError("visibility: the index holds none, as its model estimates none")
        descriptors = np.ascontiguousarray(descriptors, np.float32)
        count = len(descriptors)
        _check_queries("descriptors", descriptors, (count, self.stored.width))
        if visibility is not None:
            _check_queries("visibility", np.asarray(visibility), (count, self.num_parts))
        top = min(top, len(self))
        if not top:
            return np.empty((len(descriptors), 0), np.float32), np.empty((len(descriptors), 0), int)
        if visibility is None:
            return self.stored.search(descriptors, top)
        blocks = [slice(first, first + _BLOCK) for first in range(0, len(self), _BLOCK)]
        similarity = np.hstack(
            [
                visible_similarity(
                    descriptors, visibility, self.stored.restored(block), self.visibility[block]
                )
                for block in blocks
            ]
        )
        rows = np.argsort(-similarity, axis=1, kind="stable")[:, :top]
        return np.take_along_axis(similarity, rows, axis=1), rows

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Refuse descriptors of another model than the index holds.

        Raises:
            ValueError: They differ; the message says in what.
        """
        ours = self.about.get("model")
        ours = ours if isinstance(ours, Mapping) else {}
        different = sorted(key for key in {*ours, *model} if ours.get(key) != model.get(key))
        if different:
            raise ValueError(
                f"the index was made by another model: {', '.join(different)} differ; expected the "
                "config and the weights that made it, as their descriptors compare with no others"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; it is there whole or not at all."""
        arrays = {"names": np.array(self.names, dtype=str), **self.stored.arrays()}
        if self.num_parts:
            arrays["visibility"] = self.visibility
        write_index(path, arrays, self.about)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GalleryIndex:
        """Read an index, executing nothing of it.

        Raises:
            FileNotFoundError: No such file.
            ValueError: It is something else; the message names the file.
        """
        with read_index(path) as (names, stored, visibility, about):
            parts = 0 if visibility is None else visibility.shape[-1]
            index = cls(stored.width, parts, about)
            index._append(names, index._checked_parts(names, visibility))
            index.stored = stored
        return index


def _check_finite(name: str, array: NDArray[np.floating], shape: tuple[int, int]) -> None:
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name}: expected {shape} finite numbers, got {array.shape}")


def _check_queries(name: str, array: NDArray[np.floating], shape: tuple[int, int]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name}: expected (Q, {shape[1]}) with Q = {shape[0]}, got {array.shape}")
    broken = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{name}: {broken.size} rows are not finite, first {broken[0]}; expected numbers, try "
            "leaving out the photos that could not be read (`Embeddings.failures`)"
        )
