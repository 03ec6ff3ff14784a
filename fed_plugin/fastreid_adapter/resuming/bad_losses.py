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

from fed_plugin.fastreid_adapter.resuming.progress_checkpoints import (
    ProgressCheckpoints,
    weights_are_finite,
)

logger = logging.getLogger("fastreid.fed_plugin.resuming")

_SHOWN = 4


class StepBegin:
    """What a training step began with: the names of its images, and BatchNorm statistics.

    Args:
        model: told of every forward pass in training mode.
    """

    def __init__(self, model: nn.Module) -> None:
        self.paths: list[str] = []
        self.folder = ""
        """Where reports of a bad loss go."""
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
    """Note on an error what this rank's losses are, and the images they came of."""
    error.step = _step(losses, begin)


def tell_own_bad_losses(losses: dict[str, Tensor], begin: StepBegin, iteration: int) -> None:
    """Leave the images of a bad loss in a file and in the log of this rank; rank 0 is told of it.

    Args:
        losses: of this rank, by name.
        begin: what the step began with.
        iteration: counted from 0.
    """
    if comm.get_world_size() == 1:  # the host's error says it all
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
    """Write a checkpoint of the state before the bad step, and say in ``error`` what happened.

    Args:
        trainer: a ``DefaultTrainer`` whose step raised.
        error: of the host; its text is replaced by one sentence.
    """
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
    names = ", ".join(step["images"][:_SHOWN])
    more = len(step["images"]) - _SHOWN
    error.args = (
        f"iteration {iteration}: {', '.join(bad) or 'a loss of another rank is not finite'}; "
        f"images of {whose}: {names}{f' and {more} more' if more > 0 else ''} ({all_of_them}); "
        f"{kept}; expected finite losses, try a smaller SOLVER.BASE_LR, or fp32 in place of half "
        "precision",
    )


def _step(losses: dict[str, Tensor], begin: StepBegin) -> dict[str, Any]:
    values = {name: float(value.detach()) for name, value in losses.items()}
    return {"losses": values, "images": begin.paths}


def _bad(step: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in step["losses"].items() if not math.isfinite(value)}


def _keep(trainer: Any, hook: ProgressCheckpoints) -> str:
    """Save the state if it is a good one; say where it is, or what there is in its place."""
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
    """Write a report; return its name, or why there is none."""
    try:
        content = json.dumps({"iteration": iteration, **step}, indent=1)
        path.write_text(content + "\n", encoding="utf-8")
    except OSError as failure:
        return f"no file: {failure}"
    return str(path)


def _of_another_rank(
    folder: str, iteration: int, own: dict[str, Any]
) -> tuple[dict[str, Any], str, str]:
    """Return the first bad step that another rank on this disk reported, whose, and where it is."""
    for rank in range(1, comm.get_world_size()):
        path = _report(folder, iteration, rank)
        if path.is_file():
            step = json.loads(path.read_text(encoding="utf-8"))
            return step, f"rank {rank}", f"all of them, and all losses, in {path}"
    return own, "rank 0", "those of the other one are in its log"
