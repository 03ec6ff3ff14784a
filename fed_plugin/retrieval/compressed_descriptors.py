"""Descriptors at about an eighth of their size, and the search through them.

Descriptors vary along few directions. Each is turned to the axes along which a gallery's are
largest; of ``D`` numbers 3/8 are kept, the largest 1/32 as float32 and the others as one byte.
A search looks through the first alone, which is a matrix product of 1/32 of the size, and compares
the best of these candidates by all that was kept.

Shape shorthand: ``G`` descriptors, ``D`` numbers each, ``S`` of them scanned, ``R`` in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.best_of_blocks import best_of_blocks

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
