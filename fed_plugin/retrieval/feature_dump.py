"""Feature dumps: the descriptors of a test set in one ``.npz`` that any framework can write.

Format, for ``N`` images (docs/dumps.md): ``features`` (N, D) float32 or float16; ``pids`` and
``camids`` (N,) integers; ``split`` (N,) "query" or "gallery"; ``names`` (N,) file names, each once
in a split; optional ``part_features`` (N, P, C), ``visibility`` (N, P) in [0, 1], and ``about``, a
JSON object in one string. The file holds no pickle, and nothing in the file is executed.

A query and a gallery image may be one photo. ``own_photos`` of ``about`` lists such pairs of names
where the writer knew the files. Elsewhere two images are one photo if base name, identity and
descriptor are equal, the latter to one part in 1,000: equal names alone may be other photos.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.arguments import check_file
from fed_plugin.files import about_as_text, about_from_array, read_arrays, write_atomically
from fed_plugin.retrieval.ranking import cameras_and_photos

# Shape shorthand: ``N`` images, ``D`` numbers of a descriptor, ``P`` parts, ``C`` channels.

SPLITS = ("query", "gallery")
_BLOCK_ELEMENTS = 4_000_000  # numbers checked at once
_REAL = "float32 or float16"
# array -> kinds of its dtype, their name, axes, what to try
_ARRAYS: dict[str, tuple[str, str, str, str]] = {
    "features": ("f", _REAL, "(N, D)", "features.astype(np.float32)"),
    "pids": (
        *("iu", "integers", "(N,)"),
        "np.unique(pids, return_inverse=True)[1] to number names, and -1 for nobody",
    ),
    "camids": ("iu", "integers", "(N,)", "np.unique(camids, return_inverse=True)[1]"),
    "split": ("U", "strings", "(N,)", "np.array(split, dtype=str)"),
    "names": ("U", "strings", "(N,)", "np.array(names, dtype=str)"),
    "part_features": ("f", _REAL, "(N, P, C)", "part_features.astype(np.float32)"),
    "visibility": ("f", _REAL, "(N, P)", "visibility.astype(np.float32)"),
}


def check_arrays(**arrays: Any) -> None:
    """Raise ValueError for arrays that are not a feature dump; None is a missing optional one."""
    given = {name: array for name, array in arrays.items() if array is not None}
    for name, array in given.items():
        _check_kind(name, array)
    count = len(given["names"])
    for name, array in given.items():
        if len(array) != count:
            raise ValueError(
                f"{name} has {len(array)} entries and names {count}: expected one per image in "
                "every array; try writing them all in one loop"
            )
    _check_split(given["split"])
    _check_names(given["names"], given["split"])
    for name in ("features", "part_features", "visibility"):
        for top, block in _blocks(given[name]) if name in given else ():
            broken = np.flatnonzero(~np.isfinite(block).all(axis=1))
            if broken.size:
                problem = f"{name} holds NaN or infinity, first in row {top + broken[0]}"
                advice = "try checking the model (a diverged run? float16 ends at 65504)"
                raise ValueError(f"{problem}: expected finite numbers; {advice}")
    _check_parts(given.get("part_features"), given.get("visibility"))


def _check_kind(name: str, array: Any) -> None:
    kinds, called, shape, attempt = _ARRAYS[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is a {type(array).__name__}: expected an array of {called}")
    axes = shape.count(",") + (not shape.endswith(",)"))
    if array.ndim != axes or 0 in array.shape[1:]:
        raise ValueError(f"{name} has shape {array.shape}: expected {shape}, N images")
    if array.dtype.kind not in kinds or (kinds == "f" and array.dtype.itemsize not in (2, 4)):
        if array.dtype.kind == "f" and "i" in kinds and (array == np.rint(array)).all():
            attempt = f"{name}.astype(np.int64)"
        raise ValueError(f"{name} holds {array.dtype}: expected {called}; try {attempt}")


def _check_split(split: NDArray[np.str_]) -> None:
    values = {str(value) for value in np.unique(split)}
    if unknown := sorted(values - set(SPLITS)):
        raise ValueError(f"split holds {unknown[0]!r}: expected 'query' or 'gallery' per image")
    if missing := [name for name in SPLITS if name not in values]:
        raise ValueError(
            f"split names no {missing[0]} image: expected at least one query and one gallery "
            "image; try dumping both splits into one file"
        )


def _check_names(names: NDArray[np.str_], split: NDArray[np.str_]) -> None:
    for which in SPLITS:
        values, counts = np.unique(names[split == which], return_counts=True)
        if values[0] == "":
            raise ValueError(f"names holds an empty name in {which}: expected file names")
        if (counts > 1).any():
            twice = str(values[counts.argmax()])
            raise ValueError(
                f"names holds {twice!r} {counts.max()} times in {which}: expected each name once "
                "in a split; try keeping the folder above the file in the name"
            )


def _check_parts(part_features: NDArray[Any] | None, visibility: NDArray[Any] | None) -> None:
    if visibility is None:
        return
    low, high, parts = visibility.min(), visibility.max(), visibility.shape[1]
    if low < 0 or high > 1:
        expected = "expected shares in [0, 1], 1 where a part is visible"
        raise ValueError(f"visibility lies in [{low:g}, {high:g}]: {expected}")
    if part_features is not None and part_features.shape[1] != parts:
        both = f"part_features has {part_features.shape[1]} parts and visibility {parts}"
        raise ValueError(f"{both}: expected the same parts in both")


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) of an array, flattened to two axes, in blocks."""
    rows = max(1, _BLOCK_ELEMENTS // max(1, array[0].size))
    for top in range(0, len(array), rows):
        block = array[top : top + rows]
        yield top, block.reshape(len(block), -1)


logger = logging.getLogger(__name__)

REQUIRED = ("features", "pids", "camids", "split", "names")
OPTIONAL = ("part_features", "visibility")
ABOUT = "about"
OWN_PHOTOS = "own_photos"
"""Key of ``about``: pairs [query, gallery image] of names that are one photo."""
_SAME = 1e-3  # relative difference of two descriptors of one photo, from other batches or float16


@dataclass(frozen=True, eq=False)
class FeatureDump:
    """Descriptors of a test set's images, by one model; the arrays are those of the format.

    ``part_features`` and ``visibility`` are None if the model has none. ``about`` is the origin of
    the features, as JSON has it. Known keys: ``method``, ``dataset``, ``config``,
    ``weights_sha256``, ``seed``, ``epoch``; other keys are kept.

    Raises:
        ValueError: An array is not as the format asks.
    """

    features: NDArray[np.floating[Any]]
    pids: NDArray[np.integer[Any]]
    camids: NDArray[np.integer[Any]]
    split: NDArray[np.str_]
    names: NDArray[np.str_]
    part_features: NDArray[np.floating[Any]] | None = None
    visibility: NDArray[np.floating[Any]] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_arrays(**{name: getattr(self, name) for name in (*REQUIRED, *OPTIONAL)})
        about_as_text(self.about)

    @property
    def query(self) -> NDArray[np.int64]:
        """Rows of the query images, ascending."""
        return np.flatnonzero(self.split == "query")

    @property
    def gallery(self) -> NDArray[np.int64]:
        """Rows of the gallery images, ascending."""
        return np.flatnonzero(self.split == "gallery")

    @cached_property
    def own_photos(self) -> NDArray[np.int64]:
        """(M, 2) rows of a query and a gallery image that are one photo, and not of one camera."""
        known = self.about.get(OWN_PHOTOS)
        pairs = list(self._alike()) if known is None else self._listed(known)
        rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return rows[self.camids[rows[:, 0]] != self.camids[rows[:, 1]]]

    def _listed(self, known: Any) -> list[tuple[int, int]]:
        query, gallery = (
            {str(self.names[row]): int(row) for row in rows} for rows in (self.query, self.gallery)
        )
        try:
            return [(query[first], gallery[second]) for first, second in known]
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(
                f"about: {OWN_PHOTOS}: expected pairs of a query's and a gallery image's name, got "
                f"{error}; try leaving the key out"
            ) from error

    def _alike(self) -> Iterator[tuple[int, int]]:
        copies: dict[tuple[int, str], list[int]] = {}
        for row in self.gallery.tolist():
            name = PurePath(self.names[row]).name
            copies.setdefault((int(self.pids[row]), name), []).append(row)
        pids = self.pids[self.gallery]
        two = self.gallery[[0, int(np.argmax(pids != pids[0]))]]  # of two identities, if there are
        for row in self.query.tolist():
            stranger = two[int(self.pids[row] == pids[0])]
            if self.pids[stranger] != self.pids[row] and self._close(row, stranger):
                continue  # a model that describes everybody alike knows no photo
            for other in copies.get((int(self.pids[row]), PurePath(self.names[row]).name), ()):
                if self._close(row, other):
                    yield row, other

    def _close(self, row: int, other: int) -> bool:
        ours = self.features[row].astype(np.float64)
        return bool(np.linalg.norm(ours - self.features[other]) <= _SAME * np.linalg.norm(ours))

    def labels(self, query: NDArray[np.int64] | None = None) -> tuple[NDArray[Any], ...]:
        """Return identities and cameras of queries and gallery, as :func:`rank` takes them.

        A gallery image that is the query's own photo is removed from the query's ranking, as one of
        the query's camera is. ``query`` are rows; None takes all.
        """
        own, cameras = self.own_photos, self.camids
        if own.size:
            cameras = cameras_and_photos(cameras, own)
        asked, gallery = self.query if query is None else query, self.gallery
        return self.pids[asked], self.pids[gallery], cameras[asked], cameras[gallery]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the dump as ``path``, usually ``*.npz``; nothing is appended to the path.

        Raises:
            FileNotFoundError: The folder does not exist.
        """
        given = {name: getattr(self, name) for name in (*REQUIRED, *OPTIONAL)}
        arrays = {name: array for name, array in given.items() if array is not None}
        with write_atomically(path) as file:
            np.savez(file, **arrays, **{ABOUT: np.array(about_as_text(self.about))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureDump:
        """Read a dump without executing anything in the file.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is no feature dump.
        """
        check_file(path, "a feature dump (.npz)")
        arrays = read_arrays(path, "a feature dump")
        if missing := [name for name in REQUIRED if name not in arrays]:
            raise ValueError(
                f"{path}: holds no array {missing[0]!r}, expected {', '.join(REQUIRED)}; got "
                f"{', '.join(sorted(arrays)) or 'nothing'}"
            )
        about = arrays.pop(ABOUT, None)
        if ignored := sorted(set(arrays) - {*REQUIRED, *OPTIONAL}):
            logger.warning("%s: its arrays %s are not read", path, ", ".join(ignored))
        known = {name: arrays[name] for name in arrays if name not in ignored}
        try:
            return cls(**known, about={} if about is None else about_from_array(about))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def unique_names(paths: Sequence[str]) -> list[str]:
    """Return the base names of one split's files, with folders in front if base names repeat.

    Raises:
        ValueError: A path occurs several times.
    """
    parts = [PurePath(path).parts for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    twice, count = Counter(map(str, paths)).most_common(1)[0]
    raise ValueError(f"{twice}: stands {count} times in one split, expected each file once")
