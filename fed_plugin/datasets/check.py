"""One data set checked from its file names to its last pixel."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fed_plugin.datasets.findings import (
    SEVERITIES,
    Finding,
    Listing,
    SplitCounts,
    answer_findings,
    content_findings,
    count_findings,
    count_split,
    leak_findings,
    list_hash,
    listing_findings,
)
from fed_plugin.datasets.image_facts import (
    Facts,
    FactsCache,
    Progress,
    default_cache,
    inspect,
    scan,
)
from fed_plugin.datasets.layouts import CHECKED_ONLY, KNOWN_LISTS, LAYOUTS
from fed_plugin.datasets.listing import IMAGE_SUFFIXES, is_hidden, printable
from fed_plugin.datasets.own_data import OwnData, read_own_data
from fed_plugin.datasets.splits import (
    CAMERA_OF_SPLIT,
    JUNK_PID,
    Layout,
    Published,
    find_dataset,
    find_split_folders,
    missing_message,
    scan_split,
)

# The files of each split: as training lists them, and where that fails, as far as one can tell.


def list_layout(layout: Layout, root: str) -> list[Listing]:
    """List every split of a dataset; never raises for what is wrong with its files.

    Args:
        layout: of the dataset.
        root: folder that holds the dataset's folder.
    """
    there = find_split_folders(layout, root)
    listings = []
    for split in layout.splits:
        folders = there.get(split, ())
        try:
            found = scan_split(layout, root, split)
        except (OSError, ValueError) as error:
            listings.append(_as_far_as_possible(layout, split, folders, str(error)))
        else:
            listings.append(Listing(split, folders, found.items, found.passed_over, found.junk))
    return listings


def _as_far_as_possible(
    layout: Layout, split: str, folders: tuple[str, ...], problem: str
) -> Listing:
    """List a split that training refuses: each file by itself."""
    listing = Listing(split, folders, problem=problem.splitlines()[0])
    for folder in folders:
        images, others = _walk(folder, depth=int(layout.nested))
        if layout.select is not None:  # without its lists, nobody knows which image is in a split
            images, others = [], images + others
        listing.passed_over.extend(others)
        for path in images:
            try:
                pid, camid = layout.names.parse(path)
            except ValueError:
                listing.unnamed.append(path)
                continue
            if pid == JUNK_PID:
                listing.junk.append(path)
            else:
                camera = CAMERA_OF_SPLIT[split] if camid is None else camid
                listing.items.append((path, pid, camera))
    return listing


def _walk(folder: str, depth: int) -> tuple[list[str], list[str]]:
    """Return the images down to some depth, and all else; folders end in a separator."""
    images, others = [], []
    closed: list[str] = []
    for where, folders, files in os.walk(
        folder, onerror=lambda error: closed.append(error.filename)
    ):
        relative = os.path.relpath(where, folder)
        level = 0 if relative == "." else relative.count(os.sep) + 1
        others += [os.path.join(where, d, "") for d in folders if os.path.islink(f"{where}/{d}")]
        if not folders and not files and where != folder:
            others.append(os.path.join(where, ""))
        for name in files:
            looks = name.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(name)
            (images if looks and level <= depth else others).append(os.path.join(where, name))
    others += [os.path.join(path, "") for path in closed]
    return sorted(images, key=lambda path: (os.path.basename(path), path)), sorted(others)


# How to train and test on a data set, as lines for a shell.

# The installed config whose data set it is; the others are tested on with the first.
_CONFIGS = {
    "Market1501": "market1501_vit_base",
    "DukeMTMC": "dukemtmc_vit_base",
    "Occluded_Duke": "occluded_duke_vit_base",
    "SynthOcc": "synthocc_vit_tiny",
}
_OWN_CONFIG = "market1501_vit_base"


def how_to_train(layout: Layout, root: str, folder: str) -> tuple[str, ...]:
    """Return the lines that train on a benchmark, or test on one that has no training images.

    Args:
        layout: of the data set.
        root: folder that holds its folder.
        folder: name of its folder under ``root``.
    """
    lines = []
    # fast-reid itself knows one spelling of its own data sets.
    known = layout.folders[:1] if layout.name in CHECKED_ONLY else layout.folders
    if folder not in known:
        link = os.path.join(root, layout.folders[0])
        lines.append(f"ln -s {shlex.quote(folder)} {shlex.quote(link)}")
    config = _CONFIGS.get(layout.name, _OWN_CONFIG)
    words = [] if layout.name in _CONFIGS else ["DATASETS.TESTS", f"'(\"{layout.name}\",)'"]
    if "train" in layout.splits and words:
        words = ["DATASETS.NAMES", words[1], *words]
    lines.append(_line(config, words, f"FASTREID_DATASETS={shlex.quote(os.path.abspath(root))} "))
    if "train" not in layout.splits:
        lines.append(f"(it has no training images: Market1501 has to lie in {root}, too)")
    return tuple(lines)


def how_to_train_own(path: str, *, trains: bool = True, tests: bool = True) -> tuple[str, ...]:
    """Return the lines that train on own data, test on them, or both.

    Args:
        path: of their folder or table.
        trains: whether they have training images.
        tests: whether they have queries and a gallery.
    """
    own = "'(\"FolderReID\",)'"
    words = ["DATASETS.NAMES", own] * trains + ["DATASETS.TESTS", own] * tests
    words += ["DATASETS.FOLDER_REID.ROOT", shlex.quote(os.path.abspath(path))]
    lines = [_line(_OWN_CONFIG, words)]
    if not (trains and tests):
        missing = "test on" if trains else "train on"
        lines.append(f"(nothing here to {missing}: the config's own sets have to be there)")
    return tuple(lines)


def _line(config: str, words: list[str], before: str = "") -> str:
    command = f"{before}fed-plugin train --config-file {config}"
    return " ".join([command, *words])


# What a name or a path means: which data set lies where, in which spelling.

OWN = "FolderReID"
"""Registered name of data that are no benchmark."""

_DRAWN = "synthocc.json"  # tells SynthOcc from other data in Market-1501's form
_NEAR = 0.2  # share of the published images by which a copy in another folder may differ


@dataclass(frozen=True)
class Target:
    """One data set to check.

    Attributes:
        name: its registered name.
        folder: where it lies.
        variant: in which form it was found, in sentences.
        training: how to train and test on it, in lines.
        list_files: lists the files of each split, whatever is wrong with them.
        published: per split the counts of a complete copy.
        lists: per split the hash of the published file list, where there is one.
        cameras: their published number; 0 where none is known.
        tells_cameras: whether cameras are told, not made up.
        distractor_pids: identities of the gallery that are nobody's.
        remarks: what is known before any file is read.
    """

    name: str
    folder: str
    variant: tuple[str, ...]
    training: tuple[str, ...]
    list_files: Callable[[], list[Listing]]
    published: Mapping[str, Published] = field(default_factory=dict)
    lists: Mapping[str, str] = field(default_factory=dict)
    cameras: int = 0
    tells_cameras: bool = True
    distractor_pids: tuple[int, ...] = ()
    remarks: tuple[Finding, ...] = ()


def find_targets(words: str | None, data_root: str) -> list[Target]:
    """Find the data sets that a command's words mean.

    Args:
        words: a registered name; the path of a data set's folder, of one that holds it, of own
            images or of their table; None for every data set below ``data_root``.
        data_root: folder that holds the data sets; what ``FASTREID_DATASETS`` names.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: What is there is no data set.
        OSError: It cannot be read.
    """
    if words is None:
        found = _in_parent(data_root)
        if not found:
            raise FileNotFoundError(_nothing_known(data_root))
        return found
    layout = _named(words)
    path = os.path.normpath(words)
    if layout is not None and (find_dataset(layout, data_root) or not os.path.exists(path)):
        if not find_dataset(layout, data_root):
            raise FileNotFoundError(missing_message(layout, data_root, "", _first_split(layout)))
        return [_layout_target(layout, data_root)]
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{printable(words)}: no such file or folder; expected a path, or one of "
            f"{', '.join(LAYOUTS)}"
        )
    return _own_folder(path) or _in_parent(path) or _renamed(path) or [_own_data(path)]


def _named(words: str) -> Layout | None:
    """Return the layout of a registered name, however it is written."""

    def plain(name: str) -> str:
        return "".join(c for c in name.lower() if c.isalnum())

    if os.sep in words or words.startswith("."):
        return None
    return next((lay for name, lay in LAYOUTS.items() if plain(name) == plain(words)), None)


def _own_folder(path: str) -> list[Target]:
    """Take ``path`` as a data set's own folder under one of its known names."""
    root, name = os.path.split(os.path.abspath(path))
    spelled = [lay for lay in LAYOUTS.values() if name in lay.folders]
    return _most_complete([replace(lay, folders=(name,)) for lay in spelled], root)


