"""Losses and memory wait for no GPU: seen without one, on fake tensors that hold no values to read.

PyTorch's backward engine asks for a real GPU, so gradients are not part of it.
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


class LoaderTargets:
    """Targets whose values the CPU knows, as a loader yields them."""

    def __init__(self, *values):
        self.values = values

    def __ge__(self, least):
        return LoaderTargets(*(value >= least for value in self.values))

    def all(self):
        return all(self.values)

    def max(self):
        return max(self.values)

    def to(self, device):
        return torch.zeros(len(self.values), dtype=torch.int64, device=device)


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
    losses = model(
        {"images": 255 * torch.rand(4, 2, 3, 64, 32), "targets": LoaderTargets(0, 0, 3, 3)}
    )
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
