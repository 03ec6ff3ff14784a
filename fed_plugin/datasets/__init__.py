"""From folders to lists of (path, pid, camid). Knows no model, no config, no fast-reid.

``benchmarks.synthocc``, which lists the drawn dataset, is not repeated here: ``synthocc`` in this
package is the room that draws it.
"""

from __future__ import annotations

from fed_plugin.datasets.layouts import (
    LAYOUTS,
    occluded_duke,
    occluded_posetrack,
    occluded_reid,
    p_dukemtmc,
    partial_ilids,
    partial_reid,
)
from fed_plugin.datasets.splits import (
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
    "LAYOUTS",
    "Layout",
    "Published",
    "SplitScan",
    "Splits",
    "find_split_folders",
    "list_split",
    "occluded_duke",
    "occluded_posetrack",
    "occluded_reid",
    "p_dukemtmc",
    "partial_ilids",
    "partial_reid",
    "read_splits",
    "scan_split",
]
