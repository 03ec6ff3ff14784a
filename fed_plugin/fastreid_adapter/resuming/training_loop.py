"""What surrounds the training loop: checkpoints within an epoch, bad losses, one run per folder."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from fastreid.engine.hooks import EvalHook, HookBase
from fastreid.utils import comm
from fastreid.utils.events import EventStorage
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.ranks import held_while_training, holds
from fed_plugin.fastreid_adapter.resuming.run_state import KEY, RunState
from fed_plugin.files import remove_unfinished, write_atomically, write_file
from fed_plugin.pool import only_training

held = only_training
logger = logging.getLogger("fastreid.fed_plugin.resuming")
loop_logger = logging.getLogger("fastreid.engine.train_loop")

# Checkpoints within an epoch, so that a kill costs minutes (``SOLVER.CHECKPOINT_ITERS``).

KEPT = 2
PREFIX = "model_iter_"
FINAL = "model_final.pth"


def weights_are_finite(model: torch.nn.Module) -> bool:
    """Return whether a run can go on from these weights."""
    return all(bool(torch.isfinite(weights).all()) for weights in model.parameters())


class ProgressCheckpoints(HookBase):
    """Writer of ``model_iter_<done>.pth``, every N iterations and before evaluations.

    The last two files stay. They are removed when the run is finished and the host has written
    ``model_final.pth``.

    Args:
        checkpointer: Checkpointer of the host.
        period: Number N of iterations; 0 writes only when :meth:`save` is called.
        eval_period: Epochs between evaluations.
    """

    def __init__(self, checkpointer: Any, period: int, eval_period: int) -> None:
        self.checkpointer = checkpointer
        self.period = period
        self.eval_period = eval_period

    def after_step(self) -> None:
        """Save after every ``period`` iterations, and after the last one before an evaluation."""
        trainer = self.trainer
        trainer.run_state.done = trainer.iter + 1  # also in a training loop of somebody's own
        if self.period < 1:
            return
        done, next_epoch = trainer.iter + 1, trainer.epoch + 1
        evaluates = next_epoch % self.eval_period == 0 or next_epoch == trainer.max_epoch
        before_evaluation = evaluates and done == next_epoch * trainer.iters_per_epoch
        if done % self.period == 0 or before_evaluation:
            if weights_are_finite(trainer.model):
                self.save()
            else:
                logger.error("Weights are not finite after iteration %d: not saved", trainer.iter)

    def save(self) -> Path:
        """Save the run; fast-reid without this plugin resumes from the beginning of the epoch."""
        done = self.trainer.run_state.done
        path = Path(self.checkpointer.save_dir, f"{PREFIX}{done:07d}.pth")
        self.checkpointer.save(path.stem, epoch=self.trainer.epoch - 1)
        others = [other for other in self._written() if other.name != path.name]
        self._remove(others[: 1 - KEPT])  # never this one, should the clock have gone back
        return path

    def finish(self, resumed_from: str) -> None:
        """Write the ``model_final.pth`` of a run that was killed just before writing the file.

        The host writes ``model_best.pth``, from which the run resumes, with the same content first.
        """
        final = Path(self.checkpointer.save_dir, FINAL)
        if Path(resumed_from).absolute() == final.absolute():
            return
        with open(resumed_from, "rb") as source, write_atomically(final) as target:
            shutil.copyfileobj(source, target)
        self.checkpointer.tag_last_checkpoint(FINAL)

    def after_train(self) -> None:
        """Remove the files that only a resume needs.

        The last step does not end the run: after an error, or Ctrl-C, in the evaluation that
        follows, a resume needs these files.
        """
        if self.trainer.iter < self.trainer.max_iter:
            return
        newest = Path(self.checkpointer.get_checkpoint_file()).name
        if not newest.startswith(PREFIX):
            self._remove(self._written())

    def _written(self) -> list[Path]:
        """List the files in the order of writing; an earlier run may have left higher numbers."""
        files = Path(self.checkpointer.save_dir).glob(f"{PREFIX}*.pth")
        return sorted(files, key=lambda path: path.stat().st_mtime_ns)

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)


# A loss that is not a number: its images, and the last good state.
#
# The host stops between the backward pass and the optimizer's step. The weights are therefore those
# before the bad step. The forward pass has changed the BatchNorm statistics.

_MOST_NAMES = 4


class StepBegin:
    """Names of the images and BatchNorm statistics at the beginning of a training step.

    Args:
        model: Model whose forward passes in training mode are noted.
    """

    def __init__(self, model: nn.Module) -> None:
        self.paths: list[str] = []
        self.folder = ""
        """Folder for reports of a bad loss."""
        self._model = model
        self._statistics: list[Tensor] = []
        model.register_forward_pre_hook(self._note)

    def _note(self, model: nn.Module, inputs: tuple[Any, ...]) -> None:
        if model.training:
            batch = inputs[0] if inputs and isinstance(inputs[0], dict) else {}
            self.paths = list(batch.get("img_paths", ()))
            current = list(_statistics(model))
            if [t.shape for t in current] != [t.shape for t in self._statistics]:
                self._statistics = [t.clone() for t in current]
            else:
                _copy(self._statistics, current)

    def restore_statistics(self) -> None:
        """Set BatchNorm statistics to what they were before the step."""
        _copy(list(_statistics(self._model)), self._statistics)


def _statistics(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        if "running_mean" in module._buffers:
            yield from module.buffers(recurse=False)


@torch.no_grad()
def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    for floating in (True, False):
        chosen = [i for i, t in enumerate(targets) if t.is_floating_point() == floating]
        if chosen:
            torch._foreach_copy_([targets[i] for i in chosen], [sources[i] for i in chosen])


def describe_bad_losses(losses: dict[str, Tensor], begin: StepBegin, error: BaseException) -> None:
    """Attach this rank's losses, and their images, to an error."""
    error.step = _step(losses, begin)


