"""Losses against formulas written out, and closed forms on degenerate input."""

from __future__ import annotations

import math

import pytest
import torch

from fed_plugin.modeling import losses

AUTOCAST = [torch.bfloat16] + [torch.float16] * (torch.__version__ >= (2, 0))
"""What the CPU computes in under autocast; PyTorch 1 refuses float16."""


def test_contrast_equals_the_formula_in_float64():
    torch.manual_seed(0)
    features, slots = torch.randn(4, 5), torch.randn(3, 5)
    targets = torch.tensor([0, 2, 1, 1])
    expected = 0.0
    for feature, target in zip(features.double(), targets, strict=True):
        cosines = [feature @ m / (feature.norm() * m.norm()) for m in slots.double()]
        exponentials = [math.exp(c / 0.05) for c in cosines]
        expected -= math.log(exponentials[target] / sum(exponentials)) / 4
    value = losses.contrast_loss(features, slots, targets, 0.05)
    assert value.item() == pytest.approx(float(expected), rel=1e-5)


def test_equal_slots_give_the_logarithm_of_their_number():
    slots = torch.ones(7, 4)
    value = losses.contrast_loss(torch.randn(3, 4), slots, torch.tensor([0, 3, 6]), 0.05)
    assert value.item() == pytest.approx(math.log(7), abs=1e-6)


def test_one_identity_has_nothing_to_contrast_with():
    value = losses.contrast_loss(torch.randn(2, 4), torch.randn(1, 4), torch.zeros(2).long(), 0.05)
    assert value.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", AUTOCAST)
def test_contrast_stays_finite_and_in_float32_under_autocast(dtype):
    features, slots = torch.eye(4) * 100, torch.eye(4)
    targets = torch.arange(4)
    expected = losses.contrast_loss(features, slots, targets, 0.05)
    with torch.autocast("cpu", dtype=dtype):
        value = losses.contrast_loss(features.to(dtype), slots, targets, 0.05)
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
    features, slots, targets = torch.randn(2, 3, 4), torch.randn(5, 4), torch.tensor([0, 1, 2])
    h, o = (losses.contrast_loss(view, slots, targets, 0.05) for view in features)
    arguments = (features, slots, targets, 0.05)
    torch.testing.assert_close(losses.erased_contrast_loss(*arguments), h + 0.3 * o)
    torch.testing.assert_close(losses.diffused_contrast_loss(*arguments), 0.5 * (h + o))
