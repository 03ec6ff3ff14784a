"""What to tell somebody whose dataset was not found: the tree expected, the tree found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fed_plugin.datasets.listing import IMAGE_SUFFIXES, visible_entries

if TYPE_CHECKING:
    from fed_plugin.datasets.layouts import Layout

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
        f"try: setting the environment variable FASTREID_DATASETS (now root={root!r}; without it: "
        f"'datasets') to the folder that holds {layout.folders[0]}/, before Python starts",
    ]
    spellings = [name for names in layout.splits.values() for name in names]
    if not dataset and any(os.path.isdir(os.path.join(root, name)) for name in spellings):
        lines.append(f"note: {root} looks like the dataset's own folder; name the one above it")
    if layout.note:
        lines.append(f"note: {layout.note}")
    return "\n".join(lines)


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
        lines.append(f"      {_either(spellings)}  ({split}: {layout.names.example} and so on)")
    return lines


def _either(spellings: tuple[str, ...]) -> str:
    return " or ".join(f"{spelling}/" for spelling in spellings)


def _found_tree(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return [f"  {folder} is {'a file' if os.path.exists(folder) else 'not there'}"]
    entries = sorted(visible_entries(folder), key=lambda entry: not entry.is_dir())
    lines = [f"    {_described(entry)}" for entry in entries[:_SHOWN]] or ["    (nothing)"]
    if len(entries) > _SHOWN:
        lines.append(f"    ... and {len(entries) - _SHOWN} more")
    return [f"  {os.path.join(folder, '')}", *lines]


def _described(entry: os.DirEntry[str]) -> str:
    if not entry.is_dir():
        return entry.name
    try:
        inside = visible_entries(entry.path)
    except OSError as error:
        return f"{entry.name}/  ({error.strerror})"
    folders = sum(inner.is_dir() for inner in inside)
    return f"{entry.name}/  (folders: {folders}, files: {len(inside) - folders})"
