"""What a layout is, and the splits of a dataset read by one.

The datasets themselves are rows of ``layouts.py``.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.listing import (
    IMAGE_SUFFIXES,
    is_folder,
    printable,
    scan_folder,
    visible_entries,
    warn_of_passed_over,
)

# What to tell somebody whose dataset was not found: the tree expected, the tree found.

_SHOWN = 12  # entries of a folder


def missing_message(layout: Layout, root: str, dataset: str, split: str) -> str:
    """Say that a dataset, or one split of it, is not there.

    Args:
        layout: of the dataset.
        root: folder that was searched.
        dataset: the dataset's folder under ``root``, empty if there is none.
        split: the split that was wanted.

    Returns:
        A message of several lines.
    """
    searched = os.path.join(root, dataset) if dataset else root
    what = f"no {split} folder in {searched}" if dataset else f"not in {root}"
    lines = [
        f"{layout.name} (DATASETS.NAMES, DATASETS.TESTS): {what}",
        "expected:",
        *_expected_tree(layout, root),
        "found:",
        *_found_tree(searched),
        f"try: {_advice(layout, root, dataset)}",
    ]
    lines += [f"note: {hint}" for hint in _hints(layout, root, searched)]
    if layout.note:
        lines.append(f"note: {layout.note}")
    return "\n".join(lines)


def _advice(layout: Layout, root: str, dataset: str) -> str:
    if dataset:
        return f"unpacking the dataset again, or moving its folders into {dataset}/"
    return (
        f"setting the environment variable FASTREID_DATASETS (now root={root!r}; without it: "
        f"'datasets') to the folder that holds {layout.folders[0]}/, before Python starts"
    )


def _hints(layout: Layout, root: str, searched: str) -> list[str]:
    """Recognise the usual slips: one folder too deep, one too many, another spelling."""
    if _holds_a_split(layout, root):
        own = os.path.abspath(root)
        above, name = os.path.split(own)
        advice = f"name the one above it, {above}"
        if name not in layout.folders:
            advice = f"rename it, or link to it, as {layout.folders[0]}/ and {advice}"
        return [f"{root} looks like the dataset's own folder; {advice}"]
    if not os.path.isdir(searched):
        return []
    folders = [entry for entry in visible_entries(searched) if is_folder(entry)]
    inner = next((e for e in folders if _holds_a_split(layout, e.path)), None)
    if searched != root and inner is not None:
        return [f"{inner.path} looks like the dataset's own folder; move what it holds one up"]
    spelled = {_letters(name) for name in layout.folders}
    alike = next((entry.name for entry in folders if _letters(entry.name) in spelled), None)
    if searched == root and alike is not None:
        spelling = f"{printable(alike)}/ looks like another spelling"
        return [f"{spelling}; rename it, or link to it, as one of those expected"]
    return []


def _holds_a_split(layout: Layout, folder: str) -> bool:
    names = [name for spellings in layout.splits.values() for name in spellings]
    return any(os.path.isdir(os.path.join(folder, name)) for name in names)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def empty_message(layout: Layout, folder: str, split: str) -> str:
    """Say that the folder of a split holds no image."""
    return "\n".join(
        [
            f"{layout.name} (DATASETS.NAMES, DATASETS.TESTS): no {split} image in {folder}",
            "expected:",
            f"  {os.path.join(folder, '')}",
            f"    {layout.names.example} and so on ({', '.join(IMAGE_SUFFIXES)})",
            "found:",
            *_found_tree(folder),
            "try: unpacking the dataset again",
        ]
    )


def _expected_tree(layout: Layout, root: str) -> list[str]:
    lines = [f"  {os.path.join(root, '')}", f"    {_either(layout.folders)}"]
    for split, spellings in layout.splits.items():
        subfolders = _either(spellings, " and " if split in layout.joined else " or ")
        lines.append(f"      {subfolders}  ({split}: {layout.names.example} and so on)")
    return lines


def _either(spellings: tuple[str, ...], between: str = " or ") -> str:
    return between.join(f"{spelling}/" for spelling in spellings)


def _found_tree(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return [f"  {folder} is {'a file' if os.path.exists(folder) else 'not there'}"]
    entries = sorted(visible_entries(folder), key=lambda entry: not is_folder(entry))
    lines = [f"    {_described(entry)}" for entry in entries[:_SHOWN]] or ["    (nothing)"]
    if len(entries) > _SHOWN:
        lines.append(f"    ... and {len(entries) - _SHOWN} more")
    return [f"  {os.path.join(folder, '')}", *lines]


def _described(entry: os.DirEntry[str]) -> str:
    name = printable(entry.name)
    if not is_folder(entry):
        return name
    try:
        inside = visible_entries(entry.path)
    except OSError:
        return f"{name}/  (cannot be read)"
    folders = sum(map(is_folder, inside))
    return f"{name}/  (folders: {folders}, files: {len(inside) - folders})"


# What a benchmark's file names say: identity and camera, read from the base name alone.

_MAX_DIGITS = 18  # of an identity or camera: the host stores 64 bits


@dataclass(frozen=True)
class NameRule:
    """Say how the file names of a dataset are built.

    Attributes:
        pattern: matches a whole base name without its last suffix; group ``pid``, and ``camera``
            (counted from 1) where the names tell it.
        example: a name that matches, for messages.
    """

    pattern: re.Pattern[str]
    example: str

    def parse(self, path: str) -> tuple[int, int | None]:
        """Read ``(pid, camid)`` from the base name of ``path``; cameras count from 0.

        Folders are never looked at: ``/data/run2024_7_x/`` is no identity.

        Args:
            path: of an image; need not exist.

        Returns:
            Python ints, as the host's collator turns NumPy's into None. The camera is None where
            the names do not tell it.

        Raises:
            ValueError: The base name does not follow the rule.
        """
        match = self.pattern.fullmatch(os.path.splitext(os.path.basename(path))[0])
        groups = match.groupdict() if match else {}
        camera = groups.get("camera")
        too_long = any(len(number or "") > _MAX_DIGITS for number in groups.values())
        if match is None or too_long or (camera and int(camera) < 1):
            raise ValueError(
                f"{printable(path)}: cannot read an identity"
                f"{' and a camera' if self.tells_camera else ''} from this name: "
                f"expected one like {self.example}; try moving the file elsewhere"
            )
        return int(groups["pid"]), None if camera is None else int(camera) - 1

    @property
    def tells_camera(self) -> bool:
        """Whether the names hold a camera."""
        return "camera" in self.pattern.groupindex


DUKE_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_c(?P<camera>\d+)_f\d+"), "0001_c2_f0046182.jpg")
MARKET_NAMES = NameRule(
    re.compile(r"(?P<pid>-1|\d+)_c(?P<camera>\d+)s\d+_\d+_\d+.*"), "0002_c1s1_000451_03.jpg"
)
NUMBERED_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_\d+"), "001_01.jpg")
# Partial-iLIDS has one image per identity and split; a copy that counts them has the count behind.
ILIDS_NAMES = NameRule(re.compile(r"(?P<pid>\d+)(_\d+)?"), "001.jpg")
# P-DukeMTMC-reID: nothing behind the identity is promised, cameras least of all.
P_DUKE_NAMES = NameRule(re.compile(r"(?P<pid>\d+)_.+"), "0001_c2_f0046182.jpg")
POSETRACK_NAMES = NameRule(
    re.compile(r"(?P<pid>\d+)_[^_]+_[^_]+"), "1024_000342_10003420000.jpg"
)  # person, video, frame


# How many images and identities a complete copy of each benchmark has.


@dataclass(frozen=True)
class Published:
    """Hold the published size of one split.

    Attributes:
        images: that belong to it, without detections of nobody.
        identities: None where only the images are published.
    """

    images: int
    identities: int | None = None


def _counts(**splits: tuple[int, int | None]) -> Mapping[str, Published]:
    return {split: Published(*numbers) for split, numbers in splits.items()}


# Source: Occluded-Duke counted from its published list files, as several papers print 708 training
# identities; all others from the datasets' own pages and loaders.
OCCLUDED_DUKE_COUNTS = _counts(train=(15618, 702), query=(2210, 519), gallery=(17661, 1110))
DUKE_COUNTS = _counts(train=(16522, 702), query=(2228, 702), gallery=(17661, 1110))
MARKET_COUNTS = _counts(train=(12936, 751), query=(3368, 750), gallery=(15913, None))
P_DUKE_COUNTS = _counts(train=(12927, 665), query=(2163, 634), gallery=(9053, 634))
OCCLUDED_REID_COUNTS = _counts(query=(1000, 200), gallery=(1000, 200))
PARTIAL_REID_COUNTS = _counts(query=(300, 60), gallery=(300, 60))
PARTIAL_ILIDS_COUNTS = _counts(query=(119, 119), gallery=(119, 119))


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
