"""Recipes of fine-tuning as keys: rates by layer, freezing, warm-up, averages, clipping.

The stock trainer reads them: the rates become the optimizer's groups, and the rest surrounds the
optimizer's step. Everything is saved with the run, so that a resumed run ends with the same bits.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from tabulate import tabulate
from timm.models import group_parameters
from torch import nn
from torch.optim import Optimizer

from fed_plugin.fastreid_adapter.mends.mending import Call, host_step

logger = logging.getLogger("fastreid.fed_plugin.recipes")

_building: ContextVar[tuple[Any, nn.Module] | None] = ContextVar("building", default=None)
_images_of_an_epoch = 0  # of the train loader that was built last


# Epochs become iterations once the train loader is there.


@host_step("fastreid.data.build", "build_reid_train_loader")
def note_the_images(call: Call) -> Iterator[None]:
    """Note how many images an epoch of the new loader has."""
    global _images_of_an_epoch
    yield
    if call.error is None:
        _images_of_an_epoch = len(call.result.dataset)


@host_step("fastreid.engine.defaults", "DefaultTrainer.auto_scale_hyperparams")
def turn_epochs_into_iterations(call: Call) -> Iterator[None]:
    """Fill in ``WARMUP_ITERS`` and ``FREEZE_ITERS`` from the keys that count epochs."""
    yield
    if call.error is not None:
        return
    cfg, solver = call.result.clone(), call.result.SOLVER
    cfg.defrost()
    iterations = _images_of_an_epoch // solver.IMS_PER_BATCH
    if solver.WARMUP_EPOCHS:
        cfg.SOLVER.WARMUP_ITERS = solver.WARMUP_EPOCHS * iterations
    if solver.FREEZE_BACKBONE_EPOCHS:
        cfg.SOLVER.FREEZE_ITERS = solver.FREEZE_BACKBONE_EPOCHS * iterations
        cfg.MODEL.FREEZE_LAYERS = ["backbone"]
    if call.result.is_frozen():
        cfg.freeze()
    call.result = cfg


# Learning rates by layer.


def layer_of(backbone: nn.Module) -> dict[str, int]:
    """Return the layer of every weight of a backbone, by name.

    The stem is layer 0; what stands behind all layers is the last. Models of timm know their
    layers. In other models every direct child is a layer.
    """
    model = getattr(backbone, "model", backbone)
    prefix = "model." if model is not backbone else ""
    if hasattr(model, "group_matcher"):
        layers = group_parameters(model, model.group_matcher(coarse=False), reverse=True)
    else:
        children = {name: layer for layer, (name, _) in enumerate(model.named_children())}
        names = (name for name, _ in model.named_parameters())
        layers = {name: children.get(name.partition(".")[0], 0) for name in names}
    return {f"{prefix}{name}": int(layer) for name, layer in layers.items()}


@host_step("fastreid.solver.build", "get_default_optimizer_params")
def scale_rates_by_layer(call: Call) -> Iterator[None]:
    """Multiply the learning rates of the backbone's weights, while an optimizer is built."""
    yield
    building = _building.get()
    if call.error is not None or building is None:
        return
    solver, model = building[0].SOLVER, building[1]
    layers = layer_of(model.backbone) if solver.LAYER_DECAY < 1 else {}
    heads = max(layers.values(), default=-1) + 1  # the layer above the backbone's
    factors = {
        weight: solver.BACKBONE_LR_FACTOR * solver.LAYER_DECAY ** (heads - layers.get(name, heads))
        for name, weight in model.backbone.named_parameters()
    }
    for group in call.result:
        (weight,) = group["params"]
        group["lr"] = group.get("lr", solver.BASE_LR) * factors.get(weight, 1.0)


@host_step("fastreid.solver.build", "build_optimizer")
def follow_the_recipe(call: Call) -> Iterator[None]:
    """Build an optimizer with rates by layer, and surround its step; log its groups."""
    cfg, model = call.argument("cfg"), call.argument("model")
    token = _building.set((cfg, model) if hasattr(model, "backbone") else None)
    try:
        yield
    finally:
        _building.reset(token)
    if call.error is None:
        optimizer = call.result[0] if isinstance(call.result, tuple) else call.result
        Recipe(cfg, model, optimizer)
        logger.info("Parameter groups:\n%s", groups_table(optimizer))


def groups_table(optimizer: Optimizer) -> str:
    """Return a table of learning rates and weight decays with the weights that have them."""
    counts: Counter[tuple[float, float, str]] = Counter()
    for group in optimizer.param_groups:
        key = group["lr"], group.get("weight_decay", 0.0), group.get("freeze_status", "normal")
        counts[key] += sum(weight.numel() for weight in group["params"])
    rows = [[*key, f"{count:,}"] for key, count in sorted(counts.items(), reverse=True)]
    return tabulate(rows, ["learning rate", "weight decay", "at first", "weights"])


# What surrounds a step.


