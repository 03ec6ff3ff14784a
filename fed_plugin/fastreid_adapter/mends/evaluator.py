"""Row 10: the flip test."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import logging
import warnings
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import cuda_is_available, mend, mentions, replace

logger = logging.getLogger("fastreid.compat")


def writes_into_its_batch(model: Any) -> bool:
    """Tell whether a model's ``preprocess_image`` changes the images it is given."""
    import torch

    model = getattr(model, "module", model)
    preprocess = getattr(model, "preprocess_image", None)
    if preprocess is None:
        return True  # nothing to ask: a copy does no harm
    images = torch.full((1, 3, 1, 1), 7.0, device=getattr(model, "device", None))
    try:
        with torch.no_grad():
            preprocess({"images": images})
    except Exception:  # a model with a preprocessing of its own: a copy does no harm
        return True
    return bool((images != 7.0).any())


def _with_a_copy(model: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hand a model (as a forward pre-hook) a copy of the images of its batch."""
    batch, *rest = inputs
    if isinstance(batch, dict) and "images" in batch:
        batch = {**batch, "images": batch["images"].clone()}
    return (batch, *rest)


@mend(
    row=10,
    after="fastreid.evaluation.evaluator",
    reason="stock models write into their batch, so the flip test normalises its images twice",
)
def flip_test_gets_a_fresh_batch(module: ModuleType) -> bool:
    """Hand a model that writes into its batch a copy of it during a flip test."""
    stock = module.inference_on_dataset
    signature = inspect.signature(stock)
    if "flip_test" not in signature.parameters:
        return False

    @functools.wraps(stock)
    def inference_on_dataset(*args: Any, **kwargs: Any) -> Any:
        call = signature.bind(*args, **kwargs).arguments
        model = call["model"]
        if not (call.get("flip_test") and writes_into_its_batch(model)):
            return stock(*args, **kwargs)
        logger.info(
            "Flip test: %s writes into its batch, it gets a copy for each of the two passes",
            type(getattr(model, "module", model)).__name__,
        )
        handle = model.register_forward_pre_hook(_with_a_copy)
        try:
            return stock(*args, **kwargs)
        finally:
            handle.remove()

    replace(module, "inference_on_dataset", inference_on_dataset)
    return True


# Rows 5, 6 and 7: ranking and re-ranking without a compiler and without a GPU.

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


# Row 24, found here: TPR@FPR of ``TEST.ROC`` has right and wrong pairs exchanged.


def takes_wrong_pairs_for_positive(evaluate_roc: Any) -> bool:
    """Tell whether a near pair of one identity gets a label below that of a far one of two."""
    import numpy as np

    distances, q_pids, g_pids = np.array([[0.25, 0.75]]), np.array([1]), np.array([1, 2])
    cameras = np.array([0]), np.array([1, 1])
    scores, labels = evaluate_roc(distances, q_pids, g_pids, *cameras, use_cython=False)
    label_at = dict(zip(np.abs(scores).tolist(), labels.tolist(), strict=True))
    return bool(label_at[0.25] < label_at[0.75])


@mend(
    row=24,
    after="fastreid.evaluation.roc",
    reason="TPR@FPR takes pairs of two people for the positive ones",
)
def roc_counts_right_pairs_as_positive(module: ModuleType) -> bool:
    """Let ``evaluate_roc`` return similarities, and 1 for pairs of one person.

    NOTE(host): the evaluator goes on reading the nearest point of the curve, on either side of the
    rate it prints; ``fed_plugin.retrieval.verify_pairs`` stays at or below it.
    """
    stock = module.evaluate_roc
    if not takes_wrong_pairs_for_positive(stock):
        return False

    @functools.wraps(stock)
    def evaluate_roc(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        distances, is_wrong = stock(*args, **kwargs)
        return -distances, 1 - is_wrong

    replace(module, "evaluate_roc", evaluate_roc)
    return True