def report_own_bad_losses(losses: dict[str, Tensor], begin: StepBegin, iteration: int) -> None:
    """Write the images of this rank's bad loss to a file, which rank 0 reads, and to the log."""
    if comm.get_world_size() == 1:  # the host's error is enough
        return
    step = _step(losses, begin)
    bad = _bad(step)
    if not bad:
        return
    names, paths = " and ".join(bad), ", ".join(begin.paths)
    logger.error("Rank %d: %s not finite; its images: %s", comm.get_rank(), names, paths)
    if begin.folder and not comm.is_main_process():
        _write(_report(begin.folder, iteration, comm.get_rank()), iteration, step)


def keep_the_last_good_state(trainer: Any, error: FloatingPointError) -> None:
    """Write a checkpoint of the state before the bad step, and describe the step in ``error``."""
    begin = getattr(getattr(trainer, "_trainer", None), "step_begin", None)
    hook = next((h for h in trainer._hooks if isinstance(h, ProgressCheckpoints)), None)
    if begin is None or hook is None or not hasattr(error, "step"):
        return
    begin.restore_statistics()
    folder, iteration = hook.checkpointer.save_dir, trainer.iter
    kept = _keep(trainer, hook)
    report = _report(folder, iteration, 0)
    all_of_them = f"all of them, and all losses, in {_write(report, iteration, error.step)}"
    step, whose = error.step, "the batch"
    if not _bad(step):
        step, whose, all_of_them = _of_another_rank(folder, iteration, step)
    bad = [f"{name} is {value}" for name, value in _bad(step).items()]
    names = ", ".join(step["images"][:_MOST_NAMES])
    more = len(step["images"]) - _MOST_NAMES
    error.args = (
        f"iteration {iteration}: {', '.join(bad) or 'a loss of another rank is not finite'}; "
        f"images of {whose}: {names}{f' and {more} more' if more > 0 else ''} ({all_of_them}); "
        f"{kept}; expected finite losses; try a smaller SOLVER.BASE_LR, or fp32 in place of half "
        "precision",
    )


def _step(losses: dict[str, Tensor], begin: StepBegin) -> dict[str, Any]:
    values = {name: float(value.detach()) for name, value in losses.items()}
    return {"losses": values, "images": begin.paths}


def _bad(step: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in step["losses"].items() if not math.isfinite(value)}


def _keep(trainer: Any, hook: ProgressCheckpoints) -> str:
    """Save the state if it is good; return where it is, or which checkpoint is the newest."""
    if weights_are_finite(trainer.model):
        try:
            return f"the state before this step is in {hook.save()}"
        except OSError as failure:
            return f"the state before this step is lost: {failure}"
    newest = Path(hook.checkpointer.get_checkpoint_file()).name
    return (
        "weights were not finite before this step either, so no checkpoint was written; the newest "
        f"is {newest or 'none'}"
    )


def _report(folder: str, iteration: int, rank: int) -> Path:
    return Path(folder, f"bad_loss_iter_{iteration:07d}{f'_rank{rank}' if rank else ''}.json")


