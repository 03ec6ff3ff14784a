"""Occluder sets: folders of obstacle crops for NPO, with a manifest that says where they are from.

In the order of use: ``crops`` (any image files become pixels) or ``mining`` (cut from a training
set, which ``background`` looks through), ``duplicates``, ``writing`` with ``manifest``, and
``checking`` for what was written, here or by anybody.
"""

from __future__ import annotations

from fed_plugin.datasets.occluder_sets.mining import mine_crops
from fed_plugin.datasets.occluder_sets.sets import (
    MANIFEST,
    Crop,
    Entry,
    LeftOut,
    Manifest,
    SetCheck,
    alike,
    check_set,
    check_target,
    look_of,
    read_crops,
    read_manifest,
    without_duplicates,
    write_set,
)

__all__ = [
    "MANIFEST",
    "Crop",
    "Entry",
    "LeftOut",
    "Manifest",
    "SetCheck",
    "alike",
    "check_set",
    "check_target",
    "look_of",
    "mine_crops",
    "read_crops",
    "read_manifest",
    "without_duplicates",
    "write_set",
]