def _in_parent(root: str) -> list[Target]:
    """Take ``root`` as a folder that holds data sets under their known names."""
    by_folder: dict[str, list[Layout]] = {}
    for layout in LAYOUTS.values():
        name = find_dataset(layout, root)
        if name:
            by_folder.setdefault(name, []).append(layout)
    return [target for group in by_folder.values() for target in _most_complete(group, root)]


def _most_complete(layouts: Sequence[Layout], root: str) -> list[Target]:
    """Keep the layouts whose splits are all there, otherwise the one with most."""
    there = {lay.name: len(find_split_folders(lay, root)) for lay in layouts}
    complete = [lay for lay in layouts if there[lay.name] == len(lay.splits)]
    some = [lay for lay in layouts if there[lay.name]]
    best = complete or sorted(some, key=lambda lay: -there[lay.name])[:1]
    return [_layout_target(lay, root) for lay in best]


def _renamed(path: str) -> list[Target]:
    """Take ``path`` as a benchmark in a folder of another name, if its files are the published."""
    root, name = os.path.split(os.path.abspath(path))
    fits: list[tuple[float, Layout]] = []
    for layout in LAYOUTS.values():
        here = replace(layout, folders=(name,))
        if len(find_split_folders(here, root)) == len(layout.splits):
            distance = _distance(here, root)
            fits += [(distance, here)] if distance <= _NEAR else []
    if not fits:
        return []
    return [_layout_target(min(fits, key=lambda fit: fit[0])[1], root)]


