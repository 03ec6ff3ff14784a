"""Row 1, the tripwire: stop a training that computes gradients but moves no weight.

It watches a few elements of some weights around the optimizer's first steps and takes itself off
as soon as one of them has moved, in an ordinary run after the first step. It never holds more than
``TENSORS * ELEMENTS`` numbers, whatever the size of the model.
"""

from __future__ import annotations

import functools
import inspect
from types import ModuleType
from typing import Any

from .mending import mend, replace

STEPS, TENSORS, ELEMENTS = 3, 64, 16


def _sample(tensor: Any) -> Any:
    """Return up to ``ELEMENTS`` evenly spaced elements of a tensor, as a copy."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // ELEMENTS)][:ELEMENTS].clone()


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


class WeightsMustMove:
    """Raise when the first steps of an optimizer move none of a model's weights.

    A step counts when an element is watched that has to move: it has a finite gradient, its group
    has a learning rate and is not frozen, and their product is no rounding error beside the weight.
    Warm-up from zero, frozen layers and steps that an AMP scaler skips do not count.

    Args:
        model: Module whose weights are watched.
        optimizer: Optimizer whose parameters share storage with the model's weights.
    """

    def __init__(self, model: Any, optimizer: Any) -> None:
        weights = [p for p in model.parameters() if p.requires_grad]
        self.weights = weights[:: max(1, -(-len(weights) // TENSORS))]
        self.before: list[Any] | None = None
        self.idle_steps = 0
        self.handles = [
            optimizer.register_step_pre_hook(self.look),
            optimizer.register_step_post_hook(self.compare),
        ]

    def look(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Take the sample before a step, unless no learning rate could move anything."""
        if any(group["lr"] > 0 for group in optimizer.param_groups):
            self.before = [_sample(p) for p in self.weights]

    def compare(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Compare with the sample after a step: disarm, count, or stop the training.

        Raises:
            RuntimeError: ``STEPS`` steps have had to move a weight and none did.
        """
        before, self.before = self.before, None
        if before is None:
            return
        if any(
            bool((_sample(p) != old).any()) for p, old in zip(self.weights, before, strict=True)
        ):
            self.disarm()
            return
        self.idle_steps += self._something_had_to_move(optimizer, before)
        if self.idle_steps >= STEPS:
            why = _why(self.weights, optimizer)
            self.disarm()
            raise RuntimeError(
                f"Training does nothing: in {STEPS} steps with gradients and a learning rate no "
                f"weight of the model has moved, because {why}"
            )

    def disarm(self) -> None:
        """Take the hooks off and let go of the weights."""
        for handle in self.handles:
            handle.remove()
        self.weights = []

    def _something_had_to_move(self, optimizer: Any, before: list[Any]) -> bool:
        import torch

        rates = {
            _storage(p): 0.0 if group.get("freeze_status") == "freeze" else float(group["lr"])
            for group in optimizer.param_groups
            for p in group["params"]
        }
        for weight, old in zip(self.weights, before, strict=True):
            if weight.grad is None or weight.grad.is_sparse:
                continue
            slope = _sample(weight.grad).abs()
            change = slope * rates.get(_storage(weight), max(rates.values()))
            visible = change > 2 * torch.finfo(old.dtype).eps * old.abs()
            if bool((visible & slope.isfinite()).any()):
                return True
        return False


def _why(weights: list[Any], optimizer: Any) -> str:
    """Say what is wrong between a model and an optimizer that does not move it."""
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if not {_storage(p) for p in held} & {_storage(p) for p in weights}:
        return (
            "the optimizer holds other tensors than the model's weights (was the model moved or "
            "converted after build_optimizer?)"
        )
    if all(p.grad is None for p in held):
        return (
            "the optimizer sees no gradient: zero_grad() has set the flat buffers' gradient to "
            "None (torch 2 does so by default; the mend flat_buffers_keep_their_gradient prevents "
            "it, is it in FASTREID_COMPAT_SKIP?)"
        )
    return "the optimizer's step left them as they were (does its class override step()?)"


@mend(
    row=1,
    after="fastreid.solver.build",
    reason="a training that moves no weight runs to its end without saying so",
)
def training_that_moves_nothing_stops(module: ModuleType) -> bool:
    """Watch the first steps of every optimizer that ``build_optimizer`` builds."""
    import torch

    if not hasattr(torch.optim.Optimizer, "register_step_post_hook"):
        return False  # before torch 2 there is no such hook, and no such defect
    stock = module.build_optimizer
    signature = inspect.signature(stock)

    @functools.wraps(stock)
    def build_optimizer(*args: Any, **kwargs: Any) -> Any:
        result = stock(*args, **kwargs)
        optimizer = result[0] if isinstance(result, tuple) else result
        WeightsMustMove(signature.bind(*args, **kwargs).arguments["model"], optimizer)
        return result

    replace(module, "build_optimizer", build_optimizer)
    return True
