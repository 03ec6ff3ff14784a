"""Row 10: the flip test."""

from __future__ import annotations

import functools
import inspect
import logging
from types import ModuleType
from typing import Any

from .mending import mend, replace

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
