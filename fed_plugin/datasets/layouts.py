"""How the benchmarks lie on disk: every spelling of their folders that is seen in the wild.

One :class:`Layout` per dataset; what reads them is the same for all (``splits.py``).
"""

from __future__ import annotations

from dataclasses import replace

from fed_plugin.datasets import published
from fed_plugin.datasets.names import (
    DUKE_NAMES,
    ILIDS_NAMES,
    MARKET_NAMES,
    NUMBERED_NAMES,
    P_DUKE_NAMES,
    POSETRACK_NAMES,
)
from fed_plugin.datasets.posetrack import CROPS, select_crops
from fed_plugin.datasets.published import Published
from fed_plugin.datasets.splits import (
    Item,
    Layout,
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
    published=published.OCCLUDED_DUKE_COUNTS,
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
    published=published.P_DUKE_COUNTS,
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
    published=published.OCCLUDED_REID_COUNTS,
)
PARTIAL_REID = Layout(
    name="Partial_REID",
    folders=("Partial_REID", "Partial-REID_Dataset"),
    splits={"query": ("partial_body_images",), "gallery": ("whole_body_images",)},
    names=NUMBERED_NAMES,
    query_sets=("partial_body_images", "occluded_body_images"),
    published=published.PARTIAL_REID_COUNTS,
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
    published=published.PARTIAL_ILIDS_COUNTS,
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
    "occluded_posetrack_reid/{train,val}_dataset_sampling.json: python -m fed_plugin data "
    "build-occluded-posetrack --posetrack DIR/PoseTrack21 does so, with DIR the folder that "
    "FASTREID_DATASETS names.",
)
SYNTHOCC = Layout(
    name="SynthOcc",
    folders=("SynthOcc",),
    splits=_MARKET_FOLDERS,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    note="SynthOcc is drawn, not downloaded: python -m fed_plugin data synth --size small "
    "--out DIR/SynthOcc, with DIR the folder that FASTREID_DATASETS names.",
)
MARKET1501 = Layout(
    name="Market1501",
    folders=("Market-1501-v15.09.15", "Market1501", "market1501"),
    splits=_MARKET_FOLDERS,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    published=published.MARKET_COUNTS,
    cameras=6,
    note="fast-reid itself reads Market1501 from Market-1501-v15.09.15 alone.",
)
DUKEMTMC = Layout(
    name="DukeMTMC",
    folders=("DukeMTMC-reID",),
    splits=_MARKET_FOLDERS,
    names=DUKE_NAMES,
    published=published.DUKE_COUNTS,
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
