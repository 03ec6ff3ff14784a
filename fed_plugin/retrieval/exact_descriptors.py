"""Descriptors as they are, searched exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

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
