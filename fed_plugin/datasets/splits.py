"""What a layout is, and the splits of a dataset read by one.

The datasets themselves are rows of ``layouts.py``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.listing import scan_folder, warn_of_passed_over
from fed_plugin.datasets.missing import empty_message, missing_message
from fed_plugin.datasets.names import NameRule
from fed_plugin.datasets.published import Published

Item = tuple[str, int, int]

CAMERA_OF_SPLIT: Mapping[str, int] = {"train": 0, "query": 0, "gallery": 1}
"""Cameras where none are told: with different ones for queries and gallery images, the rule that
removes images of the query's camera never fires."""
JUNK_PID = -1
"""Market-1501's mark for a detection that is nobody."""

logger = logging.getLogger(__name__)


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
class SplitScan:
    """Hold all that was found where a split lies; every file is in one of the lists.

    Attributes:
        items: (path, pid, camid), sorted by base name.
        passed_over: paths of what is no image to read, or no image of any split.
        junk: paths of detections that are nobody (Market-1501's identity -1).
    """

    items: list[Item]
    passed_over: list[str]
    junk: list[str]


@dataclass(frozen=True)
class Layout:
    """Describe where a dataset's images lie and how they are named.

    Attributes:
        name: the dataset's registered name.
        folders: spellings of its folder, the preferred one first.
        splits: per split, in the order train, query, gallery, the spellings of its subfolder.
        names: how its files are named.
        nested: whether a split may hold a folder per identity.
        joined: splits whose subfolders are no spellings, but all belong to it.
        query_sets: subfolders that are different query sets, the default first; empty where there
            is only one. ``splits["query"]`` names the one in use.
        distractor_pids: identities of the gallery that are nobody's.
        published: per split the counts of a complete copy; splits without known counts are absent.
        cameras: how many a complete copy has; 0 where there are none, or nobody counted them.
        select: for a dataset whose published lists say which images a split has: gets a split's
            subfolder, the split and the images found there, returns those of this split and those
            of no split.
        note: what somebody who lacks the dataset should know.
    """

    name: str
    folders: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    names: NameRule
    nested: bool = False
    joined: frozenset[str] = frozenset()
    query_sets: tuple[str, ...] = ()
    distractor_pids: tuple[int, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)
    cameras: int = 0
    select: Callable[[str, str, list[str]], tuple[list[str], list[str]]] | None = None
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


def list_split(layout: Layout, root: str, split: str, log: logging.Logger = logger) -> list[Item]:
    """List one split, sorted by base name; one warning counts and names what is passed over.

    Args:
        layout: of the dataset.
        root: folder that holds the dataset's folder.
        split: a key of ``layout.splits``.
        log: gets the warning.

    Raises:
        OSError: as :func:`scan_split`.
        ValueError: as :func:`scan_split`.
    """
    scan = scan_split(layout, root, split)
    folders = find_split_folders(layout, root)[split]
    warn_of_passed_over(os.path.commonpath(folders), scan.passed_over, log)
    if scan.junk:
        log.info(
            "%s: %d detections of nobody (identity -1) are left out of %s, such as %s",
            *(layout.name, len(scan.junk), split, os.path.basename(scan.junk[0])),
        )
    return scan.items


def scan_split(layout: Layout, root: str, split: str) -> SplitScan:
    """Look through one split, and log nothing.

    Args:
        layout: of the dataset.
        root: folder that holds the dataset's folder.
        split: a key of ``layout.splits``.

    Raises:
        FileNotFoundError: The dataset or the split is not there or holds no image; the message
            shows the tree that was expected and what was found.
        PermissionError: A folder cannot be read.
        ValueError: A file's name does not parse, an image is there twice, or the dataset has no
            such split.
    """
    if split not in layout.splits:
        raise ValueError(
            f"{layout.name}: split={split!r}: expected one of {', '.join(layout.splits)}"
        )
    folders = find_split_folders(layout, root).get(split, ())
    if not folders:
        raise FileNotFoundError(missing_message(layout, root, find_dataset(layout, root), split))
    result = SplitScan([], [], [])
    for folder in folders:
        images = _images_of(layout, folder, split, result.passed_over)
        items, junk = _parsed(layout, images, split)
        if not items:
            raise FileNotFoundError(empty_message(layout, folder, split))
        result.items.extend(items)
        result.junk.extend(junk)
    result.items.sort(key=lambda item: (os.path.basename(item[0]), item[0]))
    return result


def _images_of(layout: Layout, folder: str, split: str, passed_over: list[str]) -> list[str]:
    scan = scan_folder(folder, nested=layout.nested)
    passed_over.extend(scan.passed_over)
    if layout.select is None:
        return scan.images
    images, others = layout.select(folder, split, scan.images)
    passed_over.extend(others)
    return images


def _parsed(layout: Layout, images: list[str], split: str) -> tuple[list[Item], list[str]]:
    """Return what the names say, and the paths of nobody."""
    items, junk = [], []
    for path in images:
        pid, camid = layout.names.parse(path)
        if pid == JUNK_PID:
            junk.append(path)
        else:
            items.append((path, pid, CAMERA_OF_SPLIT[split] if camid is None else camid))
    return items, junk


def read_splits(layout: Layout, root: str) -> Splits:
    """List all splits of a dataset; see :func:`list_split`."""
    lists = {split: list_split(layout, root, split) for split in layout.splits}
    return Splits(lists.get("train", []), lists["query"], lists["gallery"])


def find_split_folders(layout: Layout, root: str) -> dict[str, tuple[str, ...]]:
    """Find the folders of each split, all in one spelling of the dataset.

    Args:
        layout: of the dataset.
        root: folder that holds the dataset's folder.

    Returns:
        Per split that is there its folders, several only for a joined split.
    """
    dataset = find_dataset(layout, root)
    return _splits_in(layout, os.path.join(root, dataset)) if dataset else {}


def find_dataset(layout: Layout, root: str) -> str:
    """Return that spelling of the dataset's folder which has most splits, empty if none is there.

    Splits of two spellings are never mixed; among equals the first spelling wins.
    """
    there = [dataset for dataset in layout.folders if os.path.isdir(os.path.join(root, dataset))]
    return max(there, key=lambda d: len(_splits_in(layout, os.path.join(root, d))), default="")


def _splits_in(layout: Layout, folder: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for split, spellings in layout.splits.items():
        paths = [os.path.join(folder, spelling) for spelling in spellings]
        there = [path for path in paths if os.path.isdir(path)]
        if split in layout.joined:
            found[split] = tuple(there) if len(there) == len(paths) else ()
        else:
            found[split] = tuple(there[:1])
    return {split: paths for split, paths in found.items() if paths}
