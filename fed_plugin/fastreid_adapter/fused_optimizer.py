"""``SOLVER.FUSED``: an optimizer that passes over weights, gradients and momenta once.

PyTorch's default makes a copy of all gradients for the weight decay and passes over them five
times. With the host's flat buffers that is a copy as large as the model in every step; on the CPU
the fused update takes a quarter of the time or less (benchmarks/speed/choices.py).
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import torch
from torch.optim import Optimizer

import projects_registry
from fed_plugin.fastreid_adapter.compat.mending import replace


def extend_stock_solver() -> None:
    """Let the host's ``build_optimizer`` read ``SOLVER.FUSED``; twice is once."""
    projects_registry.after("fastreid.solver.build", _read_fused)


def _read_fused(module: ModuleType) -> None:
    stock = module.build_optimizer
    if getattr(stock, "reads_fused", False):
        return

    @functools.wraps(stock)
    def build_optimizer(cfg: Any, *args: Any, **kwargs: Any) -> Any:
        result = stock(cfg, *args, **kwargs)
        if cfg.SOLVER.FUSED:
            fuse(result[0] if isinstance(result, tuple) else result)
        return result

    build_optimizer.reads_fused = True  # type: ignore[attr-defined]
    replace(module, "build_optimizer", build_optimizer)


def fuse(optimizer: Optimizer) -> bool:
    """Have an optimizer update in one pass where this PyTorch can; numbers agree up to rounding.

    Returns:
        Whether it can, for the class of the optimizer and for where the weights are.
    """
    kind = next(one for one in type(optimizer).__mro__ if one.__module__.startswith("torch.optim"))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if not all(_can_fuse(kind, weight.device.type) for weight in weights):
        return False
    for group in optimizer.param_groups:
        group["fused"] = True
    return True


@functools.cache
def _can_fuse(kind: type[Optimizer], device: str) -> bool:
    """Tell by a step of one weight; which optimizers and devices can differs among versions."""
    weight = torch.zeros(1, device=device, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    try:
        kind([weight], lr=0.1, fused=True).step()  # type: ignore[call-arg]
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
