"""Pictures of what a model sees and answers; every function gets arrays and a path, no model.

All sheets are PNG, written whole or not at all, in colours that readers with any colour vision can
tell apart, and say on the sheet itself what they show.
"""

from fed_plugin.visualization.match_sheet import Answers, match_sheet
from fed_plugin.visualization.ranking_rows import RankingLists
from fed_plugin.visualization.rankings import ranking_sheet
from fed_plugin.visualization.sheets import image_sheet, pair_sheet, visibility_sheet

__all__ = [
    "Answers",
    "RankingLists",
    "image_sheet",
    "match_sheet",
    "pair_sheet",
    "ranking_sheet",
    "visibility_sheet",
]
