"""Row 12: what a resumed run forgets; and losses that are not numbers.

What is put into the host's trainer stands in ``fastreid_adapter/resuming``.
"""

from __future__ import annotations

import functools
import logging
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import mend, mentions

logger = logging.getLogger("fastreid.compat")


@mend(
    row=12,
    after="fastreid.engine.defaults",
    reason="a resumed run forgets its best metric, its place in the data and its random states",
)
def checkpoints_hold_the_whole_run(module: ModuleType) -> bool:
    """Let checkpoints of ``DefaultTrainer`` hold all that a run needs to go on, and load it."""
    trainer = module.DefaultTrainer
    stock_init, stock_resume = trainer.__init__, trainer.resume_or_load
    if mentions(stock_init, "run_state"):
        return False

    @functools.wraps(stock_init)
    def __init__(self: Any, cfg: Any) -> None:  # noqa: N807
        from fed_plugin.fastreid_adapter.resuming.run_state import KEY, RunState
        from fed_plugin.fastreid_adapter.resuming.training_loop import ProgressCheckpoints, held

        stock_init(self, cfg)
        self.run_state = RunState(self)
        if hasattr(self._trainer, "step_begin"):
            self._trainer.step_begin.folder = cfg.OUTPUT_DIR
        self.checkpointer.checkpointables[KEY] = self.run_state
        if module.comm.is_main_process():
            with held(cfg.OUTPUT_DIR):
                _remove_unfinished(cfg.OUTPUT_DIR)
            period = cfg.SOLVER.get("CHECKPOINT_ITERS", 0)
            hook = ProgressCheckpoints(self.checkpointer, period, cfg.TEST.EVAL_PERIOD)
            self.register_hooks([hook])

    @functools.wraps(stock_resume)
    def resume_or_load(self: Any, resume: bool = True) -> None:
        from fed_plugin.fastreid_adapter.resuming.run_state import (
            check_all_ranks_resume,
            check_optimizer,
            fuse_as_configured,
            options_of,
        )

        needed = options_of(self.optimizer)
        fused = [group.get("fused") for group in self.optimizer.param_groups]
        keep = self.checkpointer.resume_or_load
        loaded: list[Any] = []

        def remember(*args: Any, **kwargs: Any) -> Any:
            loaded.append(keep(*args, **kwargs))
            return loaded[-1]

        self.checkpointer.resume_or_load = remember
        try:
            stock_resume(self, resume=resume)
        finally:
            del self.checkpointer.resume_or_load
        if resume:
            check_all_ranks_resume(getattr(self.checkpointer, "resumed_from", ""))
        if resume and self.checkpointer.has_checkpoint():
            check_optimizer(self.optimizer, needed, getattr(self.checkpointer, "resumed_from", ""))
            fuse_as_configured(self.optimizer, fused)
        state = getattr(self, "run_state", None)  # none where a subclass builds itself otherwise
        if state is not None and resume and self.checkpointer.has_checkpoint():
            state.resume(loaded[-1])
        elif not resume and self.checkpointer.has_checkpoint():
            logger.warning(
                "OUTPUT_DIR=%s holds an earlier run; until this one has written a checkpoint, "
                "`--resume` goes on with that one; try another OUTPUT_DIR if it is still wanted",
                self.cfg.OUTPUT_DIR,
            )

    trainer.__init__, trainer.resume_or_load = __init__, resume_or_load
    return True


def _remove_unfinished(folder: str) -> None:
    from fed_plugin.files import remove_unfinished

    for path in remove_unfinished(folder, "model_*.pth") if folder else ():
        logger.info("Removed what a killed run left of a checkpoint: %s", path)


@mend(
    row=12,
    after="fastreid.engine.train_loop",
    reason="training starts at whole epochs only; resuming a finished run raises AttributeError",
)
def training_goes_on_within_an_epoch(module: ModuleType) -> bool:
    """Replace the loop of ``TrainerBase.train`` by one that starts at any iteration."""
    if mentions(module.TrainerBase.train, "run_state"):
        return False

    def train(self: Any, start_epoch: int, max_epoch: int, iters_per_epoch: int) -> None:
        """Train; see ``fed_plugin.fastreid_adapter.resuming.training_loop``."""
        from fed_plugin.fastreid_adapter.resuming import training_loop

        training_loop.train(self, start_epoch, max_epoch, iters_per_epoch)

    module.TrainerBase.train = train
    return True


@mend(
    row=12,
    after="fastreid.engine.hooks",
    reason="an evaluation ends the freeze of MODEL.FREEZE_LAYERS by half, a resume restores it",
)
def frozen_layers_stay_in_evaluation_mode(module: ModuleType) -> bool:
    """Put frozen layers into evaluation mode at every step: an evaluation sets all to training."""
    stock = module.LayerFreeze.before_step
    if mentions(stock, "training"):
        return False

    @functools.wraps(stock)
    def before_step(self: Any) -> None:
        stock(self)
        for name in self.freeze_layers if self.is_frozen else ():
            layer = getattr(self.model, name, None)
            if layer is not None and layer.training:
                layer.eval()

    module.LayerFreeze.before_step = before_step
    return True


@mend(
    row=25,
    after="fastreid.engine.train_loop",
    reason="a loss that is not a number does not say of which images, and nothing is saved",
)
def bad_losses_name_their_images(module: ModuleType) -> bool:
    """Let ``SimpleTrainer`` know what a step began with, and say it when its loss is bad."""
    trainer = module.SimpleTrainer
    stock_init, stock_write = trainer.__init__, trainer._write_metrics
    if mentions(stock_write, "img_paths"):
        return False

    @functools.wraps(stock_init)
    def __init__(self: Any, model: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        from fed_plugin.fastreid_adapter.resuming.training_loop import StepBegin

        stock_init(self, model, *args, **kwargs)
        self.step_begin = StepBegin(model)

    @functools.wraps(stock_write)
    def _write_metrics(self: Any, loss_dict: dict[str, Any], data_time: float) -> None:
        from fed_plugin.fastreid_adapter.resuming import training_loop

        begin = getattr(self, "step_begin", None)
        if begin is not None:
            training_loop.tell_own_bad_losses(loss_dict, begin, getattr(self, "iter", -1))
        try:
            stock_write(self, loss_dict, data_time)
        except FloatingPointError as error:
            if begin is not None:
                training_loop.describe_bad_losses(loss_dict, begin, error)
            raise

    trainer.__init__, trainer._write_metrics = __init__, _write_metrics
    return True
