"""Rows 14 and 17: a seed, and mixed precision without CUDA."""

from __future__ import annotations

import functools
import inspect
import logging
from types import ModuleType
from typing import Any

from .mending import cuda_is_available, mend, mentions, replace

logger = logging.getLogger("fastreid.compat")


@mend(
    row=14,
    after="fastreid.engine.defaults",
    reason="there is no seed key: two runs of one config differ",
)
def default_setup_honours_the_seed(module: ModuleType) -> bool:
    """Seed Python, NumPy and PyTorch with ``SEED`` + rank when ``default_setup`` has run.

    Samplers draw their seed, loaders their workers' seeds and models their weights after that.
    ``SEED`` -1, or no such key, leaves a run unseeded.
    """
    stock = module.default_setup
    if mentions(stock, "SEED"):
        return False

    @functools.wraps(stock)
    def default_setup(cfg: Any, args: Any) -> Any:
        result = stock(cfg, args)
        seed = cfg.get("SEED", -1)
        if seed >= 0:
            seed += module.comm.get_rank()
            module.seed_all_rng(seed)
            logger.info("Random numbers of this rank start from SEED + rank = %d", seed)
        return result

    replace(module, "default_setup", default_setup)
    return True


@mend(
    row=17,
    after="fastreid.engine.train_loop",
    reason="AMPTrainer asserts CUDA, and nearly every shipped config turns AMP on",
)
def amp_trains_in_fp32_without_cuda(module: ModuleType) -> bool:
    """Let ``AMPTrainer`` take the steps of ``SimpleTrainer`` where there is no CUDA."""
    trainer, simple = module.AMPTrainer, module.SimpleTrainer
    if cuda_is_available() or not mentions(trainer.run_step, "is_available"):
        return False
    signature = inspect.signature(trainer.__init__)
    stock = trainer.__init__

    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        bound = signature.bind(self, *args, **kwargs)
        if bound.arguments.get("grad_scaler") is None:
            bound.arguments["grad_scaler"] = _disabled_scaler()
        logger.warning(
            "SOLVER.AMP.ENABLED=True needs CUDA, which this machine does not have: training goes "
            "on in fp32"
        )
        stock(*bound.args, **bound.kwargs)

    trainer.__init__, trainer.run_step = __init__, simple.run_step
    return True


def _disabled_scaler() -> Any:
    """Return a gradient scaler that passes losses and steps through."""
    import torch

    if hasattr(torch.amp, "GradScaler"):
        return torch.amp.GradScaler("cpu", enabled=False)
    return torch.cuda.amp.GradScaler(enabled=False)
