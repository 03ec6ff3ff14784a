"""The method at its edges: half precision, nothing visible, one identity, the same image twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from fed_plugin import modeling
from fed_plugin.modeling import visibility_target

B, P, C, M = 4, 4, 8, 6
AUTOCAST = [torch.bfloat16, torch.float16]
"""Types of the CPU's autocast."""


def tokens(batch=2 * B, seed=3):
    torch.manual_seed(seed)
    return torch.randn(batch, 1 + 16, C)


def step(head, tokens, targets, visible=None):
    head.train()
    outputs = head(tokens, targets)
    losses = head.losses(outputs, targets, torch.ones(B, P) if visible is None else visible)
    return outputs, losses


def assert_trains(head, losses):
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    grads = [p.grad for p in head.parameters() if p.grad is not None]
    assert grads and all(torch.isfinite(grad).all() for grad in grads)


@pytest.mark.parametrize("dtype", AUTOCAST)
def test_half_precision_keeps_losses_similarities_and_memory_in_fp32(make_head, dtype):
    head, targets = make_head(), torch.tensor([0, 0, 4, 4])
    memory = head.memory("erased")
    memory.fill(torch.randn(P * C) + 1e-3 * torch.randn(M, P * C))  # alike, but for fp32
    with torch.autocast("cpu", dtype=dtype):
        outputs, losses = step(head, tokens(), targets)
        found = memory.nearest_identities(outputs.erased_features[0], targets, 3)
        with torch.autocast("cpu", enabled=False):  # else both would be coarse, and equal
            exact = memory.nearest_identities(outputs.erased_features[0].float(), targets, 3)
        memory.update(outputs.erased_features[0].detach(), targets)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert found[1].dtype == memory.features.dtype == torch.float32
    assert_trains(head, losses)
    assert all(map(torch.equal, found, exact))


@pytest.mark.parametrize("visible", [0.0, 1.0])
def test_a_target_of_nothing_or_everything_visible_trains(make_head, visible):
    head = make_head()
    _, losses = step(head, tokens(), torch.tensor([0, 0, 4, 4]), torch.full((B, P), visible))
    assert_trains(head, losses)


def test_a_person_of_whom_nothing_is_visible_still_has_a_finite_descriptor(make_head):
    head = make_head().eval()
    with torch.no_grad():
        for name, parameter in head.oem.named_parameters():
            parameter.zero_()
            if "bias" in name:
                parameter.fill_(-100.0)  # a sigmoid of exactly 0
        visibility, descriptor = head.erase(tokens(3))
    assert visibility.max() < 1e-30 and torch.isfinite(descriptor).all()
    assert torch.isfinite(torch.nn.functional.normalize(descriptor)).all()


@pytest.mark.parametrize(("rule", "value"), [("reference", 1.0), ("coverage", 0.0)])
def test_an_image_that_is_covered_everywhere(rule, value):
    whole = torch.zeros(1, 3, 64, 32)
    assert visibility_target(whole, whole + 9, P, rule).tolist() == [[value] * P]


def test_one_identity_trains_without_neighbors(make_head):
    head = make_head(fdm=None, num_classes=1)
    _, losses = step(head, tokens(), torch.zeros(B, dtype=torch.int64))
    assert losses["loss_contrast_erased"] == 0 and losses["loss_id_erased"] == 0
    assert_trains(head, losses)


def test_the_same_image_in_every_place_of_a_batch_trains(make_head):
    head = make_head()
    _, losses = step(head, tokens(1).expand(2 * B, -1, -1).clone(), torch.zeros(B, dtype=int))
    assert_trains(head, losses)


def test_one_image_is_described_as_among_others(make_head):
    head, many = make_head().eval(), tokens(5)
    together = head.erase(many)[1]
    alone = torch.cat([head.erase(many[i : i + 1])[1] for i in range(5)])
    torch.testing.assert_close(alone, together)


def test_the_maths_names_arguments_and_no_config_key():
    for path in Path(modeling.__file__).parent.glob("*.py"):
        keys = re.findall(r"\b(?:MODEL|INPUT|SOLVER|TEST|DATASETS)\.[A-Z]\w*", path.read_text())
        assert keys == [], path
