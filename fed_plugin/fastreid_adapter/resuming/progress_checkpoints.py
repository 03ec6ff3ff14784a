"""Checkpoints within an epoch, so that a kill costs minutes (``SOLVER.CHECKPOINT_ITERS``)."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import torch
from fastreid.engine.hooks import HookBase

from fed_plugin.retrieval.whole_files import written_whole

logger = logging.getLogger("fastreid.fed_plugin.resuming")

KEPT = 2
PREFIX = "model_iter_"
FINAL = "model_final.pth"


def weights_are_finite(model: torch.nn.Module) -> bool:
    """Tell whether a run could go on from these weights at all."""
    return all(bool(torch.isfinite(weights).all()) for weights in model.parameters())


class ProgressCheckpoints(HookBase):
    """Write ``model_iter_<done>.pth`` every N iterations and before evaluations; keep the last two.

    They are removed when the run is finished: the host has written ``model_final.pth`` then.

    Args:
        checkpointer: of the host.
        period: iterations N; 0 writes only what :meth:`save` is asked for.
        eval_period: epochs between evaluations.
    """

    def __init__(self, checkpointer: Any, period: int, eval_period: int) -> None:
        self.checkpointer = checkpointer
        self.period = period
        self.eval_period = eval_period

    def after_step(self) -> None:
        """Save behind every ``period`` iterations, and behind the last before an evaluation."""
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
                logger.error("Weights are not finite behind iteration %d: not saved", trainer.iter)

    def save(self) -> Path:
        """Write where the run is; the host, too, can resume from it, at the epoch's beginning."""
        done = self.trainer.run_state.done
        path = Path(self.checkpointer.save_dir, f"{PREFIX}{done:07d}.pth")
        self.checkpointer.save(path.stem, epoch=self.trainer.epoch - 1)
        others = [other for other in self._written() if other.name != path.name]
        self._remove(others[: 1 - KEPT])  # never this one, should the clock have gone back
        return path

    def finish(self, resumed_from: str) -> None:
        """Give a run that was killed just before its ``model_final.pth`` the file it lacks.

        Args:
            resumed_from: checkpoint of the last epoch; the host writes ``model_best.pth`` with the
                same content first.
        """
        final = Path(self.checkpointer.save_dir, FINAL)
        if Path(resumed_from).absolute() == final.absolute():
            return
        with open(resumed_from, "rb") as source, written_whole(final) as target:
            shutil.copyfileobj(source, target)
        self.checkpointer.tag_last_checkpoint(FINAL)

    def after_train(self) -> None:
        """Remove what only a resume would have needed.

        The last step is no end of the run: an error, or Ctrl-C, in the evaluation behind it leaves
        nothing but these to resume from.
        """
        if self.trainer.iter < self.trainer.max_iter:
            return
        newest = Path(self.checkpointer.get_checkpoint_file()).name
        if not newest.startswith(PREFIX):
            self._remove(self._written())

    def _written(self) -> list[Path]:
        """List them, the last written last; an earlier run's may have higher numbers."""
        found = Path(self.checkpointer.save_dir).glob(f"{PREFIX}*.pth")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
