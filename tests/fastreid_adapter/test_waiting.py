"""Losses and memory wait for no GPU: seen without one, on fake tensors that hold no values to read.

What a step does wait for is outside of it: one look at the batch's targets, and the log's scalars,
which are read where the host's event storage is open. PyTorch's backward engine asks for a real
GPU, so gradients are not part of it either.
"""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from torch import nn

from fed_plugin.modeling import IdentityMemory

fakes = pytest.importorskip("torch._subclasses.fake_tensor")
pytestmark = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 4),
    reason="fake tensors of a GPU need torch >= 2.4, `make test-matrix` runs them with it",
)


def put_on_a_fake_gpu(model):
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            fake = parameter.detach().to("cuda")
            setattr(module, name, nn.Parameter(fake, requires_grad=parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to("cuda"))
    return model


@pytest.fixture
def fake_tensors():
    with fakes.FakeTensorMode(allow_non_fake_inputs=True):
        yield


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("MODEL.FED.PRECISION", "bf16"),
        ("MODEL.FED.OEM.TARGET", "coverage"),
        ("MODEL.FED.MEMORY.SHARED", False),
        ("MODEL.FED.VIT.RECOMPUTE", True),
    ],
)
def test_losses_and_the_memory_wait_for_no_gpu(tiny_cfg, request, overrides):
    model = build_model(tiny_cfg("MODEL.FED.MEMORY.INIT", "zeros", *overrides)).train()
    for memory in model.heads.memories.values():
        memory.fill(torch.zeros_like(memory.features))
    request.getfixturevalue("fake_tensors")
    put_on_a_fake_gpu(model)
    targets = torch.tensor([0, 0, 3, 3]).to("cuda")
    losses = model._learn(255 * torch.rand(4, 2, 3, 64, 32).to("cuda"), targets, True)
    assert len(losses) == 7
    assert {loss.device.type for loss in losses.values()} == {"cuda"}


def test_neighbors_are_searched_without_a_wait(fake_tensors):
    memory = IdentityMemory(100_000, 3072, 0.2).to("cuda")
    queries = torch.randn(64, 3072, device="cuda")
    targets = torch.zeros(64, dtype=torch.int64, device="cuda")
    nearest, _ = memory.nearest_identities(queries, targets, 8)
    assert nearest.is_cuda and nearest.shape == (64, 8)


def test_a_value_that_is_read_would_be_noticed(fake_tensors):
    targets = torch.zeros(64, dtype=torch.int64, device="cuda")
    with pytest.raises(fakes.DataDependentOutputException):
        bool((targets >= 0).all())
    with pytest.raises(fakes.DynamicOutputShapeException):
        torch.unique(targets)
