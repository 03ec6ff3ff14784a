"""Retrieval on arrays: distances, ranking, intervals. Knows no model, no config, no fast-reid."""

from fed_plugin.retrieval.ranking import RankingResult, evaluate_rank, rank

__all__ = ["RankingResult", "evaluate_rank", "rank"]
