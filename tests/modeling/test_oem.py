"""OEM and per-part layers against slow loops in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fed_plugin.modeling import OcclusionErasingModule
from fed_plugin.modeling.parts import PartLayerNorm, PartLinear, pool_parts


def random_oem(num_parts=3, embed_dim=8):
    torch.manual_seed(0)
    oem = OcclusionErasingModule(num_parts, embed_dim).double()
    for parameter in oem.parameters():
        torch.nn.init.normal_(parameter)
    return oem


def test_visibility_equals_the_formula_part_by_part():
    oem = random_oem()
    features = torch.randn(5, 3, 8, dtype=torch.float64)
    visibility, erased = oem(features)
    for i in range(3):
        hidden = F.linear(features[:, i], oem.reduce.weight[i], oem.reduce.bias[i])
        hidden = F.layer_norm(hidden, (2,), oem.norm.weight[i], oem.norm.bias[i], eps=1e-5)
        score = F.linear(hidden, oem.score.weight[i], oem.score.bias[i]).squeeze(1)
        torch.testing.assert_close(visibility[:, i], torch.sigmoid(score))
        torch.testing.assert_close(erased[:, i], torch.sigmoid(score)[:, None] * features[:, i])


def test_parts_do_not_share_weights():
    oem = random_oem()
    features = torch.randn(2, 3, 8, dtype=torch.float64)
    before = oem(features)[0]
    with torch.no_grad():
        oem.score.bias[1] += 1
    changed = (oem(features)[0] != before).any(dim=0)
    assert changed.tolist() == [False, True, False]


def test_gradients_flow_through_visibility_and_feature():
    oem = random_oem()
    features = torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(oem, (features,))


def test_one_image_is_enough():
    visibility, erased = random_oem()(torch.randn(1, 3, 8, dtype=torch.float64))
    assert visibility.shape == (1, 3) and erased.shape == (1, 3, 8)
    assert ((visibility > 0) & (visibility < 1)).all()


def test_stripes_are_means_over_rows_of_the_grid():
    rows, columns = 8, 2
    patch_tokens = torch.arange(rows).repeat_interleave(columns)[None, :, None].double()
    assert pool_parts(patch_tokens, 4).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]
    torch.testing.assert_close(
        pool_parts(patch_tokens, 2),
        F.adaptive_avg_pool1d(patch_tokens.transpose(1, 2), 2).transpose(1, 2),
    )


def test_parts_that_do_not_divide_the_tokens_are_refused():
    with pytest.raises(ValueError, match=r"num_parts=3: expected a divisor of the 16 patch tokens"):
        pool_parts(torch.zeros(1, 16, 4), 3)


def test_part_layers_start_like_their_plain_counterparts():
    torch.manual_seed(0)
    weight, norm = PartLinear(200, 16, 4).weight.detach(), PartLayerNorm(2, 16)
    assert weight.abs().max() <= 0.25
    assert weight.std().item() == pytest.approx(0.25 / 3**0.5, rel=0.05)
    features = torch.randn(3, 2, 16)
    torch.testing.assert_close(norm(features), F.layer_norm(features, (16,)))
