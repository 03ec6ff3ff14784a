"""Retrieval on arrays: distances, ranking, intervals. Knows no model, no config, no fast-reid."""

from __future__ import annotations

from fed_plugin.retrieval.distances import cosine_distance, euclidean_distance
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.intervals import (
    PairedTest,
    SeedSummary,
    bootstrap_interval,
    holm_adjusted,
    paired_bootstrap,
    sign_flip_test,
    summarize_seeds,
)
from fed_plugin.retrieval.large_ranking import rank_features
from fed_plugin.retrieval.ranking import RankingResult, evaluate_rank, rank
from fed_plugin.retrieval.thresholds import (
    OpenSetResult,
    VerificationResult,
    identify_open_set,
    leave_identities_out,
    verify_pairs,
)

Interval = Estimate
"""Name of an estimate before there was one class for all."""

__all__ = [
    "Estimate",
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