def _write(path: Path, iteration: int, step: dict[str, Any]) -> str:
    try:
        write_file(path, json.dumps({"iteration": iteration, **step}, indent=1) + "\n")
    except OSError as failure:
        return f"no file: {failure}"
    return str(path)


def _of_another_rank(
    folder: str, iteration: int, own: dict[str, Any]
) -> tuple[dict[str, Any], str, str]:
    """Return the first bad step that another rank reported on this disk, the rank, and the file."""
    for rank in range(1, comm.get_world_size()):
        path = _report(folder, iteration, rank)
        if path.is_file():
            step = json.loads(path.read_text(encoding="utf-8"))
            return step, f"rank {rank}", f"all of them, and all losses, in {path}"
    return own, "rank 0", "those of the other one are in its log"


# The parts of the training loop, which is ``mends.resumption.train``.


def hold_the_run(trainer: Any) -> None:
    """Let the checkpoints of a ``DefaultTrainer`` hold the whole run; remove unfinished files.

    Raises:
        FolderInUseError: Another process trains into the folder.
    """
    folder, cfg = trainer.cfg.OUTPUT_DIR, trainer.cfg
    trainer.run_state = trainer.checkpointer.checkpointables[KEY] = RunState(trainer)
    if hasattr(trainer._trainer, "step_begin"):
        trainer._trainer.step_begin.folder = folder
    if not comm.is_main_process():
        return
    if os.path.isdir(folder):
        with nullcontext() if holds(folder) else held(folder):
            for path in remove_unfinished(folder, "model_*.pth"):
                logger.info("Removed what a killed run left of a checkpoint: %s", path)
    period = cfg.SOLVER.get("CHECKPOINT_ITERS", 0)
    trainer.register_hooks(
        [ProgressCheckpoints(trainer.checkpointer, period, cfg.TEST.EVAL_PERIOD)]
    )


@contextmanager
def begun(trainer: Any, start_epoch: int, max_epoch: int, iters_per_epoch: int) -> Iterator[None]:
    """Keep the folder and the event storage of a run while it lasts, from its first iteration."""
    state = getattr(trainer, "run_state", None)
    first = start_epoch * iters_per_epoch
    if state is not None:
        first = state.first_iteration(start_epoch, iters_per_epoch)
    trainer.iter = trainer.start_iter = first
    trainer.epoch = min(start_epoch, max_epoch - 1)
    cfg = getattr(trainer, "cfg", None)
    writes = cfg is not None and cfg.OUTPUT_DIR and comm.is_main_process()
    holding = held_while_training(cfg.OUTPUT_DIR) if writes else nullcontext()
    with holding, EventStorage(first) as trainer.storage:
        yield


@contextmanager
def failures_handled(trainer: Any) -> Iterator[None]:
    """Log why a run failed and keep its last good state; end every hook but those that evaluate.

    An error of such a hook is logged, because the error would hide why the run failed.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = trainer.cfg.OUTPUT_DIR  # of a writer of the host
        if isinstance(error, FloatingPointError):
            keep_the_last_good_state(trainer, error)
        if isinstance(error, Exception):
            loop_logger.exception("Exception during training:")
        trainer.storage.iter = trainer.iter
        for hook in trainer._hooks:
            try:
                if not isinstance(hook, EvalHook):
                    hook.after_train()
            except Exception:
                loop_logger.exception("%s failed, too:", type(hook).__name__)
        raise


def nothing_left_to_train(trainer: Any, start_epoch: int, max_epoch: int) -> list[EvalHook]:
    """Prepare the first step; of a finished run, return the hooks that evaluate its last epoch."""
    if start_epoch < max_epoch:
        loop_logger.info("Starting training from epoch %d", start_epoch)
        if hasattr(trainer, "run_state"):
            trainer.run_state.go_on(trainer.iter)
        return []
    loop_logger.info("Training is finished: %d of %d epochs; evaluating it", start_epoch, max_epoch)
    trainer.storage.epoch = trainer.epoch
    resumed_from = getattr(getattr(trainer, "checkpointer", None), "resumed_from", None)
    for hook in trainer._hooks:
        if isinstance(hook, ProgressCheckpoints) and resumed_from and start_epoch == max_epoch:
            hook.finish(resumed_from)
    evaluating = [hook for hook in trainer._hooks if isinstance(hook, EvalHook)]
    return [hook for hook in evaluating if max_epoch % hook._period == 0]
