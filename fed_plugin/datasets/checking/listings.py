"""The files of each split: as training lists them, and where that fails, as far as one can tell."""

from __future__ import annotations

import os

from fed_plugin.datasets.checking.findings import Listing
from fed_plugin.datasets.layouts import Layout, find_split_folders, scan_split
from fed_plugin.datasets.listing import IMAGE_SUFFIXES, is_hidden
from fed_plugin.datasets.splits import CAMERA_OF_SPLIT, JUNK_PID


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
