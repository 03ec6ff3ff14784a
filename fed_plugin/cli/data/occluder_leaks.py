"""Which crops of an occluder set are cut out of a data set's query images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.datasets.layouts import LAYOUTS, Item
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.occluder_sets import Crop, alike, look_of


@dataclass(frozen=True)
class NamedSplit:
    """Hold one split of a data set that a user named.

    Attributes:
        name: the data set's registered name.
        items: (path, pid, camid) of its images.
        note: of its withdrawal; empty where the plugin knows of none.
    """

    name: str
    items: list[Item]
    note: str


@dataclass(frozen=True)
class LeakReport:
    """Hold the outcome of a search.

    Attributes:
        dataset: whose query images were searched.
        images: how many.
        found: per leaking crop, by its index, where it was found.
        unsearchable: indices of crops that are too small, too flat or too transparent to be
            recognised inside an image.
        unreadable: query images that could not be searched, and why.
    """

    dataset: str
    images: int
    found: dict[int, str]
    unsearchable: list[int]
    unreadable: list[str]

    def to_json(self, crops: Sequence[Crop]) -> dict[str, Any]:
        """Say for a manifest what was searched; leaking crops are listed as left out."""
        return {
            "data set": self.dataset,
            "query images": self.images,
            "leaking crops": len(self.found),
            "too small or flat to be found": [crops[index].origin for index in self.unsearchable],
            "unreadable query images": self.unreadable,
        }


def named_split(words: str, split: str) -> NamedSplit:
    """Find one split of a data set by its registered name or by a path.

    Args:
        words: as ``data check`` takes them.
        split: "train" or "query".

    Raises:
        FileNotFoundError: the data set is not there.
        ValueError: it has no such split, or cannot be read, or several data sets are meant.
    """
    from fed_plugin.datasets.checking import find_targets

    targets = find_targets(words, os.environ.get("FASTREID_DATASETS", "datasets"))
    if len(targets) != 1:
        names = ", ".join(target.name for target in targets)
        raise ValueError(f"{words}: expected one data set; it holds {names}; name one of them")
    target = targets[0]
    listing = next((found for found in target.list_files() if found.split == split), None)
    if listing is None:
        raise ValueError(f"{target.name} has no {split} split; expected a data set with one")
    if listing.problem or not listing.items:
        raise ValueError(f"{target.name}, {split}: {listing.problem or 'holds no image'}")
    layout = LAYOUTS.get(target.name)
    note = layout.note if layout and "withdrawn" in layout.note else ""
    return NamedSplit(target.name, listing.items, note)


def search_leaks(
    crops: Sequence[Crop], queries: NamedSplit, progress: Callable[[int, int], None] | None = None
) -> LeakReport:
    """Search crops inside query images, at native scale, and as whole pictures at any.

    Args:
        crops: of a set.
        queries: the images that nothing of may be trained on.
        progress: called with (images done, images in all).
    """
    from fed_plugin.transforms.decoding import read_rgb
    from fed_plugin.transforms.leaks import LeakSearch

    search = LeakSearch([crop.pixels for crop in crops])
    found: dict[int, str] = {}
    unreadable: list[str] = []
    looks, names = [], []
    for done, (path, _, _) in enumerate(queries.items, start=1):
        name = printable(os.path.basename(path))
        try:
            image = read_rgb(Path(path))
        except Exception as error:  # every decoder raises its own kinds
            unreadable.append(f"{name}: {error}")
        else:
            for leak in search.in_image(image):
                place = f"row {leak.top}, column {leak.left}, correlation {leak.correlation:.2f}"
                found.setdefault(leak.crop, f"inside query image {name} ({place})")
            looks.append(look_of(image))
            names.append(name)
        if progress is not None:
            progress(done, len(queries.items))
    for crop, image_index in alike([look_of(crop.pixels) for crop in crops], looks):
        found.setdefault(crop, f"the same picture as query image {names[image_index]}")
    count = len(queries.items)
    return LeakReport(queries.name, count, found, search.unsearchable, unreadable)