class Recipe:
    """Accumulation, clipping and the average of the weights, around an optimizer's step.

    ``model_final.pth`` and every evaluation hold the averaged weights, where there is an average;
    the trained weights are saved beside them, for a resume.

    Args:
        cfg: config; ``SOLVER.ACCUMULATE``, ``SOLVER.CLIP_NORM`` and ``SOLVER.EMA`` are read.
        model: model of the optimizer.
        optimizer: optimizer whose class is exchanged for one with this recipe.
    """

    KEY = "recipe"

    def __init__(self, cfg: Any, model: nn.Module, optimizer: Optimizer) -> None:
        solver = cfg.SOLVER
        self.every, self.most, self.decay = solver.ACCUMULATE, solver.CLIP_NORM, solver.EMA
        self.calls = 0
        self.weights = [w for group in optimizer.param_groups for w in group["params"]]
        floats = {n: x for n, x in model.state_dict().items() if x.is_floating_point()}
        self.names = list(floats) if self.decay else []
        self.tensors = [floats[name] for name in self.names]
        self.averages = [tensor.clone() for tensor in self.tensors]
        self.is_needed = self.every > 1 or self.most > 0 or self.decay > 0
        if self.is_needed:
            optimizer.recipe = self  # type: ignore[attr-defined]
            optimizer.__class__ = _with_recipe(type(optimizer))

    @torch.no_grad()
    def before_step(self) -> bool:
        """Count a call; return whether the optimizer steps now, its gradients prepared."""
        self.calls += 1
        if self.calls % self.every:
            return False
        gradients = [weight.grad for weight in self.weights if weight.grad is not None]
        if self.every > 1:
            torch._foreach_div_(gradients, self.every)
        if self.most:
            nn.utils.clip_grad_norm_(self.weights, self.most)
        return True

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the averages towards the weights."""
        if self.tensors:
            torch._foreach_lerp_(self.averages, self.tensors, 1 - self.decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged weights for a while; the averages hold the trained ones."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for tensor, other in zip(self.tensors, self.averages, strict=True):
            kept = tensor.clone()
            tensor.copy_(other)
            other.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """Return the count, gradients that are not used yet, and, while averaged, the weights."""
        pending = self.weights if self.calls % self.every else []
        return {
            "calls": self.calls,
            "gradients": {str(i): weight.grad for i, weight in enumerate(pending)},
            "trained": dict(zip(self.names, self.averages, strict=True)),
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint, whose averaged weights the model holds.

        Raises:
            ValueError: the checkpoint is of a run with another recipe.
        """
        trained, gradients = state.get("trained", {}), state.get("gradients", {})
        if trained.keys() != set(self.names) or len(gradients) not in (0, len(self.weights)):
            raise ValueError(
                "SOLVER.EMA, SOLVER.ACCUMULATE: the checkpoint is of a run with other values; "
                "expected the keys of that run, or MODEL.WEIGHTS without --resume"
            )
        self.calls = int(state.get("calls", 0))
        for index, gradient in gradients.items():
            weight = self.weights[int(index)]
            if weight.grad is None or gradient is None:
                weight.grad = gradient
            else:
                weight.grad.copy_(gradient)  # the model's gradients are views of it
        for name, tensor, average in zip(self.names, self.tensors, self.averages, strict=True):
            average.copy_(tensor)
            tensor.copy_(trained[name])


@functools.cache
def _with_recipe(stock: type) -> type:
    @functools.wraps(stock.step)
    def step(self: Any, closure: Any = None) -> None:
        if self.recipe.before_step():
            stock.step(self, closure)
            self.recipe.after_step()

    @functools.wraps(stock.zero_grad)
    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        if self.recipe.calls % self.recipe.every == 0:
            stock.zero_grad(self, set_to_none)

    return type(stock.__name__, (stock,), {"step": step, "zero_grad": zero_grad})


@host_step("fastreid.engine.defaults", "DefaultTrainer.__init__")
def save_the_recipe(call: Call) -> Iterator[None]:
    """Save the recipe with the run."""
    yield
    recipe = getattr(getattr(call.args[0], "optimizer", None), "recipe", None)
    if call.error is None and recipe is not None:
        call.args[0].checkpointer.checkpointables[Recipe.KEY] = recipe


@host_step("fastreid.engine.hooks", "EvalHook.after_train")
@host_step("fastreid.engine.hooks", "EvalHook.after_epoch")
def evaluate_the_average(call: Call) -> Iterator[None]:
    """Evaluate averaged weights."""
    recipe = getattr(call.args[0].trainer.optimizer, "recipe", None)
    with recipe.averaged() if recipe is not None else nullcontext():
        yield


@host_step("fastreid.utils.checkpoint", "Checkpointer.save")
def write_the_average(call: Call) -> Iterator[None]:
    """Write averaged weights as the model's."""
    recipe = call.args[0].checkpointables.get(Recipe.KEY)
    with recipe.averaged() if recipe is not None else nullcontext():
        yield
