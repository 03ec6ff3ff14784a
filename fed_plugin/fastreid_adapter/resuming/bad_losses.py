"""A loss that is not a number: what led to it, and the last state that was good.

The host stops between the backward pass and the optimizer's step. Weights are those before the bad
step then; BatchNorm statistics are not, as the forward pass has moved them.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fastreid.utils import comm
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.resuming.progress_checkpoints import ProgressCheckpoints

logger = logging.getLogger("fastreid.fed_plugin.resuming")

_SHOWN = 4


class StepBegin:
    """What a training step began with: the names of its images, and BatchNorm statistics.

    Args:
        model: told of every forward pass in training mode.
    """

    def __init__(self, model: nn.Module) -> None:
        self.paths: list[str] = []
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
    if not hasattr(torch, "_foreach_copy_"):  # PyTorch 1
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)
        return
    for floating in (True, False):
        chosen = [i for i, t in enumerate(targets) if t.is_floating_point() == floating]
        if chosen:
            torch._foreach_copy_([targets[i] for i in chosen], [sources[i] for i in chosen])


def describe_bad_losses(losses: dict[str, Tensor], begin: StepBegin, error: BaseException) -> None:
    """Note on an error which losses are not numbers, and the images they came of."""
    error.losses = {name: float(value.detach()) for name, value in losses.items()}
    error.paths = begin.paths


def tell_own_bad_losses(losses: dict[str, Tensor], begin: StepBegin) -> None:
    """Log the images of a bad loss in the log of this rank; rank 0 stops with those of its own."""
    if comm.get_world_size() > 1:
        bad = [name for name, value in losses.items() if not math.isfinite(float(value.detach()))]
        if bad:
            logger.error(
                "Rank %d: %s not finite; its images: %s",
                comm.get_rank(),
                " and ".join(bad),
                ", ".join(begin.paths),
            )


def keep_the_last_good_state(trainer: Any, error: FloatingPointError) -> None:
    """Write a checkpoint of the state before the bad step, and say in ``error`` what happened.

    Args:
        trainer: a ``DefaultTrainer`` whose step raised.
        error: of the host; its text is replaced by one sentence.
    """
    begin = getattr(getattr(trainer, "_trainer", None), "step_begin", None)
    hook = next((h for h in trainer._hooks if isinstance(h, ProgressCheckpoints)), None)
    if begin is None or hook is None or not hasattr(error, "losses"):
        return
    begin.restore_statistics()
    folder = Path(hook.checkpointer.save_dir)
    if all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters()):
        kept = f"the state before this step is in {hook.save()}"
    else:
        kept = "weights were not finite before this step either, so no checkpoint was written"
    report = folder / f"bad_loss_iter_{trainer.iter:07d}.json"
    content = {"iteration": trainer.iter, "losses": error.losses, "images": error.paths}
    report.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    bad = [f"{name} is {value}" for name, value in error.losses.items() if not math.isfinite(value)]
    names = ", ".join(error.paths[:_SHOWN])
    more = len(error.paths) - _SHOWN
    error.args = (
        f"iteration {trainer.iter}: {', '.join(bad) or 'a loss of another rank is not finite'}; "
        f"images of the batch: {names}{f' and {more} more' if more > 0 else ''} (all of them, and "
        f"all losses, in {report}); {kept}; expected finite losses, try a smaller SOLVER.BASE_LR, "
        "or fp32 in place of half precision",
    )
