"""What a name or a path means: which data set lies where, in which spelling."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fed_plugin.datasets.checking.findings import Finding, Listing
from fed_plugin.datasets.checking.known_lists import KNOWN_LISTS
from fed_plugin.datasets.checking.listings import list_layout
from fed_plugin.datasets.checking.training import how_to_train, how_to_train_own
from fed_plugin.datasets.layouts import LAYOUTS, Layout, find_split_folders, scan_split
from fed_plugin.datasets.listing import printable
from fed_plugin.datasets.missing import missing_message
from fed_plugin.datasets.own import OwnData, read_own_data
from fed_plugin.datasets.published import Published
from fed_plugin.datasets.splits import find_dataset

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
