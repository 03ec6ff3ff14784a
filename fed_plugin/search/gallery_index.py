"""Gallery to search: names, descriptors and visibility of photos, and the model that made them.

Shape shorthand: ``G`` photos, ``Q`` queries, ``D`` numbers of a descriptor, ``P`` parts, ``S``
numbers that a compressed search scans, ``R`` numbers that are kept as bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from fed_plugin.arguments import check_file
from fed_plugin.files import about_as_text, about_from_array, read_arrays, write_atomically
from fed_plugin.retrieval.distances import visible_similarity

Floats = NDArray[np.float32]
Hits = tuple[Floats, NDArray[np.int64]]
"""Similarities (Q, K), the best first, and rows of the gallery (Q, K)."""

_BLOCK = 32_768  # descriptors that are processed at once
_LENGTH_MAY_MISS = 0.01


def _array(arrays: Mapping[str, Any], name: str, shape: str, kind: str = "f") -> NDArray[Any]:
    """Return an array of a file: floats as float32, or bytes."""
    array = np.asarray(arrays[name])
    wrong = array.ndim != len(shape.split(", ")) * bool(shape) or array.dtype.kind != kind
    wrong = wrong or (kind == "u" and array.dtype != np.uint8)
    if wrong or (shape and not np.isfinite(array).all()):
        what = {"f": "finite floats", "u": "bytes (uint8)", "i": "an integer"}[kind]
        raise ValueError(f"{name}: expected ({shape}) {what}, got {array.dtype} {array.shape}")
    return array.astype(np.float32, copy=False) if kind == "f" and shape else array


def _best(similarities: Floats, top: int) -> NDArray[np.int64]:
    return np.argsort(-similarities, axis=1, kind="stable")[:, :top]


class ExactDescriptors:
    """Descriptors (G, D) in faiss's flat index, searched by inner product; ``width`` is ``D``."""

    def __init__(self, width: int) -> None:
        self.faiss = faiss.IndexFlatIP(width)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> ExactDescriptors:
        """Fill an object with the arrays of a file.

        Raises:
            KeyError: the file has no array ``descriptors``.
            ValueError: the array is not (G, D) floats of unit length.
        """
        descriptors = _array(arrays, "descriptors", "G, D")
        check_unit_length(descriptors)
        filled = cls(descriptors.shape[1])
        filled.add(descriptors)
        return filled

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that :meth:`from_arrays` takes."""
        return {"descriptors": self.vectors}

    def __len__(self) -> int:
        return int(self.faiss.ntotal)

    @property
    def width(self) -> int:
        """``D``."""
        return int(self.faiss.d)

    @property
    def vectors(self) -> Floats:
        """(G, D), faiss's own memory; invalid after the next change."""
        flat: Floats = faiss.rev_swig_ptr(self.faiss.get_xb(), len(self) * self.width)
        return flat.reshape(len(self), self.width)

    def add(self, descriptors: Floats) -> None:
        """Append (N, D) descriptors of unit length."""
        self.faiss.add(np.ascontiguousarray(descriptors, np.float32))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Remove the descriptors whose row is False."""
        self.faiss.remove_ids(np.flatnonzero(~rows).astype(np.int64))

    def restored(self, rows: NDArray[np.int64] | slice) -> Floats:
        """Return descriptors (N, D), a copy."""
        return self.vectors[rows].copy()

    def search(self, descriptors: Floats, top: int) -> Hits:
        """Find the ``top`` (1 to ``G``) most similar descriptors of each query (Q, D), finite."""
        return self.faiss.search(np.ascontiguousarray(descriptors, np.float32), top)


def check_unit_length(descriptors: Floats) -> None:
    """Raise ValueError if one of (N, D) descriptors has another length than 1."""
    lengths = np.sqrt(np.einsum("nd,nd->n", descriptors, descriptors))
    if (np.abs(lengths - 1) > _LENGTH_MAY_MISS).any():
        raise ValueError(
            f"descriptors: expected unit length, got {lengths.min():.3g} to {lengths.max():.3g}"
        )


# Descriptors at about an eighth of their size.
#
# Descriptors vary along few directions. Descriptors are turned to the axes along which a gallery
# varies most, and 3/8 of the D numbers are kept: the first 1/32 as float32, the others as bytes.
# faiss scans the first numbers alone. The best candidates are then compared by all kept numbers.

_CANDIDATES = 8  # per answer, before `compress` has measured the recall
_FEWEST_ANSWERS = 50  # a search for fewer answers compares the candidates of so many
_MARGIN = 0.05  # of a byte's range, for descriptors that the training sample does not hold


class CompressedDescriptors:
    """Compressed descriptors and the search through them.

    The second half of the numbers is no index of faiss: ``Refine(PCA,SQ8)`` keeps the widest axes
    as bytes too, and then finds 97.8 % of the right answers where this class finds 99.4 %
    (50,000 drawn descriptors of 512 numbers).

    Args:
        axes: (S + R, D) orthonormal rows, the widest first.
        low: (R,) value of the byte 0.
        step: (R,) difference between the values of two neighbouring bytes.
        scanned: (G, S).
        codes: (G, R) uint8.
        candidates: number of candidates per answer, for 50 answers or more. More candidates find
            more right answers and take longer.
        lost: mean share of the similarity to itself that a descriptor of the gallery lost; NaN if
            the share is not known.

    Raises:
        ValueError: the arrays do not fit each other, or ``candidates`` is below 1.
    """

    def __init__(
        self,
        axes: Floats,
        low: Floats,
        step: Floats,
        scanned: Floats,
        codes: NDArray[np.uint8],
        candidates: int = _CANDIDATES,
        lost: float = float("nan"),
    ) -> None:
        numbers = (scanned.shape[1] + len(low), len(low), len(low), len(scanned))
        got = (len(axes), len(step), codes.shape[1], len(codes))
        if numbers != got:
            raise ValueError(f"axes, step, codes: expected lengths {numbers}, got {got}")
        if candidates < 1:
            raise ValueError(f"candidates: expected 1 or more per answer, got {candidates}")
        if not (step > 0).all() or not np.allclose(np.linalg.norm(axes, axis=1), 1, atol=0.01):
            raise ValueError("axes, step: expected axes of unit length and steps above 0")
        self.axes, self.low, self.step, self.codes = axes, low, step, codes
        self.scanned = ExactDescriptors(scanned.shape[1])
        self.scanned.add(scanned)
        self.candidates, self.lost = candidates, lost

    @classmethod
    def trained(cls, descriptors: Floats) -> CompressedDescriptors:
        """Choose axes and ranges by (N, D) of unit length; the result holds no descriptor."""
        width = descriptors.shape[1]
        scanned, kept = max(1, width // 32), max(2, 3 * width // 8)
        # No PCA of a library: a PCA subtracts the mean, which changes inner products.
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
        """Fill an object with the arrays of a file; the first files had neither last number.

        Raises:
            KeyError: the file lacks an array.
            ValueError: as the class.
        """
        arrays = {"candidates": _CANDIDATES, "lost": np.nan, **arrays}
        shapes = {"axes": "S + R, D", "low": "R", "step": "R", "scanned": "G, S"}
        return cls(
            **{name: _array(arrays, name, shape) for name, shape in shapes.items()},
            codes=_array(arrays, "codes", "G, R", "u"),
            candidates=int(_array(arrays, "candidates", "", "i")),
            lost=float(_array(arrays, "lost", "")),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that :meth:`from_arrays` takes."""
        names = ("axes", "low", "step", "codes", "candidates", "lost")
        arrays = {name: np.asarray(getattr(self, name)) for name in names}
        return {**arrays, "scanned": self.scanned.vectors}

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def width(self) -> int:
        """``D``."""
        return int(self.axes.shape[1])

    def _encoded(self, descriptors: Floats) -> tuple[Floats, NDArray[np.uint8]]:
        """Return the scanned numbers (N, S) and the bytes (N, R) of descriptors (N, D)."""
        turned = descriptors @ self.axes.T  # (N, S + R)
        rest = turned[:, self.scanned.width :]
        codes = np.rint((rest - self.low) / self.step).clip(0, 255).astype(np.uint8)
        return turned[:, : self.scanned.width], codes

    def _decoded(self, scanned: Floats, codes: NDArray[np.uint8]) -> Floats:
        decoded: Floats = np.hstack((scanned, codes * self.step + self.low)) @ self.axes
        return decoded

    def add(self, descriptors: Floats) -> None:
        """Append (N, D) descriptors of unit length."""
        scanned, codes = self._encoded(descriptors)
        self.scanned.add(scanned)
        self.codes = np.concatenate((self.codes, codes))

    def lost_by(self, descriptors: Floats) -> float:
        """Return the mean share of their similarity to themselves that (N, D) descriptors lose.

        Descriptors unlike the training sample lose more.
        """
        similar = np.einsum("nd,nd->n", self._decoded(*self._encoded(descriptors)), descriptors)
        return float((1 - similar / np.einsum("nd,nd->n", descriptors, descriptors)).mean())

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Remove the descriptors whose row is False."""
        self.scanned.keep(rows)
        self.codes = self.codes[rows]

    def restored(self, rows: NDArray[np.int64] | slice) -> Floats:
        """Return descriptors (N, D), computed from the kept numbers."""
        return self._decoded(self.scanned.vectors[rows], self.codes[rows])

    def search(self, descriptors: Floats, top: int) -> Hits:
        """Find nearly always what `ExactDescriptors.search` finds; queries have unit length."""
        turned = descriptors @ self.axes.T  # (Q, S + R)
        first, rest = np.split(turned, [self.scanned.width], axis=1)
        count = min(len(self), self.candidates * max(top, _FEWEST_ANSWERS))
        similarities, rows = self.scanned.search(first, count)  # (Q, candidates)
        for query, candidates in enumerate(rows):  # all queries at once would need much memory
            codes = self.codes[candidates].astype(np.float32)
            similarities[query] += codes @ (rest[query] * self.step) + rest[query] @ self.low
        best = _best(similarities, top)
        return tuple(np.take_along_axis(x, best, axis=1) for x in (similarities, rows))


SAMPLE = 20_000
"""Number of descriptors that choose the axes."""
SAME = 0.0001
"""Similarities that differ by less are equally good."""
WANTED_RECALL = 0.99
MOST_CANDIDATES = 128
"""Largest number of candidates per answer."""
WORTHWHILE = 0.002
"""Gain in recall that twice the candidates must bring; a smaller gain ends the search for more."""


def compress(
    exact: ExactDescriptors, top: int = 50, queries: int = 100
) -> tuple[CompressedDescriptors, float]:
    """Compress a gallery, and choose the number of candidates by the measured recall.

    The candidates are doubled until the search finds 99 % of the right answers, or until twice the
    candidates find no more. An answer is right if the exact answer at the last place is as similar
    or less: copies of a photo are equally good.

    ``exact`` is (G, D) of unit length. The first ``top`` answers of so many ``queries``, which are
    spread evenly over the gallery, are compared. Beside gallery and result, a sample and a block
    of descriptors are in memory.

    Returns:
        The compressed descriptors, and the share of their answers that are right.

    Raises:
        ValueError: the gallery is too small.
    """
    check_enough(len(exact), exact.width)
    compressed = CompressedDescriptors.trained(exact.restored(_spread(len(exact), SAMPLE)))
    for start in range(0, len(exact), _BLOCK):
        compressed.add(exact.restored(slice(start, start + _BLOCK)))
    asking, top = exact.restored(_spread(len(exact), queries)), min(top, len(exact))
    worst = exact.search(asking, top)[0][:, -1:]
    compressed.lost = compressed.lost_by(asking)

    def measured() -> float:
        answers = exact.vectors[compressed.search(asking, top)[1]]  # (Q, top, D)
        return float((np.einsum("qd,qkd->qk", asking, answers) >= worst - SAME).mean())

    recall = measured()
    most = min(MOST_CANDIDATES, -(-len(exact) // top))
    while recall < WANTED_RECALL and compressed.candidates < most:
        before = compressed.candidates, recall
        compressed.candidates = min(2 * compressed.candidates, most)
        recall = measured()
        if recall - before[1] < WORTHWHILE:
            compressed.candidates, recall = before
            break
    return compressed, recall


def check_enough(count: int, width: int) -> None:
    """Raise ValueError if ``G`` descriptors are below a quarter of ``D``, too few to compress."""
    if count < max(2, width // 4):
        raise ValueError(
            f"{count} descriptors of {width} numbers: expected {width // 4} or more to choose what "
            "to keep; try an exact index, which is small for so few photos"
        )


def _spread(count: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


CALLED = "a gallery index"
_IN_MESSAGE = 3  # names in a message


class GalleryIndex:
    """Described photos and the search through them, exact unless the index is compressed.

    The file is an ``.npz`` without pickles: ``names`` (G,), optional ``visibility`` (G, P),
    ``about`` (a JSON object whose ``model`` identifies the model), and the arrays of
    ``ExactDescriptors`` or of ``CompressedDescriptors``.

    Args:
        num_dimensions: ``D``.
        num_parts: ``P``; 0 for a model without visibility.
        about: JSON object; :meth:`check_model` compares its ``model``.
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

    def compress(self) -> float:
        """Keep about an eighth of the descriptors' bytes; later photos are compressed too.

        The result is the share of the 50 most similar of 100 photos that the index still finds.

        Raises:
            ValueError: the index is compressed already, or holds too few photos.
        """
        if isinstance(self.stored, CompressedDescriptors):
            raise ValueError("the index is compressed already")
        self.stored, recall = compress(self.stored)
        return recall

    def add(
        self, names: Sequence[str], descriptors: Floats, visibility: Floats | None = None
    ) -> float:
        """Append photos.

        Names are new, descriptors (N, D) of unit length, visibility (N, P) in [0, 1] or None
        without parts. The result is the mean share of the similarity to themselves that the new
        descriptors lose by compression; 0 for an exact index.

        Raises:
            ValueError: a name stands twice, or an array is not as above.
        """
        descriptors = np.ascontiguousarray(descriptors, np.float32)
        _check_finite("descriptors", descriptors, (len(names), self.stored.width))
        check_unit_length(descriptors)
        self._append(names, visibility)
        self.stored.add(descriptors)
        compressed = len(descriptors) and isinstance(self.stored, CompressedDescriptors)
        return self.stored.lost_by(descriptors) if compressed else 0.0

    def _append(self, names: Sequence[str], visibility: Floats | None) -> None:
        """Append names and visibility, or refuse them and change nothing."""
        counted = Counter([*self.names, *names])
        if twice := sorted(name for name in set(names) if counted[name] > 1):
            raise ValueError(
                f"{len(twice)} names are in the index already or twice, first "
                f"{', '.join(twice[:_IN_MESSAGE])}: expected each photo once; try removing them "
                "first"
            )
        parts = np.empty((len(names), 0)) if visibility is None else visibility
        _check_finite("visibility", parts, (len(names), self.num_parts))
        if parts.size and not (parts.min() >= 0 and parts.max() <= 1):
            raise ValueError(
                f"visibility: expected shares in [0, 1], got {parts.min():.3g} to {parts.max():.3g}"
            )
        self.visibility = np.concatenate((self.visibility, parts.astype(np.float32)))
        self.names.extend(names)

    def remove(self, names: Sequence[str]) -> None:
        """Remove photos; the others keep their order.

        Raises:
            KeyError: a name is not in the index; nothing is removed then.
        """
        gone = set(names)
        if missing := sorted(gone - {*self.names}):
            raise KeyError(
                f"{len(missing)} names are not in the index, first "
                f"{', '.join(missing[:_IN_MESSAGE])}: expected names as `search` prints them"
            )
        keep = np.array([name not in gone for name in self.names], dtype=bool)
        self.stored.keep(keep)
        self.visibility = self.visibility[keep]
        self.names = [name for name in self.names if name not in gone]

    def search(self, descriptors: Floats, top: int, visibility: Floats | None = None) -> Hits:
        """Find the photos most similar to each query.

        Args:
            descriptors: (Q, D) of unit length.
            top: number of answers per query, ``K``; an index with fewer photos returns all.
            visibility: (Q, P) weights of the parts, see ``visible_similarity``; None compares
                whole descriptors by their cosine.

        Returns:
            Similarities (Q, K), the best first, and rows of ``names`` (Q, K).

        Raises:
            ValueError: another ``D`` or ``P``, a number that is not finite, ``top`` below 1, or
                visibility for an index without visibility.
        """
        if top < 1:
            raise ValueError(f"top {top}: expected 1 or more")
        descriptors = np.ascontiguousarray(descriptors, np.float32)
        _check_queries("descriptors", descriptors, (len(descriptors), self.stored.width))
        if visibility is not None:
            if not self.num_parts:
                raise ValueError("visibility: the index holds none, as its model estimates none")
            _check_queries("visibility", visibility, (len(descriptors), self.num_parts))
        top = min(top, len(self))
        if not top:
            return np.empty((len(descriptors), 0), np.float32), np.empty((len(descriptors), 0), int)
        if visibility is None:
            return self.stored.search(descriptors, top)
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(self), _BLOCK)]
        ours = ((self.stored.restored(block), self.visibility[block]) for block in blocks)
        similarity = np.hstack([visible_similarity(descriptors, visibility, *one) for one in ours])
        rows = _best(similarity, top)
        return np.take_along_axis(similarity, rows, axis=1), rows

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Refuse another model than that of the index.

        Raises:
            ValueError: the models differ; the message names the differences.
        """
        ours = self.about.get("model")
        ours = ours if isinstance(ours, Mapping) else {}
        config, former = "config_sha256", "former_config_sha256"
        different = {key for key in {*ours, *model} - {former} if ours.get(key) != model.get(key)}
        if {ours.get(config), ours.get(former)} & {model.get(config), model.get(former)} - {None}:
            different.discard(config)  # an index of 0.1.0, or one that was made beside a project
        if different:
            raise ValueError(
                f"another model made the index: {', '.join(sorted(different))} differ; expected "
                "the config and the weights of the index, because descriptors of two models do not "
                "compare"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically."""
        arrays = {"names": np.array(self.names, dtype=str), **self.stored.arrays()}
        if self.num_parts:
            arrays["visibility"] = self.visibility
        with write_atomically(path) as file:
            np.savez(file, about=np.array(about_as_text(self.about)), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GalleryIndex:
        """Read a file without executing anything in the file.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is no gallery index; the message names the file.
        """
        check_file(path, f"{CALLED} (.npz)")
        arrays = read_arrays(path, CALLED, "making the index anew with `fed-plugin index`")
        try:
            names, visibility = arrays["names"], None
            kind = CompressedDescriptors if "codes" in arrays else ExactDescriptors
            stored = kind.from_arrays(arrays)
            if names.ndim != 1 or names.dtype.kind != "U" or len(names) != len(stored):
                raise ValueError(
                    f"names: expected {len(stored)} texts, one per descriptor, got {names.dtype} "
                    f"{names.shape}"
                )
            if "visibility" in arrays:
                visibility = _array(arrays, "visibility", "G, P")
            parts = 0 if visibility is None else visibility.shape[1]
            index = cls(stored.width, parts, about_from_array(arrays["about"]))
            index._append(names.tolist(), visibility)
            index.stored = stored
        except KeyError as error:
            raise ValueError(f"{path}: holds no array {error}, expected {CALLED}") from error
        except ValueError as error:
            raise ValueError(f"{path}: not {CALLED}: {error}") from error
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
