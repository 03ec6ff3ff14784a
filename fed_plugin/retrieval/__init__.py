"""Retrieval on arrays: distances, ranking, intervals. Knows no model, no config, no fast-reid."""

from fed_plugin.retrieval.distances import cosine_distance, euclidean_distance
from fed_plugin.retrieval.intervals import Interval, bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.ranking import RankingResult, evaluate_rank, rank

__all__ = [
    "Interval",
    "RankingResult",
    "bootstrap_interval",
    "cosine_distance",
    "euclidean_distance",
    "evaluate_rank",
    "paired_bootstrap",
    "rank",
]
