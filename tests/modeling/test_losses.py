"""Losses against formulas written out, and closed forms on degenerate input."""

from __future__ import annotations

import math

import pytest
import torch

from fed_plugin.modeling import losses
from fed_plugin.modeling.memory import cosines

AUTOCAST = [torch.bfloat16] + [torch.float16] * (torch.__version__ >= (2, 0))
"""What the CPU computes in under autocast; PyTorch 1 refuses float16."""


def contrast(features, slots, targets):
    unit = torch.nn.functional.normalize(slots, dim=1)
    return losses.contrast_loss(cosines(features, unit), targets, 0.05)


def test_contrast_equals_the_formula_in_float64():
    torch.manual_seed(0)
    features, slots = torch.randn(4, 5), torch.randn(3, 5)
    targets = torch.tensor([0, 2, 1, 1])
    expected = 0.0
    for feature, target in zip(features.double(), targets, strict=True):
        cosines = [feature @ m / (feature.norm() * m.norm()) for m in slots.double()]
        exponentials = [math.exp(c / 0.05) for c in cosines]
        expected -= math.log(exponentials[target] / sum(exponentials)) / 4
    value = contrast(features, slots, targets)
    assert value.item() == pytest.approx(float(expected), rel=1e-5)


def test_equal_slots_give_the_logarithm_of_their_number():
    slots = torch.ones(7, 4)
    value = contrast(torch.randn(3, 4), slots, torch.tensor([0, 3, 6]))
    assert value.item() == pytest.approx(math.log(7), abs=1e-6)


def test_one_identity_has_nothing_to_contrast_with():
    value = contrast(torch.randn(2, 4), torch.randn(1, 4), torch.zeros(2).long())
    assert value.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", AUTOCAST)
def test_contrast_stays_finite_and_in_float32_under_autocast(dtype):
    features, slots = torch.eye(4) * 100, torch.eye(4)
    targets = torch.arange(4)
    expected = contrast(features, slots, targets)
    with torch.autocast("cpu", dtype=dtype):
        value = contrast(features.to(dtype), slots, targets)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


def test_identity_loss_is_the_mean_over_views():
    torch.manual_seed(0)
    logits, targets = torch.randn(2, 3, 5), torch.tensor([4, 0, 1])
    views = [torch.nn.functional.cross_entropy(view, targets) for view in logits]
    torch.testing.assert_close(losses.identity_loss(logits, targets), sum(views) / 2)


def test_visibility_loss_is_a_mean_square():
    visibility = torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    assert losses.visibility_loss(visibility, 1.0).item() == pytest.approx(1.25 / 4)
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert losses.visibility_loss(visibility, target).item() == pytest.approx(0.25 / 4)


def test_weights_of_the_contrast_losses():
    torch.manual_seed(0)
    similarity, targets = torch.rand(2, 3, 5) * 2 - 1, torch.tensor([0, 1, 2])
    h, o = (losses.contrast_loss(view, targets, 0.05) for view in similarity)
    arguments = (similarity, targets, 0.05)
    torch.testing.assert_close(losses.erased_contrast_loss(*arguments), h + 0.3 * o)
    torch.testing.assert_close(losses.diffused_contrast_loss(*arguments), 0.5 * (h + o))
