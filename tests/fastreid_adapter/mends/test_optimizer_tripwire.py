"""A training that moves no weight is stopped."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fed_plugin.fastreid_adapter.mends import optimizer as mends
from fed_plugin.fastreid_adapter.mends import optimizer as optimizer_module


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def train(model, optimizer, steps):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        loss = model(torch.randn(8, 6, generator=generator)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture
def build(stock):
    """The stock module, whose optimizers train nothing, with the tripwire alone."""
    module = stock("fastreid.solver.build")
    assert optimizer_module.training_that_moves_nothing_stops(module)
    return module


def hooks(optimizer):
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)


def test_a_training_that_moves_nothing_stops_after_three_steps_and_says_why(build, tiny_cfg):
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    train(model, optimizer, optimizer_module.STEPS - 1)
    with pytest.raises(RuntimeError, match="flat_buffers_keep_their_gradient prevents"):
        train(model, optimizer, 1)


def test_the_first_step_that_moves_a_weight_takes_the_tripwire_off(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    assert hooks(optimizer) == 2
    train(model, optimizer, 1)
    assert hooks(optimizer) == 0


def test_a_warm_up_from_zero_does_not_count_however_long_it_is(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    train(model, optimizer, 10)
    assert hooks(optimizer) == 2
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    train(model, optimizer, 1)
    assert hooks(optimizer) == 0


def test_rates_too_small_to_move_a_float_do_not_count(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    for weight in model.parameters():
        weight.data.fill_(0.5)
    cfg = tiny_cfg(**{"SOLVER.BASE_LR": 1e-12, "SOLVER.MOMENTUM": 0.0})
    optimizer, _ = build.build_optimizer(cfg, model)
    train(model, optimizer, 6)
    assert hooks(optimizer) == 2


def test_frozen_layers_do_not_count(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    frozen = {"MODEL.FREEZE_LAYERS": ["0", "1", "2"], "SOLVER.FREEZE_ITERS": 5}
    optimizer, _ = build.build_optimizer(tiny_cfg(**frozen), model)
    train(model, optimizer, 5)
    assert hooks(optimizer) == 2
    train(model, optimizer, 1)
    assert hooks(optimizer) == 0


def test_steps_that_a_gradient_scaler_skips_do_not_count(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    for _ in range(6):
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(4, 6)).square().mean() * float("inf")).backward()
        scaler.step(optimizer)
        scaler.update()
    assert hooks(optimizer) == 2


def test_weights_without_a_gradient_do_not_count(build, tiny_cfg):
    model = small_model()
    cfg = tiny_cfg(**{"SOLVER.WEIGHT_DECAY": 0.0, "SOLVER.WEIGHT_DECAY_BIAS": 0.0})
    optimizer, _ = build.build_optimizer(cfg, model)
    for weight in model.parameters():
        weight.grad = None
    for _ in range(6):
        optimizer.step()
    assert hooks(optimizer) == 2


def test_a_model_converted_after_its_optimizer_was_built_is_named_as_the_reason(build, tiny_cfg):
    mends.flat_buffers_keep_their_gradient(build)
    model = small_model()
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    for weight in model.parameters():
        weight.data = weight.data.clone()
    with pytest.raises(RuntimeError, match="other tensors than the model's weights"):
        train(model, optimizer, 3)


def test_what_is_held_does_not_grow_with_the_model(build, tiny_cfg):
    model = nn.Sequential(*[nn.Linear(40, 40) for _ in range(100)])
    optimizer, _ = build.build_optimizer(tiny_cfg(), model)
    watch = next(iter(optimizer._optimizer_step_pre_hooks.values())).__self__
    watch.look(optimizer, (), {})
    assert len(watch.before) <= optimizer_module.TENSORS
    assert all(sample.numel() <= optimizer_module.ELEMENTS for sample in watch.before)
    owned = {sample.untyped_storage().nbytes() for sample in watch.before}
    assert max(owned) <= optimizer_module.ELEMENTS * 4
