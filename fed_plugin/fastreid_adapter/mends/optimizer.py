"""Rows 1 and 19: the optimizer that ``build_optimizer`` returns.

fast-reid packs all weights of a parameter group into one flat buffer and hands the buffer to the
optimizer; the model's weights and gradients are views of it. ``zero_grad()`` of torch 2 drops the
buffer's gradient instead of zeroing it. The views stay, so that losses, gradients and log lines
look as ever, but the optimizer sees a parameter without gradient and skips every step.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from .mending import mend, replace


def zero_grad_drops_gradients() -> bool:
    """Tell whether this PyTorch's ``zero_grad()`` sets gradients to None."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=0.1).zero_grad()
    return weight.grad is None


@functools.cache
def _that_zeroes(optimizer_class: type) -> type:
    """Derive an optimizer class whose ``zero_grad`` always writes zeros."""

    def zero_grad(self: Any, set_to_none: bool = False) -> None:
        """Set every gradient to zero; None would cut the flat buffers off the model's weights."""
        optimizer_class.zero_grad(self, set_to_none=False)

    return type(optimizer_class.__name__, (optimizer_class,), {"zero_grad": zero_grad})


def _packs_weights(module: ModuleType) -> bool:
    return "contiguous" in inspect.signature(module.build_optimizer).parameters


@mend(
    row=1,
    after="fastreid.solver.build",
    reason="torch 2's zero_grad() cuts the flat buffers off: nothing is trained, silently",
)
def flat_buffers_keep_their_gradient(module: ModuleType) -> bool:
    """Give the built optimizer a ``zero_grad`` that zeroes; the flat layout stays as it is.

    Old checkpoints resume, because neither the parameter groups nor the state change. The class is
    exchanged on the built object, so that it holds for the clipping and freezing subclasses too.
    """
    if not (_packs_weights(module) and zero_grad_drops_gradients()):
        return False
    stock = module.build_optimizer

    @functools.wraps(stock)
    def build_optimizer(*args: Any, **kwargs: Any) -> Any:
        result = stock(*args, **kwargs)
        optimizer, params = result
        if isinstance(params, module.ContiguousParams):
            optimizer.__class__ = _that_zeroes(type(optimizer))
        return result

    replace(module, "build_optimizer", build_optimizer)
    return True


class OptimizerAndParams(tuple):
    """Be the pair ``(optimizer, params)`` that the trainer unpacks, and pass for the optimizer."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self[0], name)


@mend(
    row=19,
    after="fastreid.solver.build",
    reason="tools/plain_train_net.py takes the pair (optimizer, params) for an optimizer",
)
def optimizer_pair_passes_for_an_optimizer(module: ModuleType) -> bool:
    """Let the pair that ``build_optimizer`` returns do what plain_train_net asks of it."""
    if not _packs_weights(module):
        return False
    build, schedule = module.build_optimizer, module.build_lr_scheduler

    @functools.wraps(build)
    def build_optimizer(*args: Any, **kwargs: Any) -> Any:
        result = build(*args, **kwargs)
        return OptimizerAndParams(result) if type(result) is tuple else result

    @functools.wraps(schedule)
    def build_lr_scheduler(cfg: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(optimizer, OptimizerAndParams):
            optimizer = optimizer[0]  # PyTorch's schedulers insist on the class
        return schedule(cfg, optimizer, *args, **kwargs)

    replace(module, "build_optimizer", build_optimizer)
    replace(module, "build_lr_scheduler", build_lr_scheduler)
    return True
