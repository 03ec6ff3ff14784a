"""The host's training loop, which starts at any iteration and ends as it should.

It calls the same hooks in the same order. Beyond the host's: a run goes on within an epoch, a run
that is finished says so and evaluates, and one that failed does not evaluate what is left of it.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastreid.engine.hooks import EvalHook
from fastreid.utils import comm
from fastreid.utils.events import EventStorage

from fed_plugin.fastreid_adapter.resuming.bad_losses import keep_the_last_good_state
from fed_plugin.fastreid_adapter.resuming.folder_lock import held
from fed_plugin.fastreid_adapter.resuming.progress_checkpoints import ProgressCheckpoints

logger = logging.getLogger("fastreid.engine.train_loop")


def train(trainer: Any, start_epoch: int, max_epoch: int, iters_per_epoch: int) -> None:
    """Train from ``start_epoch``, or from where in it the checkpoint was written.

    Args:
        trainer: a ``TrainerBase`` with its hooks.
        start_epoch: first epoch that is not finished, counted from 0.
        max_epoch: epochs of the whole run.
        iters_per_epoch: iterations of each.

    Raises:
        FolderInUseError: another process trains into the folder.
        FloatingPointError: a loss is not a number.
        Exception: whatever a step or a hook raises.
    """
    state = getattr(trainer, "run_state", None)
    first = start_epoch * iters_per_epoch
    if state is not None:
        first = state.first_iteration(start_epoch, iters_per_epoch)
    trainer.iter = trainer.start_iter = first
    trainer.epoch = min(start_epoch, max_epoch - 1)
    with _alone(trainer), EventStorage(first) as trainer.storage:
        finished = False
        try:
            trainer.before_train()
            if start_epoch >= max_epoch:
                _evaluate_finished(trainer, start_epoch, max_epoch)
            else:
                logger.info("Starting training from epoch %d", start_epoch)
                if state is not None:
                    state.go_on(first)
                _run_epochs(trainer, start_epoch, max_epoch, iters_per_epoch)
            finished = True
        except FloatingPointError as error:
            keep_the_last_good_state(trainer, error)
            logger.exception("Exception during training:")
            raise
        except Exception:
            logger.exception("Exception during training:")
            raise
        finally:
            _end(trainer, finished)


def _alone(trainer: Any) -> AbstractContextManager[None]:
    """Keep other trainings out of the folder of the process that writes."""
    cfg = getattr(trainer, "cfg", None)
    writes = cfg is not None and cfg.OUTPUT_DIR and comm.is_main_process()
    return held(cfg.OUTPUT_DIR) if writes else nullcontext()


def _run_epochs(trainer: Any, start_epoch: int, max_epoch: int, iters_per_epoch: int) -> None:
    state = getattr(trainer, "run_state", None)
    for epoch in range(start_epoch, max_epoch):
        trainer.epoch = epoch
        trainer.before_epoch()
        while trainer.iter < (epoch + 1) * iters_per_epoch:
            trainer.before_step()
            trainer.run_step()
            if state is not None:
                state.done = trainer.iter + 1
            trainer.after_step()
            trainer.iter += 1
        trainer.storage.iter = trainer.iter - 1  # also where no step of the epoch was left
        trainer.after_epoch()


def _evaluate_finished(trainer: Any, done: int, max_epoch: int) -> None:
    """Evaluate a run that has nothing left to train, as its last epoch did."""
    logger.info("Training is finished: %d of %d epochs; evaluating it", done, max_epoch)
    trainer.storage.epoch = trainer.epoch
    resumed_from = getattr(getattr(trainer, "checkpointer", None), "resumed_from", None)
    for hook in trainer._hooks:
        if isinstance(hook, ProgressCheckpoints) and resumed_from and done == max_epoch:
            hook.finish(resumed_from)
    for hook in trainer._hooks:
        if isinstance(hook, EvalHook) and max_epoch % hook._period == 0:
            hook._do_eval()


def _end(trainer: Any, finished: bool) -> None:
    """Call the hooks' ``after_train``; only a run that came to its end is evaluated there.

    What a hook raises behind a failure is logged, as it would hide why the run failed.
    """
    trainer.storage.iter = trainer.iter
    for hook in trainer._hooks:
        if not finished and isinstance(hook, EvalHook):
            continue
        try:
            hook.after_train()
        except Exception:
            if finished:
                raise
            logger.exception("%s failed, too:", type(hook).__name__)
