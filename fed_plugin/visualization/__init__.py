"""Pictures of what a model sees and answers; every function gets arrays and a path, no model.

All sheets are PNG or HTML, written whole or not at all, in colours that readers with any colour
vision can tell apart, and say on the sheet itself what they show.
"""

from fed_plugin.visualization.match_sheet import Answers, match_sheet
from fed_plugin.visualization.neighbor_sheet import Neighbors, neighbor_sheet
from fed_plugin.visualization.ranking_rows import RankingLists
from fed_plugin.visualization.rankings import ranking_sheet
from fed_plugin.visualization.sheets import image_sheet, pair_sheet, visibility_sheet

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
