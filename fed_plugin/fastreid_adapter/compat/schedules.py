"""Row 9: schedules that divide by zero or never evaluate are refused before they start."""

from __future__ import annotations

import functools
import inspect
import math
from types import ModuleType
from typing import Any

from .mending import mend, replace


def check_schedule(cfg: Any, iters_per_epoch: int) -> None:
    """Refuse a training whose epochs are empty or whose warm-up does not end.

    Raises:
        ValueError: There are fewer training images than one batch takes; the run ends before its
            warm-up; or nothing is left of a cosine schedule after warm-up and delay.
    """
    solver = cfg.SOLVER
    if iters_per_epoch < 1:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH={solver.IMS_PER_BATCH}: the training set DATASETS.NAMES="
            f"{tuple(cfg.DATASETS.NAMES)} has fewer images, an epoch would have no iteration; try "
            "a smaller SOLVER.IMS_PER_BATCH"
        )
    run = f"SOLVER.MAX_EPOCH={solver.MAX_EPOCH} of {iters_per_epoch} iterations"
    if solver.MAX_EPOCH * iters_per_epoch < solver.WARMUP_ITERS:
        raise ValueError(
            f"{run} is shorter than its warm-up SOLVER.WARMUP_ITERS={solver.WARMUP_ITERS}; try "
            "fewer SOLVER.WARMUP_ITERS or more epochs"
        )
    before = max(math.ceil(solver.WARMUP_ITERS / iters_per_epoch), solver.DELAY_EPOCHS)
    if solver.SCHED == "CosineAnnealingLR" and before >= solver.MAX_EPOCH:
        raise ValueError(
            f"SOLVER.SCHED=CosineAnnealingLR has no epoch left: {run}, of which "
            f"SOLVER.WARMUP_ITERS={solver.WARMUP_ITERS} and SOLVER.DELAY_EPOCHS="
            f"{solver.DELAY_EPOCHS} take {before}; try smaller ones or more epochs"
        )


@mend(
    row=9,
    after="fastreid.solver.build",
    reason="a schedule without an epoch after its warm-up divides by zero when training ends",
)
def schedules_shorter_than_their_warmup_are_refused(module: ModuleType) -> bool:
    """Check the schedule when ``build_lr_scheduler`` is called."""
    stock = module.build_lr_scheduler
    if "iters_per_epoch" not in inspect.signature(stock).parameters:
        return False

    @functools.wraps(stock)
    def build_lr_scheduler(cfg: Any, optimizer: Any, iters_per_epoch: int) -> Any:
        check_schedule(cfg, iters_per_epoch)
        return stock(cfg, optimizer, iters_per_epoch)

    replace(module, "build_lr_scheduler", build_lr_scheduler)
    return True


@mend(
    row=9,
    after="fastreid.engine.hooks",
    reason="TEST.EVAL_PERIOD 0 or negative fails after the last training step",
)
def evaluation_period_must_be_positive(module: ModuleType) -> bool:
    """Refuse a period of evaluation that is not positive before training starts."""
    hook = module.EvalHook
    try:
        hook(0, None)
    except ValueError:
        return False
    stock = hook.__init__

    @functools.wraps(stock)
    def __init__(self: Any, eval_period: int, eval_function: Any) -> None:  # noqa: N807
        if eval_period < 1:
            raise ValueError(
                f"TEST.EVAL_PERIOD={eval_period}: expected a number of epochs, 1 or more; try "
                "SOLVER.MAX_EPOCH to evaluate once, at the end"
            )
        stock(self, eval_period, eval_function)

    hook.__init__ = __init__
    return True
