"""Mends of ``build_optimizer`` and ``build_lr_scheduler``, and the tripwire of the first steps.

fast-reid packs all weights of a parameter group into one flat buffer and hands the buffer to the
optimizer; the model's weights and gradients are views of the buffer. ``zero_grad()`` of PyTorch 2
drops the buffer's gradient instead of writing zeros. The views stay, therefore losses and log lines
look right, but the optimizer sees a parameter without a gradient and skips every step.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Call, add_step, mend


def zero_grad_drops_gradients() -> bool:
    """Return whether ``zero_grad()`` of this PyTorch sets gradients to None."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=0.1).zero_grad()
    return weight.grad is None


@functools.cache
def _that_zeroes(optimizer_class: type) -> type:
    def zero_grad(self: Any, set_to_none: bool = False) -> None:
        """Set every gradient to zero; None would cut the flat buffers off the model's weights."""
        optimizer_class.zero_grad(self, set_to_none=False)

    return type(optimizer_class.__name__, (optimizer_class,), {"zero_grad": zero_grad})


def _packs_weights(module: ModuleType) -> bool:
    return "contiguous" in inspect.signature(module.build_optimizer).parameters


@mend("Nothing is trained on PyTorch 2", after="fastreid.solver.build")
def flat_buffers_keep_their_gradient(module: ModuleType) -> bool:
    """Give the built optimizer a ``zero_grad`` that writes zeros; the flat layout stays.

    Old checkpoints resume, because neither the parameter groups nor the state change. The class of
    the built object is exchanged, which covers the subclasses that clip and freeze, too.
    """

    def zero(call: Call) -> Iterator[None]:
        yield
        if call.error is None:
            optimizer, params = call.result
            if isinstance(params, module.ContiguousParams):
                optimizer.__class__ = _that_zeroes(type(optimizer))

    return (
        _packs_weights(module)
        and zero_grad_drops_gradients()
        and add_step(module, "build_optimizer", zero)
    )


