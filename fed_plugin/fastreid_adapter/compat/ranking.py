"""Rows 5, 6 and 7: ranking and re-ranking without a compiler and without a GPU."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from types import ModuleType
from typing import Any

from .mending import cuda_is_available, mend, mentions, replace

REPORTED_RANK = 10  # the evaluator reads cmc[9] whatever the size of the gallery


@mend(
    row=5,
    before=("fastreid.evaluation.rank", "fastreid.evaluation.roc"),
    reason="the host warns that an extension is missing which nothing needs any more",
)
def missing_extension_is_no_warning(module: ModuleType) -> bool:
    """Silence the host's advice to compile its Cython extension."""
    warnings.filterwarnings("ignore", message="Cython r(ank|oc) evaluation .* unavailable")
    return True


@mend(
    row=5,
    after="fastreid.evaluation.reid_evaluation",
    reason="the evaluator runs make and exits the process when that fails",
)
def evaluation_needs_no_compiler(module: ModuleType) -> bool:
    """Let ``ReidEvaluator`` start without compiling anything into the host's folder."""
    if not hasattr(module.ReidEvaluator, "_compile_dependencies"):
        return False

    def _compile_dependencies(self: Any) -> None:
        """Compile nothing: ranking is done by NumPy."""

    module.ReidEvaluator._compile_dependencies = _compile_dependencies
    return True


@mend(
    row=5,
    after="fastreid.evaluation.rank_cylib",
    reason="compile_helper exits the process when make or a compiler is missing",
)
def compile_helper_does_not_exit(module: ModuleType) -> bool:
    """Let ``compile_helper`` do nothing, for evaluators of other projects that call it."""
    if not mentions(module.compile_helper, "exit"):
        return False

    def compile_helper() -> None:
        """Compile nothing: ranking is done by NumPy."""

    replace(module, "compile_helper", compile_helper)
    return True


def _small_gallery_is_wrong(evaluate_rank: Any) -> bool:
    """Tell whether a ranking breaks, or is cut short, on a gallery of three images."""
    import numpy as np

    distances = np.array([[0.1, 0.2, 0.3], [0.3, 0.1, 0.2]], dtype=np.float32)
    q_pids, g_pids = np.array([1, 2]), np.array([1, 1, 2])
    q_camids, g_camids = np.array([0, 0]), np.array([0, 1, 1])
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the host prints a note
            cmc, _, _ = evaluate_rank(distances, q_pids, g_pids, q_camids, g_camids)
    except (ValueError, IndexError):
        return True
    return len(cmc) < REPORTED_RANK or bool((np.diff(cmc) < 0).any())


@mend(
    row=6,
    after="fastreid.evaluation.rank",
    reason="small galleries get wrong numbers, ragged arrays or an IndexError",
)
def small_galleries_rank_right(module: ModuleType) -> bool:
    """Rank by `fed_plugin.retrieval.ranking`, as fast as the host's C, right for any gallery.

    The CUHK03 protocol stays the host's own, in Python.
    """
    stock = module.evaluate_rank
    if not _small_gallery_is_wrong(stock):
        return False

    @functools.wraps(stock)
    def evaluate_rank(
        distmat: Any,
        q_pids: Any,
        g_pids: Any,
        q_camids: Any,
        g_camids: Any,
        max_rank: int = 50,
        use_metric_cuhk03: bool = False,
        use_cython: bool = True,
    ) -> Any:
        if use_metric_cuhk03:
            return stock(
                distmat, q_pids, g_pids, q_camids, g_camids, max_rank, True, use_cython=False
            )
        from fed_plugin.retrieval import ranking

        return ranking.evaluate_rank(distmat, q_pids, g_pids, q_camids, g_camids, max_rank)

    replace(module, "evaluate_rank", evaluate_rank)
    return True


@mend(
    row=7,
    after="fastreid.utils.compute_dist",
    reason="re-ranking always takes GPU faiss, which faiss-cpu does not have",
)
def rerank_works_without_gpu_faiss(module: ModuleType) -> bool:
    """Re-rank by `fed_plugin.retrieval.reranking` where there is no GPU for faiss.

    Its numbers are those of the host's CPU branch to 1e-6, without the three dense matrices; half
    precision stays with that branch, whose numbers it rounds.
    """
    if cuda_is_available() and hasattr(module.faiss, "StandardGpuResources"):
        return False
    stock, stock_build = module.compute_jaccard_distance, module.build_dist

    @functools.wraps(stock)
    def compute_jaccard_distance(
        features: Any, k1: int = 20, k2: int = 6, search_option: int = 0, fp16: bool = False
    ) -> Any:
        if fp16:
            k1 = min(k1, len(features))  # faiss answers -1 for neighbours that do not exist
            return stock(features, k1=k1, k2=k2, search_option=max(3, search_option), fp16=True)
        from fed_plugin.retrieval.reranking import jaccard_distance

        return jaccard_distance(features, k1, k2)

    @functools.wraps(stock_build)
    def build_dist(feat_1: Any, feat_2: Any, metric: str = "euclidean", **kwargs: Any) -> Any:
        if metric != "jaccard":
            return stock_build(feat_1, feat_2, metric, **kwargs)
        import torch

        from fed_plugin.retrieval.reranking import jaccard_distance

        features = torch.cat((feat_1, feat_2))  # only queries by gallery is asked for
        return jaccard_distance(features, kwargs["k1"], kwargs["k2"], num_query=len(feat_1))

    replace(module, "compute_jaccard_distance", compute_jaccard_distance)
    replace(module, "build_dist", build_dist)
    return True
