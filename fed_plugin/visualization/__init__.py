"""Pictures of what a model sees and answers; every function gets arrays and a path, no model.

All sheets are PNG or HTML, written whole or not at all, in colours that readers with any colour
vision can tell apart, and say on the sheet itself what they show.
"""

from __future__ import annotations

from fed_plugin.visualization.rankings import Answers, RankingLists, match_sheet, ranking_sheet
from fed_plugin.visualization.sheets import (
    Neighbors,
    image_sheet,
    neighbor_sheet,
    pair_sheet,
    visibility_sheet,
)

__all__ = [
    "Answers",
    "Neighbors",
    "RankingLists",
    "image_sheet",
    "match_sheet",
    "neighbor_sheet",
    "pair_sheet",
    "ranking_sheet",
    "visibility_sheet",
]
