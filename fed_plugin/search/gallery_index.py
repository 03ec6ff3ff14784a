"""A gallery to search: descriptors, names, visibility, and which model described them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.compressed_descriptors import CompressedDescriptors
from fed_plugin.retrieval.compressing import compress
from fed_plugin.retrieval.exact_descriptors import ExactDescriptors, check_unit_length
from fed_plugin.retrieval.index_files import read_index, write_index
from fed_plugin.retrieval.part_matching import visible_similarity

MATCHINGS = ("cosine", "visibility")
_SHOWN = 3  # names in a message
_BLOCK = 65_536  # descriptors that are restored at once


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
