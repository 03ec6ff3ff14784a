"""How the benchmarks lie on disk: every spelling of their folders that is seen in the wild.

One :class:`Layout` per dataset; what reads them is the same for all (``splits.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fed_plugin.datasets import splits
from fed_plugin.datasets.posetrack import CROPS, select_crops
from fed_plugin.datasets.splits import (
    DUKE_NAMES,
    ILIDS_NAMES,
    MARKET_NAMES,
    NUMBERED_NAMES,
    P_DUKE_NAMES,
    POSETRACK_NAMES,
    Item,
    Layout,
    Published,
    Splits,
    SplitScan,
    find_split_folders,
    list_split,
    read_splits,
    scan_split,
)

__all__ = [
    "CHECKED_ONLY",
    "LAYOUTS",
    "Item",
    "Layout",
    "Published",
    "SplitScan",
    "Splits",
    "find_split_folders",
    "list_split",
    "read_splits",
    "scan_split",
]

_WITHDRAWN = (
    "DukeMTMC-reID, which this set is made of, was withdrawn by its university in April 2019: "
    "nothing here downloads it. Market-1501 with Occluded_REID, and SynthOcc, need no Duke image."
)
_MARKET_FOLDERS = {
    "train": ("bounding_box_train",),
    "query": ("query",),
    "gallery": ("bounding_box_test",),
}

OCCLUDED_DUKE = Layout(
    name="Occluded_Duke",
    folders=("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded_DukeMTMC"),
    splits=_MARKET_FOLDERS,
    names=DUKE_NAMES,
    published=splits.OCCLUDED_DUKE_COUNTS,
    cameras=8,
    note=_WITHDRAWN,
)
P_DUKEMTMC = Layout(
    name="P_DukeMTMC",
    folders=("P-DukeMTMC-reID", "P-DukeMTMC-reid"),
    splits={
        "train": ("train/occluded_body_images", "train/whole_body_images"),
        "query": ("test/occluded_body_images",),
        "gallery": ("test/whole_body_images",),
    },
    names=P_DUKE_NAMES,
    nested=True,
    joined=frozenset({"train"}),
    published=splits.P_DUKE_COUNTS,
    note=_WITHDRAWN,
)
OCCLUDED_REID = Layout(
    name="Occluded_REID",
    folders=("Occluded_REID", "OccludedREID"),
    splits={
        "query": ("occluded_body_images", "query"),
        "gallery": ("whole_body_images", "gallery"),
    },
    names=NUMBERED_NAMES,
    nested=True,
    published=splits.OCCLUDED_REID_COUNTS,
)
PARTIAL_REID = Layout(
    name="Partial_REID",
    folders=("Partial_REID", "Partial-REID_Dataset"),
    splits={"query": ("partial_body_images",), "gallery": ("whole_body_images",)},
    names=NUMBERED_NAMES,
    query_sets=("partial_body_images", "occluded_body_images"),
    published=splits.PARTIAL_REID_COUNTS,
)
PARTIAL_REID_OCCLUDED = replace(
    PARTIAL_REID.with_queries("occluded_body_images"), name="Partial_REID_Occluded", query_sets=()
)
PARTIAL_ILIDS = Layout(
    name="Partial_iLIDS",
    folders=("Partial_iLIDS", "PartialiLIDS"),
    splits={
        "query": ("partial_body_images", "query"),
        "gallery": ("whole_body_images", "gallery"),
    },
    names=ILIDS_NAMES,
    nested=True,
    published=splits.PARTIAL_ILIDS_COUNTS,
)
OCCLUDED_POSETRACK = Layout(
    name="Occluded_PoseTrack",
    folders=("PoseTrack21",),
    splits={
        "train": (f"{CROPS}/train",),
        "query": (f"{CROPS}/val",),
        "gallery": (f"{CROPS}/val",),
    },
    names=POSETRACK_NAMES,
    nested=True,
    select=select_crops,
    note="it is cut out of PoseTrack21 by two published lists, "
    "occluded_posetrack_reid/{train,val}_dataset_sampling.json: fed-plugin data "
    "build-occluded-posetrack --posetrack DIR/PoseTrack21 does so, with DIR the folder that "
    "FASTREID_DATASETS names.",
)
SYNTHOCC = Layout(
    name="SynthOcc",
    folders=("SynthOcc",),
    splits=_MARKET_FOLDERS,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    note="SynthOcc is drawn, not downloaded: fed-plugin data synth --size small "
    "--out DIR/SynthOcc, with DIR the folder that FASTREID_DATASETS names.",
)
MARKET1501 = Layout(
    name="Market1501",
    folders=("Market-1501-v15.09.15", "Market1501", "market1501"),
    splits=_MARKET_FOLDERS,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    published=splits.MARKET_COUNTS,
    cameras=6,
    note="fast-reid itself reads Market1501 from Market-1501-v15.09.15 alone.",
)
DUKEMTMC = Layout(
    name="DukeMTMC",
    folders=("DukeMTMC-reID",),
    splits=_MARKET_FOLDERS,
    names=DUKE_NAMES,
    published=splits.DUKE_COUNTS,
    cameras=8,
    note=_WITHDRAWN.replace(", which this set is made of,", ""),
)
# fast-reid registers these itself: here they are described, so that a copy can be checked
CHECKED_ONLY = ("Market1501", "DukeMTMC")
LAYOUTS = {
    layout.name: layout
    for layout in (
        OCCLUDED_DUKE,
        P_DUKEMTMC,
        OCCLUDED_REID,
        PARTIAL_REID,
        PARTIAL_REID_OCCLUDED,
        PARTIAL_ILIDS,
        OCCLUDED_POSETRACK,
        SYNTHOCC,
        MARKET1501,
        DUKEMTMC,
    )
}


# The benchmarks by name: a root folder in, lists of (path, pid, camid) out.
#
# All raise ``FileNotFoundError`` with the expected and the found tree where something is missing,
# and ``ValueError`` for a file whose name does not parse.


def occluded_duke(root: str) -> Splits:
    """List Occluded-Duke: 15,618 / 2,210 / 17,661 images, 8 cameras, its own training split.

    84.6 % of its query files are gallery files too; only the rule that takes images of the query's
    identity and camera out of its ranking keeps that harmless.

    Args:
        root: folder that holds ``Occluded_Duke/`` or another spelling of it.
    """
    return read_splits(OCCLUDED_DUKE, root)


def p_dukemtmc(root: str) -> Splits:
    """List P-DukeMTMC-reID: 12,927 / 2,163 occluded / 9,053 whole images.

    Its training split is the occluded and the whole images of ``train`` together. It has no
    cameras: queries get camera 0 and gallery images camera 1. Numbers of a model trained on its
    training split (supervised) and of one trained on Market-1501 (transfer) do not compare.

    Args:
        root: folder that holds ``P-DukeMTMC-reID/`` or another spelling of it.
    """
    return read_splits(P_DUKEMTMC, root)


def occluded_reid(root: str) -> Splits:
    """List Occluded-REID: 1,000 occluded queries, 1,000 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Occluded_REID/`` (nested) or ``OccludedREID/`` (flat).
    """
    return read_splits(OCCLUDED_REID, root)


def partial_reid(root: str, queries: str = PARTIAL_REID.query_sets[0]) -> Splits:
    """List Partial-REID: 300 queries, 300 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Partial_REID/`` or another spelling of it.
        queries: ``"partial_body_images"``, cropped to what is visible, or
            ``"occluded_body_images"``, with the obstacle. Numbers of the two do not compare.

    Raises:
        ValueError: ``queries`` is neither of the two.
    """
    return read_splits(PARTIAL_REID.with_queries(queries), root)


def partial_ilids(root: str) -> Splits:
    """List Partial-iLIDS: 119 partial queries, 119 whole gallery images, no training split.

    It has no cameras: queries get camera 0 and gallery images camera 1.

    Args:
        root: folder that holds ``Partial_iLIDS/`` or ``PartialiLIDS/``.
    """
    return read_splits(PARTIAL_ILIDS, root)


def occluded_posetrack(root: str) -> Splits:
    """List Occluded-PoseTrack-ReID: crops of PoseTrack21 that its published lists name.

    The queries are the fifth of a person's crops in which others cover most of it. Nothing is
    removed from the gallery, videos are no cameras: queries get camera 0, gallery images camera 1.

    Args:
        root: folder that holds ``PoseTrack21/``, with the crops cut (``posetrack_crops``).
    """
    return read_splits(OCCLUDED_POSETRACK, root)


def synthocc(root: str) -> Splits:
    """List SynthOcc, the drawn benchmark, in Market-1501's folders.

    Args:
        root: folder that holds ``SynthOcc/``.
    """
    return read_splits(SYNTHOCC, root)


# Hashes of published file lists: a complete copy has these names and no others.
#
# The lists are sorted and have a name per line, so that the sha256 of the published file is what
# ``list_hash`` makes of a copy.

# Source: https://github.com/lightas/Occluded-DukeMTMC-Dataset, Occluded_Duke/*.list
KNOWN_LISTS: Mapping[str, Mapping[str, str]] = {
    "Occluded_Duke": {
        "train": "dadffee79d8601545ca2217a38406c1cb6dab39d0b4b0c6370c8486738dee059",
        "query": "fb5e1b1a749a0ab8602414bc9159e7a03216c2bdc519b5a4e513e05e3f612333",
        "gallery": "0393fa86344ef4c220a5589aaad409f3adda1e14e39fc8425c80e90196065fca",
    }
}
"""Per data set and split, the sha256 of its file list."""
