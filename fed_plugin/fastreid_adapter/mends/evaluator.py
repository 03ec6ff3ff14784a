"""Mends of the host's evaluation: flip test, ranking, re-ranking and verification."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import (
    Call,
    add_step,
    cuda_is_available,
    mend,
    mentions,
    replace,
)

logger = logging.getLogger("fastreid.compat")


def writes_into_its_batch(model: Any) -> bool:
    """Return whether a model's ``preprocess_image`` changes the images of its batch."""
    import torch

    model = getattr(model, "module", model)
    images = torch.full((1, 3, 1, 1), 7.0, device=getattr(model, "device", None))
    try:
        with torch.no_grad():
            model.preprocess_image({"images": images})
    except Exception:  # a model with a preprocessing of its own, or with none: a copy does no harm
        return True
    return bool((images != 7.0).any())


def _with_a_copy(model: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give a model a copy of the images of its batch (a forward pre-hook)."""
    batch, *rest = inputs
    if isinstance(batch, dict) and "images" in batch:
        batch = {**batch, "images": batch["images"].clone()}
    return (batch, *rest)


@mend("The flip test normalises its images twice", after="fastreid.evaluation.evaluator")
def flip_test_gets_a_fresh_batch(module: ModuleType) -> bool:
    """Give a model that writes into its batch a copy of the batch during a flip test."""

    def copy_batches(call: Call) -> Iterator[None]:
        model = call.argument("model")
        if not (call.argument("flip_test") and writes_into_its_batch(model)):
            yield
            return
        logger.info(
            "Flip test: %s writes into its batch, it gets a copy for each of the two passes",
            type(getattr(model, "module", model)).__name__,
        )
        handle = model.register_forward_pre_hook(_with_a_copy)
        yield
        handle.remove()

    known = inspect.signature(module.inference_on_dataset).parameters
    return "flip_test" in known and add_step(module, "inference_on_dataset", copy_batches)


# Ranking and re-ranking without a compiler and without a GPU.

REPORTED_RANK = 10  # the evaluator reads cmc[9] whatever the size of the gallery
OWN_PHOTOS: ContextVar[Sequence[tuple[int, int]]] = ContextVar("own_photos", default=())
"""Rows, queries first, of queries and gallery images that are one photo, while a set is ranked."""


def _ranked_arrays(call: Call) -> tuple[Any, ...]:
    """Return distances, identities and cameras of a call, with the photos where copies exist."""
    import numpy as np

    names = ("distmat", "q_pids", "g_pids", "q_camids", "g_camids")
    *arrays, q_camids, g_camids = map(call.argument, names)
    own = OWN_PHOTOS.get()
    if own:
        from fed_plugin.retrieval.ranking import cameras_and_photos

        cameras = cameras_and_photos(np.concatenate([q_camids, g_camids]), np.array(own))
        q_camids, g_camids = cameras[: len(q_camids)], cameras[len(q_camids) :]
    return (*arrays, q_camids, g_camids)


@mend(
    "The host advises to compile an extension that nobody needs",
    before=("fastreid.evaluation.rank", "fastreid.evaluation.roc"),
)
def missing_extension_is_no_warning(module: ModuleType) -> bool:
    """Silence the host's advice to compile its Cython extension."""
    warnings.filterwarnings("ignore", message="Cython r(ank|oc) evaluation .* unavailable")
    return True


@mend(
    "Evaluation runs make and ends the process when make fails",
    after="fastreid.evaluation.reid_evaluation",
)
def evaluation_needs_no_compiler(module: ModuleType) -> bool:
    """Let ``ReidEvaluator`` start without compiling anything into the host's folder."""
    if not hasattr(module.ReidEvaluator, "_compile_dependencies"):
        return False

    module.ReidEvaluator._compile_dependencies = lambda self: None
    return True


@mend("compile_helper ends the process", after="fastreid.evaluation.rank_cylib")
def compile_helper_does_not_exit(module: ModuleType) -> bool:
    """Let ``compile_helper`` do nothing; evaluators of other projects may call it."""
    if not mentions(module.compile_helper, "exit"):
        return False

    replace(module, "compile_helper", lambda: None)
    return True


def _small_gallery_is_wrong(evaluate_rank: Any) -> bool:
    """Return whether a ranking breaks, or is cut short, on a gallery of three images."""
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


@mend("Small galleries get wrong numbers", after="fastreid.evaluation.rank")
def small_galleries_rank_right(module: ModuleType) -> bool:
    """Rank by `fed_plugin.retrieval.ranking`: as fast as the host's C, right for any gallery.

    The CUHK03 protocol stays with the host's Python.
    """

    def rank(call: Call) -> Iterator[None]:
        most = call.argument("max_rank", 50)
        arrays = _ranked_arrays(call)
        if call.argument("use_metric_cuhk03", False):
            arrays = (*arrays[:3], *map(call.argument, ("q_camids", "g_camids")))
            call.args, call.kwargs = (*arrays, most, True), {"use_cython": False}
        else:
            from fed_plugin.retrieval.ranking import evaluate_rank

            call.function, call.args, call.kwargs = evaluate_rank, (*arrays, most), {}
        yield

    wrong = _small_gallery_is_wrong(module.evaluate_rank)
    return wrong and add_step(module, "evaluate_rank", rank)


@mend("Re-ranking needs faiss for the GPU", after="fastreid.utils.compute_dist")
def rerank_works_without_gpu_faiss(module: ModuleType) -> bool:
    """Re-rank by `fed_plugin.retrieval.reranking` where faiss has no GPU.

    The numbers are those of the host's CPU branch to 1e-6, without three dense matrices. Half
    precision stays with the host's CPU branch.
    """
    if cuda_is_available() and hasattr(module.faiss, "StandardGpuResources"):
        return False

    def neighbours(call: Call) -> Iterator[None]:
        features = call.argument("features")
        k1, k2 = call.argument("k1", 20), call.argument("k2", 6)
        if call.argument("fp16", False):
            k1 = min(k1, len(features))  # faiss answers -1 for neighbours that do not exist
            option = max(3, call.argument("search_option", 0))
            call.args = (features,)
            call.kwargs = {"k1": k1, "k2": k2, "search_option": option, "fp16": True}
        else:
            from fed_plugin.retrieval.reranking import jaccard_distance

            call.function, call.args, call.kwargs = jaccard_distance, (features, k1, k2), {}
        yield

    def distances(call: Call) -> Iterator[None]:
        if call.argument("metric") == "jaccard":
            import torch

            from fed_plugin.retrieval.reranking import jaccard_distance

            features = (call.argument("feat_1"), call.argument("feat_2"))
            k1, k2 = call.kwargs["k1"], call.kwargs["k2"]
            call.function, call.args = jaccard_distance, (torch.cat(features), k1, k2)
            call.kwargs = {"num_query": len(features[0])}  # only queries by gallery is asked for
        yield

    add_step(module, "build_dist", distances)
    return add_step(module, "compute_jaccard_distance", neighbours)


def takes_wrong_pairs_for_positive(evaluate_roc: Any) -> bool:
    """Return whether a near pair of one person gets a lower label than a far pair of two."""
    import numpy as np

    distances, q_pids, g_pids = np.array([[0.25, 0.75]]), np.array([1]), np.array([1, 2])
    cameras = np.array([0]), np.array([1, 1])
    scores, labels = evaluate_roc(distances, q_pids, g_pids, *cameras, use_cython=False)
    label_at = dict(zip(np.abs(scores).tolist(), labels.tolist(), strict=True))
    return bool(label_at[0.25] < label_at[0.75])


@mend("TPR@FPR exchanges right and wrong pairs", after="fastreid.evaluation.roc")
def roc_counts_right_pairs_as_positive(module: ModuleType) -> bool:
    """Let ``evaluate_roc`` return similarities, and 1 for pairs of one person: `Pairs.scores`.

    NOTE(host): the evaluator still reads the nearest point of the curve, on either side of the
    rate that it prints; ``fed_plugin.retrieval.verify_pairs`` stays at or below the rate.
    """

    def exchange(call: Call) -> Iterator[None]:
        from fed_plugin.retrieval.thresholds import Pairs

        pairs = Pairs(*_ranked_arrays(call))
        call.function, call.args, call.kwargs = pairs.scores, (), {}
        yield

    wrong = takes_wrong_pairs_for_positive(module.evaluate_roc)
    return wrong and add_step(module, "evaluate_roc", exchange)
