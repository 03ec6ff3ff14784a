"""From folders to lists of (path, pid, camid). Knows no model, no config, no fast-reid.

``benchmarks.synthocc``, which lists the drawn dataset, is not repeated here: ``synthocc`` in this
package is the room that draws it.
"""

from fed_plugin.datasets.benchmarks import occluded_duke, occluded_reid, partial_reid
from fed_plugin.datasets.layouts import LAYOUTS, Layout, Splits, list_split, read_splits

__all__ = [
    "LAYOUTS",
    "Layout",
    "Splits",
    "list_split",
    "occluded_duke",
    "occluded_reid",
    "partial_reid",
    "read_splits",
]
