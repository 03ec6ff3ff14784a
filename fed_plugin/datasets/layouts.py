"""How the benchmarks lie on disk, and the splits read from there.

One :class:`Layout` per dataset holds every spelling of its folders that is seen in the wild; what
reads them is the same for all.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.listing import list_images
from fed_plugin.datasets.missing import empty_message, missing_message
from fed_plugin.datasets.names import DUKE_NAMES, MARKET_NAMES, NUMBERED_NAMES, NameRule

Item = tuple[str, int, int]

# Where names tell no camera, queries and gallery images get different ones, so that the rule that
# removes images of the query's camera never fires.
_CAMERA_OF_SPLIT = {"train": 0, "query": 0, "gallery": 1}
_JUNK_PID = -1  # Market-1501's mark for a detection that is nobody


@dataclass(frozen=True)
class Splits:
    """Hold the three lists of a dataset, each of (path, pid, camid) with Python ints.

    Attributes:
        train: training images; empty for a dataset that is for testing only.
        query: images that are searched for.
        gallery: images that are searched.
    """

    train: list[Item]
    query: list[Item]
    gallery: list[Item]


@dataclass(frozen=True)
class Layout:
    """Describe where a dataset's images lie and how they are named.

    Attributes:
        name: the dataset's registered name.
        folders: spellings of its folder, the preferred one first.
        splits: per split, in the order train, query, gallery, the spellings of its subfolder.
        names: how its files are named.
        nested: whether a split may hold a folder per identity.
        query_sets: subfolders that are different query sets, the default first; empty where there
            is only one. ``splits["query"]`` names the one in use.
        distractor_pids: identities of the gallery that are nobody's.
        note: what somebody who lacks the dataset should know.
    """

    name: str
    folders: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    names: NameRule
    nested: bool = False
    query_sets: tuple[str, ...] = ()
    distractor_pids: tuple[int, ...] = ()
    note: str = field(default="", repr=False)

    def with_queries(self, queries: str) -> Layout:
        """Return this layout with another of its query sets.

        Raises:
            ValueError: It has no such query set.
        """
        if queries not in self.query_sets:
            expected = " or ".join(self.query_sets) or "none: there is only one query set"
            raise ValueError(f"{self.name}: queries={queries!r}: expected {expected}")
        return replace(self, splits={**self.splits, "query": (queries,)})


_MARKET_FOLDERS = {
    "train": ("bounding_box_train",),
    "query": ("query",),
    "gallery": ("bounding_box_test",),
}
OCCLUDED_DUKE = Layout(
    name="Occluded_Duke",
    folders=("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded_DukeMTMC"),
    splits=_MARKET_FOLDERS,
    names=DUKE_NAMES,
    note="DukeMTMC-reID, which this set is made of, was withdrawn by its university in April 2019: "
    "nothing here downloads it. Market-1501 with Occluded_REID, and SynthOcc, need no Duke image.",
)
OCCLUDED_REID = Layout(
    name="Occluded_REID",
    folders=("Occluded_REID", "OccludedREID"),
    splits={
        "query": ("occluded_body_images", "query"),
        "gallery": ("whole_body_images", "gallery"),
    },
    names=NUMBERED_NAMES,
    nested=True,
)
PARTIAL_REID = Layout(
    name="Partial_REID",
    folders=("Partial_REID", "Partial-REID_Dataset"),
    splits={"query": ("partial_body_images",), "gallery": ("whole_body_images",)},
    names=NUMBERED_NAMES,
    query_sets=("partial_body_images", "occluded_body_images"),
)
SYNTHOCC = Layout(
    name="SynthOcc",
    folders=("SynthOcc",),
    splits=_MARKET_FOLDERS,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    note="SynthOcc is drawn, not downloaded: python -m fed_plugin data synth --size small "
    "--out DIR/SynthOcc, with DIR the folder that FASTREID_DATASETS names.",
)
LAYOUTS = {lay.name: lay for lay in (OCCLUDED_DUKE, OCCLUDED_REID, PARTIAL_REID, SYNTHOCC)}


def list_split(layout: Layout, root: str, split: str) -> list[Item]:
    """List one split, sorted by base name.

    Args:
        layout: of the dataset.
        root: folder that holds the dataset's folder.
        split: a key of ``layout.splits``.

    Raises:
        FileNotFoundError: The dataset or the split is not there or holds no image; the message
            shows the tree that was expected and what was found.
        ValueError: A file's name does not parse, or an image is there twice.
    """
    folder = _find_split(layout, root, split)
    items = []
    for path in list_images(folder, nested=layout.nested):
        pid, camid = layout.names.parse(path)
        if pid != _JUNK_PID:
            items.append((path, pid, _CAMERA_OF_SPLIT[split] if camid is None else camid))
    if not items:
        raise FileNotFoundError(empty_message(layout, folder, split))
    return items


def read_splits(layout: Layout, root: str) -> Splits:
    """List all splits of a dataset; see :func:`list_split`."""
    lists = {split: list_split(layout, root, split) for split in layout.splits}
    return Splits(lists.get("train", []), lists["query"], lists["gallery"])


def _find_split(layout: Layout, root: str, split: str) -> str:
    """Return the split's folder, from that spelling of the dataset which has most splits."""

    def find(dataset: str, split: str) -> str | None:
        paths = (os.path.join(root, dataset, spelling) for spelling in layout.splits[split])
        return next(filter(os.path.isdir, paths), None)

    there = [dataset for dataset in layout.folders if os.path.isdir(os.path.join(root, dataset))]
    # max keeps the first among equals; splits of two spellings are never mixed.
    best = max(there, key=lambda d: sum(find(d, s) is not None for s in layout.splits), default="")
    folder = find(best, split) if best else None
    if folder is None:
        raise FileNotFoundError(missing_message(layout, root, best, split))
    return folder
