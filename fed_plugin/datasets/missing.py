"""What to tell somebody whose dataset was not found: the tree expected, the tree found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fed_plugin.datasets.listing import (
    IMAGE_SUFFIXES,
    is_folder,
    printable,
    visible_entries,
)

if TYPE_CHECKING:
    from fed_plugin.datasets.splits import Layout

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
