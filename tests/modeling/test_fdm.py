"""FDM against a slow loop written from docs/method.md, in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fed_plugin.modeling import FeatureDiffusionModule
from fed_plugin.modeling.fdm import HEAD_LAYOUTS, NeighborAttention, project_all, project_distinct

B, P, C, K, HEADS, M = 6, 2, 8, 3, 4, 9
D = P * C


def random_fdm(**options):
    torch.manual_seed(0)
    fdm = FeatureDiffusionModule(P, C, num_neighbors=K, num_heads=HEADS, **options).double()
    for parameter in fdm.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return fdm


def random_inputs():
    torch.manual_seed(1)
    z = torch.randn(B, D, dtype=torch.float64)
    visibility = torch.rand(B, P, dtype=torch.float64)
    slots = F.normalize(torch.randn(M, D, dtype=torch.float64), dim=-1)
    nearest = torch.stack([torch.randperm(M)[:K] for _ in range(B)])  # samples share some
    return z, visibility, slots, nearest


def slow_feed_forward(x, ffn):
    x = F.layer_norm(x, (C,), ffn.norm.weight, ffn.norm.bias, eps=1e-5)
    x = ffn.expand.weight @ x + ffn.expand.bias
    value, gate = x[: 4 * C], x[4 * C :]
    return ffn.contract.weight @ (value * F.gelu(gate)) + ffn.contract.bias


def slow_fdm(fdm, z, visibility, slots, nearest, scale, head_layout):
    attention, d = fdm.attention, D // HEADS
    chunks = []  # in the order of (heads, B)
    for head in range(HEADS):
        for b in range(B):
            cut = slice(head * d, (head + 1) * d)
            query = (attention.q.weight @ z[b])[cut]
            projected = [attention.kv.weight @ slots[n] for n in nearest[b]]
            keys = torch.stack([p[:D][cut] for p in projected])
            values = torch.stack([p[D:][cut] for p in projected])
            chunks.append(torch.softmax(keys @ query * scale, dim=0) @ values)
    result = torch.empty_like(z)
    for b in range(B):
        if head_layout == "reference":
            joined = torch.cat(chunks[HEADS * b : HEADS * (b + 1)])
        else:
            joined = torch.cat([chunks[head * B + b] for head in range(HEADS)])
        o = attention.proj.weight @ joined + attention.proj.bias
        for i in range(P):
            part = slice(i * C, (i + 1) * C)
            h = slow_feed_forward(o[part], fdm.ffn_neighbors)
            result[b, part] = slow_feed_forward(visibility[b, i] * h + z[b, part], fdm.ffn_fused)
    return result


@pytest.mark.parametrize("head_layout", ["reference", "per_sample"])
@pytest.mark.parametrize(
    ("scale", "factor"), [("part", (C / HEADS) ** -0.5), ("head", (D / HEADS) ** -0.5)]
)
def test_diffusion_equals_a_slow_loop(scale, factor, head_layout):
    fdm, inputs = random_fdm(scale=scale, head_layout=head_layout), random_inputs()
    expected = slow_fdm(fdm, *inputs, factor, head_layout)
    torch.testing.assert_close(fdm(*inputs), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("head_layout", HEAD_LAYOUTS)
def test_two_views_at_once_are_each_what_it_is_alone(head_layout):
    fdm, holistic = random_fdm(head_layout=head_layout), random_inputs()
    z, visibility, slots, nearest = holistic
    occluded = (-z.flip(0), visibility.flip(0), slots, nearest.flip(0))
    expected = torch.stack([fdm(*holistic), fdm(*occluded)])
    z, visibility, _, nearest = map(torch.stack, zip(holistic, occluded, strict=True))
    found = fdm(z, visibility, slots, nearest)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_the_reference_layout_mixes_samples_and_per_sample_does_not():
    z, visibility, slots, nearest = random_inputs()
    for head_layout, others_change in (("reference", True), ("per_sample", False)):
        fdm = random_fdm(head_layout=head_layout)
        before = fdm(z, visibility, slots, nearest)
        touched = nearest.clone()
        touched[0] = (touched[0] + 1) % M
        changed = (fdm(z, visibility, slots, touched) - before).abs().amax(dim=1) > 1e-9
        assert bool(changed[1:].any()) is others_change


def test_gradients_flow_through_feature_and_visibility():
    z, visibility, slots, nearest = random_inputs()
    fdm = random_fdm()
    assert torch.autograd.gradcheck(
        lambda z, s: fdm(z, s, slots, nearest), (z.requires_grad_(), visibility.requires_grad_())
    )


def test_a_slot_that_many_attend_to_gets_the_gradient_of_all():
    z, visibility, slots, nearest = random_inputs()
    fdm = random_fdm()
    weight = fdm.attention.kv.weight
    fdm(z, visibility, slots, nearest).square().sum().backward()
    found, weight.grad = weight.grad, None
    apart = slots[nearest].reshape(-1, D)  # every slot again for each who attends to it
    fdm(z, visibility, apart, torch.arange(B * K).reshape(B, K)).square().sum().backward()
    torch.testing.assert_close(found, weight.grad)


def test_without_visibility_neighbors_do_not_matter():
    z, visibility, slots, nearest = random_inputs()
    fdm, nothing = random_fdm(), torch.zeros_like(visibility)
    expected = fdm(z, nothing, slots, nearest)
    torch.testing.assert_close(fdm(z, nothing, -slots, nearest), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "width"}, r"^scale='width': expected one of part, head"),
        ({"head_layout": "x"}, r"^head_layout='x': expected one of reference, per"),
    ],
)
def test_an_unknown_option_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        random_fdm(**options)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"num_heads=3: expected a divisor of the 16 channels of 2"
    ):
        FeatureDiffusionModule(P, C, num_heads=3)


@pytest.mark.parametrize("head_layout", HEAD_LAYOUTS)
def test_weights_are_those_that_attention_takes(head_layout):
    torch.manual_seed(3)
    attention = NeighborAttention(8, 2, 4, "part", head_layout).double()
    query, slots = torch.randn(3, 8).double(), torch.randn(6, 8).double()
    nearest = torch.tensor([[0, 1, 2, 3, 4], [5, 4, 3, 2, 1], [0, 5, 1, 4, 2]])
    weights = attention.weights(query, slots, nearest)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, 4).double())
    values = attention.kv(slots[nearest])[..., 8:].reshape(3, 5, 4, 2)
    mixed = torch.einsum("bhk,bkhe->bhe", weights, values)
    if head_layout == "reference":
        mixed = mixed.transpose(0, 1)
    expected = attention.proj(mixed.reshape(3, 8))
    torch.testing.assert_close(attention(query, slots, nearest), expected)


def test_distinct_neighbors_are_projected_as_all_are():
    _, _, slots, nearest = random_inputs()
    kv = random_fdm().attention.kv
    assert len(nearest.unique()) < nearest.numel()
    ends = []
    for project in (project_all, project_distinct):
        kv.zero_grad()
        found = project(kv, slots, nearest)
        found.square().sum().backward()
        ends.append((found.detach(), kv.weight.grad.clone()))
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)
