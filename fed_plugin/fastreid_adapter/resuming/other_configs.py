"""A run that is resumed with another config than it began with: refused where it cannot work."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from fastreid.utils import comm

logger = logging.getLogger("fastreid.fed_plugin.resuming")


def check_all_ranks_resume(path: str) -> None:
    """Refuse ranks that go on from different places: they would wait for each other for ever.

    Args:
        path: of the checkpoint that this rank has read; empty if it found none.

    Raises:
        ValueError: on every rank alike, if their checkpoints' names differ.
    """
    if comm.get_world_size() == 1:
        return
    names = [Path(one).name for one in comm.all_gather(path)]
    if len(set(names)) > 1:
        found = ", ".join(f"rank {i}: {name or 'none'}" for i, name in enumerate(names))
        raise ValueError(
            f"--resume: ranks found different checkpoints ({found}); expected one OUTPUT_DIR that "
            "all machines share, try a folder on a shared disk, or copy it to every machine"
        )


def options_of(optimizer: Any) -> set[str]:
    """Return what every group of an optimizer's weights has: to be asked before a state is loaded.

    Its ``defaults`` alone will not do: PyTorch 1.13 adds one to them that no group gets.
    """
    return set(optimizer.defaults).intersection(*optimizer.param_groups)


def fuse_as_configured(optimizer: Any, configured: list[Any]) -> None:
    """Let a loaded optimizer pass over its weights as this config says, not as the file's run did.

    Args:
        optimizer: that has loaded its state.
        configured: ``fused`` of each of its groups before; None where the group had no such option.
    """
    for group, fused in zip(optimizer.param_groups, configured, strict=False):
        if "fused" in group or fused is not None:
            group["fused"] = fused


def check_optimizer(optimizer: Any, needed: set[str], path: str) -> None:
    """Refuse the state of another optimizer, or of other weights, which PyTorch loads unseen.

    Args:
        optimizer: that has loaded its state.
        needed: its :func:`options_of` before.
        path: of the checkpoint, for the message.

    Raises:
        ValueError: the next step would fail, in words that name neither file nor key.
    """
    why = ""
    for group in optimizer.param_groups:
        missing = sorted(needed - group.keys())
        if missing:
            why = f"its optimizer has no {missing[0]}, which {type(optimizer).__name__} needs"
        for weights in group["params"]:
            for name, value in optimizer.state.get(weights, {}).items():
                is_per_weight = torch.is_tensor(value) and value.ndim > 0
                if is_per_weight and value.shape != weights.shape:
                    why = f"its {name} is of {value.numel()} weights, here are {weights.numel()}"
    if why:
        raise ValueError(
            f"{path}: not of a run with this config: {why}; expected SOLVER.OPT, the model and its "
            "identities as they were, try the config it was trained with, another OUTPUT_DIR, "
            "or MODEL.WEIGHTS without --resume to take over the weights alone"
        )


def cosine_epochs(scheduler: Any) -> int | None:
    """Return over how many epochs a cosine schedule falls, None for any other."""
    return getattr((scheduler or {}).get("lr_sched"), "T_max", None)


def warn_of_another_cosine(configured: int | None, scheduler: Any) -> None:
    """Say that a run which got more epochs keeps the learning rates of the fewer it began with.

    Args:
        configured: epochs of the schedule as this config builds it.
        scheduler: that has loaded its state.
    """
    loaded = cosine_epochs(scheduler)
    if configured is not None and loaded is not None and loaded != configured:
        logger.warning(
            "SOLVER.SCHED=CosineAnnealingLR goes on as it began, over %d epochs behind the "
            "warm-up, not the %d of this config: behind them the learning rate rises again; to "
            "train with another schedule, start from MODEL.WEIGHTS without --resume",
            loaded,
            configured,
        )
