"""The description of a data set (`Layout`) and the reading of its splits.

The data sets themselves are the rows of ``layouts.py``.
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
from fed_plugin.identities import JUNK_PID

Item = tuple[str, int, int]
"""Path, pid and camid of an image."""

CAMERA_OF_SPLIT: Mapping[str, int] = {"train": 0, "query": 0, "gallery": 1}
"""Cameras of a data set without cameras.

Queries and gallery images get different ones. Therefore the rule that removes images of the
query's camera never applies.
"""
_MAX_DIGITS = 18  # of an identity or a camera: the host stores 64 bits
_SHOWN = 12  # entries of a folder in a message

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NameRule:
    """Rule for the file names of a data set.

    Attributes:
        pattern: regular expression for a whole base name without its last suffix; has the group
            ``pid``, and the group ``camera`` (counted from 1) where the names contain cameras.
        example: a matching name, for messages.
    """

    pattern: str
    example: str

    def parse(self, path: str) -> tuple[int, int | None]:
        """Read ``(pid, camid)`` from the base name of a path; the camera counts from 0.

        The names of folders are never read: ``/data/run2024_7_x/`` is no identity. The numbers are
        Python ints, because the host's collator turns NumPy's ints into None. The camera is None
        where the names contain no cameras.

        Raises:
            ValueError: The base name does not follow the rule.
        """
        match = re.fullmatch(self.pattern, os.path.splitext(os.path.basename(path))[0])
        groups = match.groupdict() if match else {}
        camera = groups.get("camera")
        too_long = any(len(number or "") > _MAX_DIGITS for number in groups.values())
        if match is None or too_long or (camera and int(camera) < 1):
            raise ValueError(
                f"{printable(path)}: cannot read an identity"
                f"{' and a camera' if self.has_camera else ''} from this name: "
                f"expected one like {self.example}; try moving the file elsewhere"
            )
        return int(groups["pid"]), None if camera is None else int(camera) - 1

    @property
    def has_camera(self) -> bool:
        """Whether the names contain a camera."""
        return "(?P<camera>" in self.pattern


DUKE_NAMES = NameRule(r"(?P<pid>\d+)_c(?P<camera>\d+)_f\d+", "0001_c2_f0046182.jpg")
_MARKET = r"(?P<pid>-1|\d+)_c(?P<camera>\d+)s\d+_\d+_\d+.*"
MARKET_NAMES = NameRule(_MARKET, "0002_c1s1_000451_03.jpg")


@dataclass(frozen=True)
class Published:
    """Published size of one split, without detections of nobody.

    ``identities`` is None where only the number of images is published.
    """

    images: int
    identities: int | None = None


@dataclass(frozen=True)
class Layout:
    """Place, file names and published size of a data set.

    Attributes:
        folders: spellings of the data set's folder, the preferred one first.
        splits: per split, in the order train, query, gallery, the spellings of its subfolder.
        nested: whether a split may hold a folder per identity.
        joined: splits that consist of all their subfolders; elsewhere several subfolders are
            several spellings of one.
        query_sets: subfolders that are different query sets, the default first; empty where there
            is only one. ``splits["query"]`` names the set in use.
        people: name of another data set that shows the same people; empty for most.
        distractor_pids: identities of the gallery that are nobody's.
        published: per split the counts of a complete copy; splits without known counts are absent.
        lists: per split the sha256 of the published file list (``findings.list_hash``).
        uncounted: words in place of the counts in the table of data sets, where none are published.
        cameras: number of cameras in a complete copy; 0 where it is not known.
        checked_only: whether fast-reid itself registers and reads the data set.
        protocols: ways in which papers test the data set; empty where there is one.
        config: installed config that is made for the data set; empty where there is none.
        select: function for a data set whose published lists choose the images of a split; takes a
            split's subfolder, the split and the images in the subfolder, returns the images of
            this split and the images of no split.
        note: advice for users without a copy of the data set.
    """

    name: str
    folders: tuple[str, ...]
    splits: Mapping[str, tuple[str, ...]]
    names: NameRule
    nested: bool = False
    joined: frozenset[str] = frozenset()
    query_sets: tuple[str, ...] = ()
    people: str = ""
    distractor_pids: tuple[int, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    uncounted: str = "not known"
    cameras: int = 0
    checked_only: bool = False
    protocols: tuple[str, ...] = ()
    config: str = ""
    select: Callable[[str, str, list[str]], tuple[list[str], list[str]]] | None = None
    note: str = field(default="", repr=False)

    def with_queries(self, queries: str) -> Layout:
        """Return this layout with another of its query sets.

        Raises:
            ValueError: The data set has no such query set.
        """
        if queries not in self.query_sets:
            expected = " or ".join(self.query_sets) or "none: there is only one query set"
            raise ValueError(f"{self.name}: queries={queries!r}: expected {expected}")
        return replace(self, splits={**self.splits, "query": (queries,)})


@dataclass(frozen=True)
class Splits:
    """Three lists of (path, pid, camid) with Python ints.

    ``train`` is empty for a data set that is for testing only.
    """

    train: list[Item]
    query: list[Item]
    gallery: list[Item]


@dataclass(frozen=True)
class SplitScan:
    """Files of a split, ``"train"``, ``"query"`` or ``"gallery"``; each file is in one list.

    Attributes:
        items: (path, pid, camid) of the images that training or evaluation reads.
        passed_over: paths of files that are no images, or images of no split.
        junk: paths of detections that show nobody (Market-1501's identity -1).
        unnamed: images whose name does not follow the rule.
        problems: reasons why training refuses the split; empty for a sound split.
    """

    split: str
    folders: tuple[str, ...]
    items: list[Item] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    junk: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    problems: list[OSError | ValueError] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """Paths of the images that training or evaluation reads."""
        return [path for path, _, _ in self.items]

    @property
    def problem(self) -> str:
        """First line of the first problem; empty for a sound split."""
        return str(self.problems[0]).splitlines()[0] if self.problems else ""


def read_splits(layout: Layout, root: str, queries: str | None = None) -> Splits:
    """List all splits, as `list_split` does; ``queries`` names another query set of the layout."""
    if queries is not None:
        layout = layout.with_queries(queries)
    lists = {split: list_split(layout, root, split) for split in layout.splits}
    return Splits(lists.get("train", []), lists["query"], lists["gallery"])


def list_split(layout: Layout, root: str, split: str, log: logging.Logger = logger) -> list[Item]:
    """List one split, sorted by base name; one warning counts and names what is passed over.

    Arguments and errors are those of :func:`scan_split`; ``log`` gets the warning.
    """
    scan = scan_split(layout, root, split)
    warn_of_passed_over(os.path.commonpath(scan.folders), scan.passed_over, log)
    if scan.junk:
        log.info(
            "%s: %d detections of nobody (identity -1) are left out of %s, such as %s",
            *(layout.name, len(scan.junk), split, os.path.basename(scan.junk[0])),
        )
    return scan.items


def scan_split(layout: Layout, root: str, split: str, *, strict: bool = True) -> SplitScan:
    """List one split, a key of ``layout.splits``, sorted by base name, without a log line.

    ``root`` is the folder that holds the data set's folder. If ``strict``, the first problem is
    raised; otherwise the split is listed as far as possible.

    Raises:
        FileNotFoundError: The data set or the split is missing or holds no image; the message
            shows the expected tree and the tree on the disk.
        PermissionError: A folder cannot be read.
        ValueError: A file's name does not follow the rule, an image exists twice, or the data set
            has no such split.
    """
    if split not in layout.splits:
        known = ", ".join(layout.splits)
        raise ValueError(f"{layout.name}: split={split!r}: expected one of {known}")
    scan = SplitScan(split, find_split_folders(layout, root).get(split, ()))
    if not scan.folders:
        scan.problems.append(FileNotFoundError(missing_message(layout, root, split)))
    for folder in scan.folders:
        _scan_into(scan, layout, folder)
    if strict and scan.problems:
        raise scan.problems[0]
    scan.items.sort(key=lambda item: (os.path.basename(item[0]), item[0]))
    return scan


def _scan_into(scan: SplitScan, layout: Layout, folder: str) -> None:
    files = scan_folder(folder, nested=layout.nested, strict=False)
    images, before = files.images, len(scan.items)
    scan.problems.extend(files.problems)
    scan.passed_over.extend(files.passed_over)
    if layout.select is not None:
        try:
            images, others = layout.select(folder, scan.split, images)
        except (OSError, ValueError) as error:
            scan.problems.append(error)
            images, others = [], images  # without the lists, the split of an image is unknown
        scan.passed_over.extend(others)
    for path in images:
        try:
            pid, camid = layout.names.parse(path)
        except ValueError as error:
            scan.problems.append(error)
            scan.unnamed.append(path)
            continue
        if pid == JUNK_PID:
            scan.junk.append(path)
        else:
            camera = CAMERA_OF_SPLIT[scan.split] if camid is None else camid
            scan.items.append((path, pid, camera))
    if len(scan.items) == before and not scan.problems:
        image = f"    {layout.names.example} and so on ({', '.join(IMAGE_SUFFIXES)})"
        expected, what = [f"  {os.path.join(folder, '')}", image], f"no {scan.split} image in"
        advice = "unpacking the dataset again"
        message = _message(layout, f"{what} {folder}", expected, folder, advice)
        scan.problems.append(FileNotFoundError(message))


def find_dataset(layout: Layout, root: str) -> str:
    """Return the spelling of the data set's folder that has most splits; empty if none exists.

    Splits of two spellings are never mixed. Among equals the first spelling wins.
    """
    there = [dataset for dataset in layout.folders if os.path.isdir(os.path.join(root, dataset))]
    return max(there, key=lambda d: len(_splits_in(layout, os.path.join(root, d))), default="")


def find_split_folders(layout: Layout, root: str) -> dict[str, tuple[str, ...]]:
    """Return the folders by split, all in one spelling of the data set; several if joined.

    ``root`` is the folder that holds the data set's folder.
    """
    dataset = find_dataset(layout, root)
    return _splits_in(layout, os.path.join(root, dataset)) if dataset else {}


def _splits_in(layout: Layout, folder: str) -> dict[str, tuple[str, ...]]:
    splits = {}
    for split, spellings in layout.splits.items():
        paths = [os.path.join(folder, spelling) for spelling in spellings]
        there = [path for path in paths if os.path.isdir(path)]
        if split not in layout.joined:
            splits[split] = tuple(there[:1])
        elif len(there) == len(paths):
            splits[split] = tuple(there)
    return {split: paths for split, paths in splits.items() if paths}


# Messages for somebody whose data set is missing: the expected tree, and the tree on the disk.


def missing_message(layout: Layout, root: str, split: str) -> str:
    """Return several lines for a data set, or one split of it, that does not exist below root."""
    dataset = find_dataset(layout, root)
    searched = os.path.join(root, dataset) if dataset else root
    what = f"no {split} folder in {searched}" if dataset else f"not in {root}"
    advice = f"unpacking the dataset again, or moving its folders into {dataset}/"
    if not dataset:
        advice = (
            f"setting the environment variable FASTREID_DATASETS (now root={root!r}; without it: "
            f"'datasets') to the folder that holds {layout.folders[0]}/, before Python starts"
        )
    expected = [f"  {os.path.join(root, '')}", f"    {_either(layout.folders)}"]
    for name, spellings in layout.splits.items():
        subfolders = _either(spellings, " and " if name in layout.joined else " or ")
        expected.append(f"      {subfolders}  ({name}: {layout.names.example} and so on)")
    notes = [_usual_mistake(layout, root, searched), layout.note]
    lines = [_message(layout, what, expected, searched, advice)]
    return "\n".join([*lines, *(f"note: {note}" for note in notes if note)])


def _message(layout: Layout, what: str, expected: list[str], searched: str, advice: str) -> str:
    head = f"{layout.name} (DATASETS.NAMES, DATASETS.TESTS): {what}"
    lines = [head, "expected:", *expected, "found:", *_tree(searched), f"try: {advice}"]
    return "\n".join(lines)


def _usual_mistake(layout: Layout, root: str, searched: str) -> str:
    """Recognise a root that is one folder too deep or too high, and another spelling."""
    if _holds_a_split(layout, root):
        above, name = os.path.split(os.path.abspath(root))
        advice = f"name the one above it, {above}"
        if name not in layout.folders:
            advice = f"rename it, or link to it, as {layout.folders[0]}/ and {advice}"
        return f"{root} looks like the dataset's own folder; {advice}"
    if not os.path.isdir(searched):
        return ""
    spelled = set(map(letters, layout.folders))
    for entry in filter(is_folder, visible_entries(searched)):
        if searched != root and _holds_a_split(layout, entry.path):
            advice = "looks like the dataset's own folder; move what it holds one up"
            return f"{entry.path} {advice}"
        if searched == root and letters(entry.name) in spelled:
            advice = "looks like another spelling; rename it, or link to it, as one of those"
            return f"{printable(entry.name)}/ {advice} expected"
    return ""


def _holds_a_split(layout: Layout, folder: str) -> bool:
    names = [name for spellings in layout.splits.values() for name in spellings]
    return any(os.path.isdir(os.path.join(folder, name)) for name in names)


def letters(name: str) -> str:
    """Return the letters and digits of a name, by which its spellings agree."""
    return "".join(filter(str.isalnum, name)).lower()


def _either(spellings: tuple[str, ...], between: str = " or ") -> str:
    return between.join(f"{spelling}/" for spelling in spellings)


def _tree(folder: str) -> list[str]:
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
