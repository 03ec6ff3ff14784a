"""The known data sets, one row each: folders, file names, published counts and lists.

A row is all that a new data set needs. `fed_plugin.datasets` exports a function for each row, the
adapter registers the row with fast-reid, `check` compares copies with it, docs/data.md shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fed_plugin.datasets.posetrack import CROPS, select_crops
from fed_plugin.datasets.splits import DUKE_NAMES, MARKET_NAMES, Layout, NameRule, Published

_WITHDRAWN = (
    "DukeMTMC-reID, which this set is made of, was withdrawn by its university in April 2019: "
    "nothing here downloads it. Market-1501 with Occluded_REID, and SynthOcc, need no Duke image."
)
_MARKET = {"train": ("bounding_box_train",), "query": ("query",), "gallery": ("bounding_box_test",)}
_BODIES = {"query": ("occluded_body_images", "query"), "gallery": ("whole_body_images", "gallery")}
_NUMBERED_NAMES = NameRule(r"(?P<pid>\d+)_\d+", "001_01.jpg")


def _counts(**splits: tuple[int, int | None]) -> Mapping[str, Published]:
    return {split: Published(*numbers) for split, numbers in splits.items()}


# The counts of Occluded_Duke come from its list files: several papers print 708 training
# identities. All other counts come from the pages and loaders of the data sets.
_OCCLUDED_DUKE = Layout(
    name="Occluded_Duke",
    folders=("Occluded_Duke", "Occluded-DukeMTMC-reID", "Occluded_DukeMTMC"),
    splits=_MARKET,
    names=DUKE_NAMES,
    published=_counts(train=(15618, 702), query=(2210, 519), gallery=(17661, 1110)),
    # Source: https://github.com/lightas/Occluded-DukeMTMC-Dataset, Occluded_Duke/*.list
    lists={
        "train": "dadffee79d8601545ca2217a38406c1cb6dab39d0b4b0c6370c8486738dee059",
        "query": "fb5e1b1a749a0ab8602414bc9159e7a03216c2bdc519b5a4e513e05e3f612333",
        "gallery": "0393fa86344ef4c220a5589aaad409f3adda1e14e39fc8425c80e90196065fca",
    },
    cameras=8,
    config="occluded_duke_vit_base",
    note=_WITHDRAWN,
)
_P_DUKEMTMC = Layout(
    name="P_DukeMTMC",
    folders=("P-DukeMTMC-reID", "P-DukeMTMC-reid"),
    splits={
        "train": ("train/occluded_body_images", "train/whole_body_images"),
        "query": ("test/occluded_body_images",),
        "gallery": ("test/whole_body_images",),
    },
    # The pages of the data set promise nothing after the identity, cameras least of all.
    names=NameRule(r"(?P<pid>\d+)_.+", "0001_c2_f0046182.jpg"),
    nested=True,
    joined=frozenset({"train"}),
    published=_counts(train=(12927, 665), query=(2163, 634), gallery=(9053, 634)),
    protocols=("supervised", "transfer"),
    note=_WITHDRAWN,
)
_OCCLUDED_REID = Layout(
    name="Occluded_REID",
    folders=("Occluded_REID", "OccludedREID"),
    splits=_BODIES,
    names=_NUMBERED_NAMES,
    nested=True,
    published=_counts(query=(1000, 200), gallery=(1000, 200)),
)
_PARTIAL_REID = Layout(
    name="Partial_REID",
    folders=("Partial_REID", "Partial-REID_Dataset"),
    splits={"query": ("partial_body_images",), "gallery": ("whole_body_images",)},
    names=_NUMBERED_NAMES,
    query_sets=("partial_body_images", "occluded_body_images"),
    published=_counts(query=(300, 60), gallery=(300, 60)),
)
_PARTIAL_REID_OCCLUDED = replace(
    _PARTIAL_REID.with_queries("occluded_body_images"),
    name="Partial_REID_Occluded",
    query_sets=(),
    people=_PARTIAL_REID.name,
)
_PARTIAL_ILIDS = Layout(
    name="Partial_iLIDS",
    folders=("Partial_iLIDS", "PartialiLIDS"),
    splits=_BODIES | {"query": ("partial_body_images", "query")},
    # There is one image per identity and split; some copies add the image's number to the name.
    names=NameRule(r"(?P<pid>\d+)(_\d+)?", "001.jpg"),
    nested=True,
    published=_counts(query=(119, 119), gallery=(119, 119)),
)
_OCCLUDED_POSETRACK = Layout(
    name="Occluded_PoseTrack",
    folders=("PoseTrack21",),
    splits={"train": (f"{CROPS}/train",)} | dict.fromkeys(("query", "gallery"), (f"{CROPS}/val",)),
    names=NameRule(r"(?P<pid>\d+)_[^_]+_[^_]+", "1024_000342_10003420000.jpg"),
    nested=True,
    select=select_crops,
    uncounted="by its lists",
    note="Occluded_PoseTrack is cut out of PoseTrack21 by two published lists, "
    "occluded_posetrack_reid/{train,val}_dataset_sampling.json: fed-plugin data "
    "build-occluded-posetrack --posetrack DIR/PoseTrack21 cuts the crops; DIR is the folder that "
    "FASTREID_DATASETS names.",
)
_SYNTHOCC = Layout(
    name="SynthOcc",
    folders=("SynthOcc",),
    splits=_MARKET,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    uncounted="drawn",
    config="synthocc_vit_tiny",
    note="SynthOcc is drawn, not downloaded: fed-plugin data synth --size small "
    "--out DIR/SynthOcc; DIR is the folder that FASTREID_DATASETS names.",
)
_MARKET1501 = Layout(
    name="Market1501",
    folders=("Market-1501-v15.09.15", "Market1501", "market1501"),
    splits=_MARKET,
    names=MARKET_NAMES,
    distractor_pids=(0,),
    published=_counts(train=(12936, 751), query=(3368, 750), gallery=(15913, None)),
    cameras=6,
    checked_only=True,
    config="market1501_vit_base",
    note="fast-reid itself reads Market1501 from Market-1501-v15.09.15 alone.",
)
_DUKEMTMC = Layout(
    name="DukeMTMC",
    folders=("DukeMTMC-reID",),
    splits=_MARKET,
    names=DUKE_NAMES,
    published=_counts(train=(16522, 702), query=(2228, 702), gallery=(17661, 1110)),
    cameras=8,
    checked_only=True,
    config="dukemtmc_vit_base",
    note=_WITHDRAWN.replace(", which this set is made of,", ""),
)

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        _OCCLUDED_DUKE,
        _P_DUKEMTMC,
        _OCCLUDED_REID,
        _PARTIAL_REID,
        _PARTIAL_REID_OCCLUDED,
        _PARTIAL_ILIDS,
        _OCCLUDED_POSETRACK,
        _SYNTHOCC,
        _MARKET1501,
        _DUKEMTMC,
    )
}
"""Every known data set by its registered name."""


def table_of_data_sets() -> list[str]:
    """Return the Markdown table of docs/data.md, one line per row of ``LAYOUTS``."""
    lines = [
        "| name in `DATASETS.NAMES`, `DATASETS.TESTS` | folder | training images "
        "| queries / gallery | cameras |",
        "|---|---|---|---|---|",
    ]
    for layout in LAYOUTS.values():
        name = f"`{layout.name}`" + " (read by fast-reid itself)" * layout.checked_only
        folders = ", ".join(f"`{folder}`" for folder in layout.folders)
        train, query, gallery = (_images(layout, split) for split in ("train", "query", "gallery"))
        tested = query if query == gallery == layout.uncounted else f"{query} / {gallery}"
        cameras = (layout.cameras or layout.uncounted) if layout.names.has_camera else "none"
        lines.append(f"| {name} | {folders} | {train} | {tested} | {cameras} |")
    return lines


def _images(layout: Layout, split: str) -> str:
    if split not in layout.splits:
        return "-"
    return f"{layout.published[split].images:,}" if layout.published else layout.uncounted
