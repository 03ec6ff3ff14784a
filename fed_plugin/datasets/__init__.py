"""Lists of (path, pid, camid) from folders of images, without any model or config.

Each row of ``layouts.LAYOUTS`` has a function here, named like the data set in lower case:
``occluded_duke(root)`` returns the splits of the row ``Occluded_Duke``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from fed_plugin.datasets.layouts import LAYOUTS
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
    "read_splits",
    "scan_split",
    *map(str.lower, LAYOUTS),
]


def __getattr__(name: str) -> Any:
    for layout in LAYOUTS.values():
        if layout.name.lower() == name:
            return partial(read_splits, layout)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *map(str.lower, LAYOUTS)]