class OptimizerAndParams(tuple):
    """Pair ``(optimizer, params)`` that the trainer unpacks, with the optimizer's attributes."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self[0], name)


@mend("plain_train_net.py takes a pair for an optimizer", after="fastreid.solver.build")
def optimizer_pair_passes_for_an_optimizer(module: ModuleType) -> bool:
    """Let the pair that ``build_optimizer`` returns do what plain_train_net.py asks of it."""
    if not _packs_weights(module):
        return False

    def pair(call: Call) -> Iterator[None]:
        yield
        if type(call.result) is tuple:
            call.result = OptimizerAndParams(call.result)

    def bare(value: Any) -> Any:
        return value[0] if isinstance(value, OptimizerAndParams) else value

    def unpack(call: Call) -> Iterator[None]:  # PyTorch's schedulers insist on the class
        call.args = tuple(map(bare, call.args))
        call.kwargs = {name: bare(value) for name, value in call.kwargs.items()}
        yield

    add_step(module, "build_lr_scheduler", unpack)
    return add_step(module, "build_optimizer", pair)


# Schedules that divide by zero or never evaluate are refused before the training starts.


def check_schedule(cfg: Any, iters_per_epoch: int) -> None:
    """Refuse a training whose epochs are empty or whose warm-up does not end.

    Raises:
        ValueError: There are fewer training images than one batch takes; the run ends before its
            warm-up; or nothing is left of a cosine schedule after warm-up and delay.
    """
    solver = cfg.SOLVER
    if iters_per_epoch < 1:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH={solver.IMS_PER_BATCH}: the training set DATASETS.NAMES="
            f"{tuple(cfg.DATASETS.NAMES)} has fewer images, an epoch would have no iteration; try "
            "a smaller SOLVER.IMS_PER_BATCH"
        )
    run = f"SOLVER.MAX_EPOCH={solver.MAX_EPOCH} of {iters_per_epoch} iterations"
    if solver.MAX_EPOCH * iters_per_epoch < solver.WARMUP_ITERS:
        raise ValueError(
            f"{run} is shorter than its warm-up SOLVER.WARMUP_ITERS={solver.WARMUP_ITERS}; try "
            "fewer SOLVER.WARMUP_ITERS or more epochs"
        )
    before = max(math.ceil(solver.WARMUP_ITERS / iters_per_epoch), solver.DELAY_EPOCHS)
    if solver.SCHED == "CosineAnnealingLR" and before >= solver.MAX_EPOCH:
        raise ValueError(
            f"SOLVER.SCHED=CosineAnnealingLR has no epoch left: {run}, of which "
            f"SOLVER.WARMUP_ITERS={solver.WARMUP_ITERS} and SOLVER.DELAY_EPOCHS="
            f"{solver.DELAY_EPOCHS} take {before}; try smaller ones or more epochs"
        )


@mend("A schedule shorter than its warm-up divides by zero", after="fastreid.solver.build")
def schedules_shorter_than_their_warmup_are_refused(module: ModuleType) -> bool:
    """Check the schedule when ``build_lr_scheduler`` is called."""

    def check(call: Call) -> Iterator[None]:
        check_schedule(call.argument("cfg"), call.argument("iters_per_epoch"))
        yield

    known = inspect.signature(module.build_lr_scheduler).parameters
    return "iters_per_epoch" in known and add_step(module, "build_lr_scheduler", check)


@mend("An evaluation period of 0 fails after the training", after="fastreid.engine.hooks")
def evaluation_period_must_be_positive(module: ModuleType) -> bool:
    """Refuse an evaluation period below 1 before the training starts."""
    try:
        module.EvalHook(0, None)
    except ValueError:
        return False

    def check(call: Call) -> Iterator[None]:
        period = call.argument("eval_period")
        if period < 1:
            raise ValueError(
                f"TEST.EVAL_PERIOD={period}: expected a number of epochs, 1 or more; try "
                "SOLVER.MAX_EPOCH to evaluate once, at the end"
            )
        yield

    return add_step(module.EvalHook, "__init__", check)


# The tripwire stops a training that computes gradients but moves no weight.
#
# The tripwire watches a few elements of some weights around the optimizer's first steps. It removes
# itself as soon as one element has moved, in an ordinary run after the first step. It never holds
# more than ``TENSORS * ELEMENTS`` numbers, whatever the size of the model.

STEPS, TENSORS, ELEMENTS = 3, 64, 16


def _sample(tensor: Any) -> Any:
    """Return up to ``ELEMENTS`` evenly spaced elements of a tensor, as a copy."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // ELEMENTS)][:ELEMENTS].clone()


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage().data_ptr())


class WeightsMustMove:
    """Watch over an optimizer's first steps, which raises when the steps move no weight.

    A step counts when one watched element has to move: the element has a finite gradient, its group
    has a learning rate and is not frozen, and the product of gradient and rate is no rounding error
    beside the weight. Warm-up from zero, frozen layers and steps that an AMP scaler skips do not
    count.

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
        """Sample the weights before a step, unless every learning rate is zero."""
        if any(group["lr"] > 0 for group in optimizer.param_groups):
            self.before = [_sample(p) for p in self.weights]

    def compare(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Compare the weights with the sample after a step: disarm, count, or stop the training."""
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
        """Remove the hooks and release the weights."""
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
    """Return what is wrong between a model and an optimizer that does not move it."""
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


@mend("A training that moves no weight ends without a word", after="fastreid.solver.build")
def training_that_moves_nothing_stops(module: ModuleType) -> bool:
    """Watch the first steps of every optimizer that ``build_optimizer`` builds."""

    def watch(call: Call) -> Iterator[None]:
        yield
        if call.error is None:
            optimizer = call.result[0] if isinstance(call.result, tuple) else call.result
            WeightsMustMove(call.argument("model"), optimizer)

    return add_step(module, "build_optimizer", watch)