def _distance(layout: Layout, root: str) -> float:
    """Return the largest share by which the images of a split miss the published number."""
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
    known = LAYOUTS[layout.name]
    places = [
        f"{split} in {os.path.relpath(path, folder)}/"
        for split, paths in find_split_folders(layout, root).items()
        for path in paths
    ]
    spelling = f"{name}/" if name in known.folders else f"{name}/ (a name that no loader knows)"
    return Target(
        name=layout.name,
        folder=folder,
        variant=(f"found as {spelling}: {', '.join(places)}",),
        training=how_to_train(known, root, name),
        list_files=lambda: list_layout(layout, root),
        published=layout.published,
        lists=KNOWN_LISTS.get(layout.name, {}),
        cameras=layout.cameras,
        tells_cameras=layout.names.tells_camera,
        distractor_pids=layout.distractor_pids,
        remarks=tuple(_other_spellings(known, root, name)),
    )


def _other_spellings(layout: Layout, root: str, read: str) -> Iterator[Finding]:
    """Warn of a second copy that nobody reads because its folder is spelled another way."""
    for other in layout.folders if read in layout.folders else ():
        here, beside = os.path.join(root, read), os.path.join(root, other)
        if other != read and os.path.isdir(beside) and not os.path.samefile(here, beside):
            sentence = f"{other}/ lies beside {read}/, which alone is read; try moving one away"
            yield Finding("warning", "spelling", sentence)


def _own_data(path: str) -> Target:
    own = read_own_data(path)
    remarks = tuple(Finding("warning", "own data", sentence) for sentence in own.warnings)
    warned = {f"Warning: {sentence}" for sentence in own.warnings}
    return Target(
        name=OWN,
        folder=path,
        variant=tuple(s for s in own.explanation if s not in warned),
        training=how_to_train_own(
            path, trains=bool(own.train), tests=bool(own.query and own.gallery)
        ),
        list_files=lambda: _own_listings(path, own),
        tells_cameras=own.uses_cameras,
        distractor_pids=own.distractor_pids,
        remarks=remarks,
    )


def _own_listings(path: str, own: OwnData) -> list[Listing]:
    lists = {"train": own.train, "query": own.query, "gallery": own.gallery}
    listings = [Listing(split, (path,), items) for split, items in lists.items() if items]
    listings[0].passed_over.extend(own.passed_over)
    return listings


def _first_split(layout: Layout) -> str:
    return next(iter(layout.splits))


def _nothing_known(root: str) -> str:
    there = "no such folder" if not os.path.isdir(root) else "none of the known data sets in it"
    folders = ", ".join(dict.fromkeys(f"{lay.folders[0]}/" for lay in LAYOUTS.values()))
    return (
        f"{printable(root)}: {there}; expected some of {folders}; try setting FASTREID_DATASETS to "
        "the folder that holds them, or data check PATH"
    )


@dataclass(frozen=True)
class Report:
    """What is known of a data set after a check.

    Attributes:
        target: what was checked.
        splits: one row each.
        findings: the most serious first.
        images: how many different files were looked at.
        inspected: how many of them were read now; the others were remembered.
        decoded: whether every pixel was asked for.
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
            "training": list(self.target.training),
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
    """Check a data set; what is wrong with it is a finding, not an exception.

    Nothing is written into its folders.

    Args:
        target: from :func:`find_targets`.
        decode: decode every image; otherwise headers are believed and look-alikes not searched.
        workers: processes that read; by default as many as processors.
        cache: facts of earlier checks.
        progress: called with (files read, files to read).
    """
    listings = target.list_files()
    paths = [path for listing in listings for path, _, _ in listing.items]
    found = scan(paths, decode=decode, workers=workers, cache=cache, progress=progress)
    rows = [
        count_split(
            listing,
            found.facts,
            target.published.get(listing.split),
            tells_cameras=target.tells_cameras,
            distractor_pids=target.distractor_pids,
        )
        for listing in listings
    ]
    cameras = {camid for listing in listings for _, _, camid in listing.items}
    findings = [
        *target.remarks,
        *listing_findings(listings),
        *count_findings(
            rows, len(cameras) if target.tells_cameras else 0, target.cameras, target.lists
        ),
        *content_findings(listings, found.facts),
        *leak_findings(listings, found.facts),
        *answer_findings(listings, target.distractor_pids),
    ]
    if not decode:
        what = "the pixels were not decoded: broken files and look-alikes may have stayed unseen"
        findings.append(Finding("note", "fast", what))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    images = len(found.facts)
    return Report(target, tuple(rows), tuple(findings), images, found.inspected, decode)


__all__ = [
    "SEVERITIES",
    "Facts",
    "FactsCache",
    "Finding",
    "Listing",
    "Report",
    "SplitCounts",
    "Target",
    "check",
    "default_cache",
    "find_targets",
    "inspect",
    "list_hash",
]
