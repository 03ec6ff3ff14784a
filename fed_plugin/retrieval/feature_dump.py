"""Feature dumps: the descriptors of a test set in one ``.npz`` that any framework can write.

Format, for ``N`` images (docs/dumps.md): ``features`` (N, D) float32 or float16; ``pids`` and
``camids`` (N,) integers; ``split`` (N,) "query" or "gallery"; ``names`` (N,) file names, each once
in a split; optional ``part_features`` (N, P, C), ``visibility`` (N, P) in [0, 1], and ``about``, a
JSON object in one string. Nothing in it is pickled, and nothing of a file is ever executed.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.array_files import about_as_text, about_from_array, read_arrays
from fed_plugin.retrieval.dump_checks import check_arrays
from fed_plugin.retrieval.whole_files import written_whole

logger = logging.getLogger(__name__)

REQUIRED = ("features", "pids", "camids", "split", "names")
OPTIONAL = ("part_features", "visibility")
ABOUT = "about"


@dataclass(frozen=True, eq=False)
class FeatureDump:
    """Hold what a model says of a test set's images.

    Args:
        features: (N, D) float32 or float16, finite.
        pids: (N,) identities, integers.
        camids: (N,) cameras, integers.
        split: (N,) strings, ``"query"`` or ``"gallery"``, at least one of each.
        names: (N,) file names, each once in a split.
        part_features: (N, P, C) float32 or float16; None if the model has no parts.
        visibility: (N, P) in [0, 1], 1 = visible; None if the model estimates none.
        about: what is known of the features' origin, as JSON has it. Known keys: ``method``,
            ``dataset``, ``config``, ``weights_sha256``, ``seed``, ``epoch``; others are kept.

    Raises:
        ValueError: An array is not what the format says; expected, got, try.
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the dump; the file is there whole or not at all.

        Args:
            path: usually ``*.npz``; nothing is appended to it.

        Raises:
            FileNotFoundError: Its folder is not there.
        """
        arrays = {name: getattr(self, name) for name in (*REQUIRED, *OPTIONAL)}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        with written_whole(path) as file:
            np.savez(file, **arrays, **{ABOUT: np.array(about_as_text(self.about))})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FeatureDump:
        """Read a dump, executing nothing of it.

        Raises:
            FileNotFoundError: No such file.
            ValueError: It is not a feature dump; the message names the file and what is wrong.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file, expected a feature dump (.npz)")
        arrays = read_arrays(path, "a feature dump")
        if missing := [name for name in REQUIRED if name not in arrays]:
            raise ValueError(
                f"{path}: holds no array {missing[0]!r}, expected {', '.join(REQUIRED)}; got "
                f"{', '.join(sorted(arrays)) or 'nothing'}"
            )
        about = arrays.pop(ABOUT, None)
        if ignored := sorted(set(arrays) - {*REQUIRED, *OPTIONAL}):
            logger.warning("%s: nobody reads its arrays %s", path, ", ".join(ignored))
        known = {name: arrays[name] for name in arrays if name not in ignored}
        try:
            return cls(**known, about={} if about is None else about_from_array(about))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def unique_names(paths: Sequence[str]) -> list[str]:
    """Return the base names of one split's files; with folders in front where those repeat.

    Args:
        paths: different files.
    """
    parts = [PurePath(path).parts for path in paths]
    for depth in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    twice, count = Counter(map(str, paths)).most_common(1)[0]
    raise ValueError(f"{twice}: stands {count} times in one split, expected each file once")
