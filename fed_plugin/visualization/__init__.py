"""Pictures of the inputs and answers of a model; every function takes arrays and a path, no model.

Sheets are PNG or HTML, in colours for readers with any colour vision, with an explanation on the
sheet itself.
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
