"""The check of a data set, from the file names to the last pixel."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fed_plugin.datasets.findings import (
    SEVERITIES,
    Finding,
    SplitCounts,
    answer_findings,
    content_findings,
    count_findings,
    count_split,
    leak_findings,
    listing_findings,
)
from fed_plugin.datasets.image_facts import FactsCache, Progress, scan
from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.own_data import read_own_data
from fed_plugin.datasets.splits import (
    MARKET_NAMES,
    Layout,
    SplitScan,
    find_dataset,
    find_split_folders,
    letters,
    missing_message,
    scan_split,
)

OWN = "FolderReID"
"""Registered name of data that are no benchmark."""

_DRAWN = "synthocc.json"  # a file that only SynthOcc has among data in Market-1501's form
_NEAR = 0.2  # share of the published images by which a copy in another folder may differ


@dataclass(frozen=True)
class Target:
    """One data set to check, in its folder or in the table of own data.

    ``layout`` of own data has no published counts. ``variant`` says in sentences how the splits
    are spelled and placed. ``list_files`` lists the files of each split, whatever is wrong with
    the files. ``remarks`` are findings that need no file.
    """

    layout: Layout
    folder: str
    variant: tuple[str, ...]
    list_files: Callable[[], list[SplitScan]]
    has_cameras: bool
    remarks: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """Registered name of the data set."""
        return self.layout.name


def find_targets(words: str | None, data_root: str) -> list[Target]:
    """Find the data sets that a command's words mean.

    The words are a registered name; the path of a data set's folder, of a folder that holds data
    sets, of own images or of their table; None takes every data set below ``data_root``.

    Raises:
        FileNotFoundError: No data set is there.
        ValueError: The path holds something else than a data set.
        OSError: The path cannot be read.
    """
    if words is None:
        if targets := _in_parent(data_root):
            return targets
        there = "no such folder"
        if os.path.isdir(data_root):
            there = "none of the known data sets in it"
        folders = ", ".join(dict.fromkeys(f"{lay.folders[0]}/" for lay in LAYOUTS.values()))
        raise FileNotFoundError(
            f"{printable(data_root)}: {there}; expected some of {folders}; try setting "
            "FASTREID_DATASETS to the folder that holds them, or data check PATH"
        )
    layout = _named(words)
    path = os.path.normpath(words)
    if layout is not None and find_dataset(layout, data_root):
        return [_layout_target(layout, data_root)]
    if layout is not None and not os.path.exists(path):
        raise FileNotFoundError(missing_message(layout, data_root, next(iter(layout.splits))))
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{printable(words)}: no such file or folder; expected a path, or one of "
            f"{', '.join(LAYOUTS)}"
        )
    return _own_folder(path) or _in_parent(path) or _renamed(path) or [_own_data(path)]


def _named(words: str) -> Layout | None:
    if os.sep in words or words.startswith("."):
        return None
    return next((lay for name, lay in LAYOUTS.items() if letters(name) == letters(words)), None)


def _own_folder(path: str) -> list[Target]:
    """Take ``path`` as a data set's own folder under one of its known names."""
    root, name = os.path.split(os.path.abspath(path))
    spelled = [lay for lay in LAYOUTS.values() if name in lay.folders]
    return _most_complete([replace(lay, folders=(name,)) for lay in spelled], root)


def _in_parent(root: str) -> list[Target]:
    """Take ``root`` as a folder that holds data sets under their known names."""
    by_folder: dict[str, list[Layout]] = {}
    for layout in LAYOUTS.values():
        by_folder.setdefault(find_dataset(layout, root), []).append(layout)
    by_folder.pop("", None)
    return [target for group in by_folder.values() for target in _most_complete(group, root)]


def _most_complete(layouts: Sequence[Layout], root: str) -> list[Target]:
    """Keep the layouts whose splits all exist; without such a layout, the one with most splits."""
    there = {lay.name: len(find_split_folders(lay, root)) for lay in layouts}
    complete = [lay for lay in layouts if there[lay.name] == len(lay.splits)]
    some = [lay for lay in layouts if there[lay.name]]
    best = complete or sorted(some, key=lambda lay: -there[lay.name])[:1]
    return [_layout_target(lay, root) for lay in best]


def _renamed(path: str) -> list[Target]:
    """Take ``path`` as a benchmark in a folder of another name, if it has the published files."""
    root, name = os.path.split(os.path.abspath(path))
    here = [replace(layout, folders=(name,)) for layout in LAYOUTS.values()]
    distances = [_distance(layout, root) for layout in here]
    best = here[distances.index(min(distances))]
    return [_layout_target(best, root)] if min(distances) <= _NEAR else []


