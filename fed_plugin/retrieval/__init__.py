"""Retrieval on arrays: distances, ranking, intervals. Knows no model, no config, no fast-reid."""

from fed_plugin.retrieval.distances import cosine_distance, euclidean_distance
from fed_plugin.retrieval.intervals import Interval, bootstrap_interval, paired_bootstrap
from fed_plugin.retrieval.open_set import OpenSetResult, identify_open_set, leave_identities_out
from fed_plugin.retrieval.paired_tests import PairedTest, holm_adjusted, sign_flip_test
from fed_plugin.retrieval.ranking import RankingResult, evaluate_rank, rank
from fed_plugin.retrieval.ranking_in_blocks import rank_features
from fed_plugin.retrieval.seeds import SeedSummary, summarize_seeds
from fed_plugin.retrieval.verification import VerificationResult, verify_pairs

__all__ = [
    "Interval",
    "OpenSetResult",
    "PairedTest",
    "RankingResult",
    "SeedSummary",
    "VerificationResult",
    "bootstrap_interval",
    "cosine_distance",
    "euclidean_distance",
    "evaluate_rank",
    "holm_adjusted",
    "identify_open_set",
    "leave_identities_out",
    "paired_bootstrap",
    "rank",
    "rank_features",
    "sign_flip_test",
    "summarize_seeds",
    "verify_pairs",
]
