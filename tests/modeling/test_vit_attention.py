"""Attention by the fused kernel and by two products compute the same."""

from __future__ import annotations

import pytest
import torch

from fed_plugin.modeling.fdm import attend, attend_in_two_products


def random_heads(dtype=torch.float32):
    torch.manual_seed(0)
    return [torch.randn(3, 2, tokens, 16, dtype=dtype, requires_grad=True) for tokens in (5, 7, 7)]


def slow_attention(q, k, v, scale):
    out = torch.empty_like(q)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for s in range(q.shape[2]):
                out[b, h, s] = torch.softmax(k[b, h] @ q[b, h, s] * scale, dim=0) @ v[b, h]
    return out


@pytest.mark.parametrize("function", [attend, attend_in_two_products])
@pytest.mark.parametrize(("scale", "factor"), [(None, 0.25), (0.7, 0.7)])
def test_attention_is_that_of_a_slow_loop(function, scale, factor):
    q, k, v = random_heads(torch.float64)
    expected = slow_attention(q, k, v, factor)
    torch.testing.assert_close(function(q, k, v, scale=scale), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [None, 0.7])
def test_two_products_and_the_fused_operation_agree_to_a_millionth(scale):
    inputs = random_heads()
    fused, plain = attend(*inputs, scale=scale), attend_in_two_products(*inputs, scale=scale)
    torch.testing.assert_close(plain, fused, rtol=0, atol=1e-6)
    weights = torch.randn_like(fused)
    gradients = [torch.autograd.grad((out * weights).sum(), inputs) for out in (fused, plain)]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    truth = torch.autograd.grad((attend(*exact, scale=scale) * weights).sum(), exact)
    # a millionth of the largest value: what float32 leaves of its sums on any processor
    for way in gradients:
        for found, expected in zip(way, truth, strict=True):
            largest = expected.abs().max().item()
            torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("function", [attend, attend_in_two_products])
def test_dropout_drops_weights_and_scales_the_rest_up(function):
    torch.manual_seed(0)
    q, k = torch.zeros(1, 1, 400, 8), torch.zeros(1, 1, 4, 8)  # all weights are 1/4
    out = function(q, k, torch.eye(4, 8)[None, None], dropout=0.5)[0, 0, :, :4]
    assert set(out.unique().tolist()) == {0.0, 0.5}
    assert abs(out.mean().item() - 0.25) < 0.03


@pytest.mark.parametrize("function", [attend, attend_in_two_products])
def test_gradients_of_attention_are_right(function):
    torch.manual_seed(0)
    inputs = [torch.randn(1, 2, n, 4, dtype=torch.float64, requires_grad=True) for n in (2, 3, 3)]
    assert torch.autograd.gradcheck(lambda *heads: function(*heads, scale=0.7), inputs)


@pytest.mark.parametrize("autocast", [True, False])
def test_attention_in_bf16_is_that_of_a_slow_loop_to_its_own_precision(autocast):
    q, k, v = (x.detach() for x in random_heads(torch.bfloat16))
    exact = slow_attention(*(x.double() for x in (q, k, v)), 0.25)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = attend(q, k, v)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.02)
