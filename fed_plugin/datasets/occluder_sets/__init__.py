"""Occluder sets: folders of obstacle crops for NPO, with a manifest that says where they are from.

In the order of use: ``crops`` (any image files become pixels) or ``mining`` (cut from a training
set, which ``background`` looks through), ``duplicates``, ``writing`` with ``manifest``, and
``checking`` for what was written, here or by anybody.
"""

from fed_plugin.datasets.occluder_sets.checking import SetCheck, check_set
from fed_plugin.datasets.occluder_sets.crops import Crop, LeftOut, read_crops
from fed_plugin.datasets.occluder_sets.duplicates import alike, look_of, without_duplicates
from fed_plugin.datasets.occluder_sets.manifest import MANIFEST, Entry, Manifest, read_manifest
from fed_plugin.datasets.occluder_sets.mining import mine_crops
from fed_plugin.datasets.occluder_sets.writing import check_target, write_set

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