def _distance(layout: Layout, root: str) -> float:
    """Return the largest share by which the images of a split differ from the published number."""
    if len(find_split_folders(layout, root)) < len(layout.splits):
        return math.inf
    if os.path.exists(os.path.join(root, layout.folders[0], _DRAWN)):
        return 0.0 if layout.name == "SynthOcc" else math.inf
    shares = []
    for split, published in layout.published.items():
        try:
            images = len(scan_split(layout, root, split).items)
        except (OSError, ValueError):
            return math.inf
        shares.append(abs(images / published.images - 1))
    return max(shares, default=math.inf)


def _layout_target(layout: Layout, root: str) -> Target:
    name = find_dataset(layout, root)
    folder = os.path.join(root, name)
    known = LAYOUTS[layout.name].folders
    places = [
        f"{split} in {os.path.relpath(path, folder)}/"
        for split, paths in find_split_folders(layout, root).items()
        for path in paths
    ]
    spelling = f"{name}/" if name in known else f"{name}/ (a name that no loader knows)"

    def list_files() -> list[SplitScan]:
        return [scan_split(layout, root, split, strict=False) for split in layout.splits]

    variant = (f"found as {spelling}: {', '.join(places)}",)
    remarks = tuple(_other_spellings(known, root, name))
    return Target(layout, folder, variant, list_files, layout.names.has_camera, remarks)


def _other_spellings(folders: tuple[str, ...], root: str, read: str) -> Iterator[Finding]:
    """Warn of a second copy that nobody reads because its folder has another spelling."""
    for other in folders if read in folders else ():
        here, beside = os.path.join(root, read), os.path.join(root, other)
        if other != read and os.path.isdir(beside) and not os.path.samefile(here, beside):
            sentence = f"{other}/ lies beside {read}/, which alone is read; try moving one away"
            yield Finding("warning", "spelling", sentence)


def _own_data(path: str) -> Target:
    own = read_own_data(path)
    layout = Layout(OWN, (OWN,), {}, MARKET_NAMES, distractor_pids=own.distractor_pids)
    warned = {f"Warning: {sentence}" for sentence in own.warnings}
    variant = tuple(sentence for sentence in own.explanation if sentence not in warned)
    remarks = tuple(Finding("warning", "own data", sentence) for sentence in own.warnings)

    def list_files() -> list[SplitScan]:
        lists = {"train": own.train, "query": own.query, "gallery": own.gallery}
        listings = [SplitScan(split, (path,), items) for split, items in lists.items() if items]
        listings[0].passed_over.extend(own.passed_over)
        return listings

    return Target(layout, path, variant, list_files, own.uses_cameras, remarks)


@dataclass(frozen=True)
class Report:
    """Result of a check: a row per split, and the findings, the most serious first.

    Of ``images`` different files, this check read ``inspected``; an earlier check read the others.
    ``decoded`` tells whether every pixel was decoded.
    """

    target: Target
    splits: tuple[SplitCounts, ...]
    findings: tuple[Finding, ...]
    images: int
    inspected: int
    decoded: bool

    @property
    def errors(self) -> int:
        """Number of findings that are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything, with every file, as JSON holds it."""
        return {
            "dataset": self.target.name,
            "folder": self.target.folder,
            "variant": list(self.target.variant),
            "decoded": self.decoded,
            "images": self.images,
            "splits": [asdict(row) for row in self.splits],
            "findings": [asdict(finding) for finding in self.findings],
        }


def check(
    target: Target,
    *,
    decode: bool = True,
    workers: int | None = None,
    cache: FactsCache | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a data set; a fault of the data set is a finding, not an exception.

    Nothing is written into the data set's folders. Without ``decode`` the check trusts the headers
    and does not search for look-alikes. ``progress`` gets (files read, files to read).
    """
    listings = target.list_files()
    layout, paths = target.layout, [path for listing in listings for path in listing.paths]
    scanned = scan(paths, decode=decode, workers=workers, cache=cache, progress=progress)
    facts, has_cameras = scanned.facts, target.has_cameras
    rows = [count_split(one, facts, layout, has_cameras=has_cameras) for one in listings]
    cameras = {camid for listing in listings for _, _, camid in listing.items}
    findings = [
        *target.remarks,
        *listing_findings(listings),
        *count_findings(rows, len(cameras) if has_cameras else 0, layout),
        *content_findings(listings, facts),
        *leak_findings(listings, facts),
        *answer_findings(listings, layout.distractor_pids),
    ]
    if not decode:
        what = "the pixels were not decoded: broken files and look-alikes may have stayed unseen"
        findings.append(Finding("note", "fast", what))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    read = len(facts), scanned.inspected, decode
    return Report(target, tuple(rows), tuple(findings), *read)
