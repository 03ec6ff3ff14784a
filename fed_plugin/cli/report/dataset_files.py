"""What lies on this machine of a data set that a benchmark tested on."""

from __future__ import annotations

import os
from pathlib import Path

from fed_plugin.datasets.layouts import LAYOUTS, read_splits
from fed_plugin.datasets.synthocc import read_visibility
from fed_plugin.datasets.synthocc.records import has_visibility
from fed_plugin.retrieval.feature_dump import unique_names


def find_images(dataset: str) -> dict[tuple[str, str], Path] | str:
    """Return the images of a data set by split and name; a reason if they are not there."""
    if dataset not in LAYOUTS:
        return f"where its images lie is not known (known: {', '.join(LAYOUTS)})"
    root = os.environ.get("FASTREID_DATASETS", "datasets")
    try:
        splits = read_splits(LAYOUTS[dataset], root)
    except (OSError, ValueError) as error:
        return f"its images are not there ({str(error).partition(chr(10))[0]})"
    found = {}
    for split in ("query", "gallery"):
        paths = [item[0] for item in getattr(splits, split)]
        names = unique_names(paths)
        found.update({(split, name): Path(p) for name, p in zip(names, paths, strict=True)})
    return found


def visible_shares(dataset: str) -> dict[str, tuple[float, ...]]:
    """Return what can be seen of every query by its name; empty if the set does not say.

    Returns:
        The visible share of the person, then those of its parts from top to bottom.

    Raises:
        ValueError: the side file is damaged.
    """
    images = find_images(dataset)
    if isinstance(images, str):
        return {}
    folder = next(path.parents[1] for (split, _), path in images.items() if split == "query")
    if not has_visibility(folder):
        return {}
    return {name: row.shares for name, row in read_visibility(folder).items()}
