"""How to train and test on a data set, as lines for a shell."""

from __future__ import annotations

import os
import shlex

from fed_plugin.datasets.layouts import CHECKED_ONLY, Layout

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
    command = f"{before}python -m fed_plugin train --config-file {config}"
    return " ".join([command, *words])
