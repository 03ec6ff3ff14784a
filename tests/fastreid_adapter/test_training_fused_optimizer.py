"""``SOLVER.FUSED``: the same training in fewer passes."""

from __future__ import annotations

import copy

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.solver import build_optimizer

from fed_plugin.fastreid_adapter import training

FUSES = training._can_fuse(torch.optim.SGD, "cpu")
needs_fused = pytest.mark.skipif(not FUSES, reason="this PyTorch has no fused SGD on the CPU")


@pytest.fixture
def make_model(tiny_cfg):
    def make(*words):
        torch.manual_seed(0)
        cfg = tiny_cfg("SOLVER.BASE_LR", 0.05, *words)
        model = build_model(cfg).train()
        model.heads.memory("erased").fill(torch.randn(6, 128))
        return cfg, model

    return make


@needs_fused
def test_fused_steps_move_every_weight_where_the_others_move_it(make_model):
    ends = {}
    for fused in (False, True):
        cfg, model = make_model("SOLVER.FUSED", fused)
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        start = {name: weight.detach().clone() for name, weight in trained.items()}
        optimizer, params = build_optimizer(cfg, model)
        assert all(bool(group["fused"]) is fused for group in optimizer.param_groups)
        for _ in range(5):
            optimizer.zero_grad()
            for weight in trained.values():
                weight.grad.normal_()
            optimizer.step()
        assert params.buffer_is_valid()
        assert not any(torch.equal(trained[name], start[name]) for name in trained)
        ends[fused] = trained
    for name, weight in ends[False].items():
        torch.testing.assert_close(ends[True][name], weight, rtol=1e-6, atol=1e-6)


@needs_fused
def test_a_fused_training_resumes_as_if_it_had_not_stopped(make_model, batch):
    cfg, model = make_model("SOLVER.FUSED", True)
    optimizer, _ = build_optimizer(cfg, model)
    fresh = make_model("SOLVER.FUSED", True)[1]
    other, _ = build_optimizer(cfg, fresh)
    step(model, optimizer, batch)
    fresh.load_state_dict(model.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, its in ((model, optimizer), (fresh, other)):
        torch.manual_seed(1)
        step(one, its, batch)
    for weight, again in zip(model.parameters(), fresh.parameters(), strict=True):
        assert torch.equal(weight, again)


def step(model, optimizer, batch):
    loss = sum(model(batch).values())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@needs_fused
def test_a_clipped_optimizer_can_be_fused_too(make_model):
    cfg, model = make_model("SOLVER.FUSED", True, "SOLVER.CLIP_GRADIENTS.ENABLED", True)
    optimizer, _ = build_optimizer(cfg, model)
    assert all(group["fused"] for group in optimizer.param_groups)


def test_an_optimizer_that_cannot_be_fused_stays_as_it_is():
    weight = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Rprop([weight])
    before = optimizer.state_dict()
    assert not training.fuse(optimizer)
    assert optimizer.state_dict() == before
