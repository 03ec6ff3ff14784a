"""Backbones of timm by name, and what FED takes from any backbone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fed_plugin.modeling.backbones import Features, TimmBackbone, as_features, facts_of_timm
from fed_plugin.modeling.parts import pool_rows


def test_features_come_from_maps_tokens_and_features():
    map_ = torch.randn(2, 5, 3, 4)
    grid, vector = as_features(map_)
    assert torch.equal(grid[1, 2, 3], map_[1, :, 2, 3]) and grid.shape == (2, 3, 4, 5)
    torch.testing.assert_close(vector, map_.mean(dim=(2, 3)))
    tokens = torch.randn(2, 1 + 6, 5)
    grid, vector = as_features(tokens)
    assert torch.equal(vector, tokens[:, 0]) and torch.equal(grid[:, 5, 0], tokens[:, 6])
    features = Features(grid, vector)
    assert as_features(features) is features
    with pytest.raises(ValueError, match=r"features of shape \(2, 5\): expected tokens"):
        as_features(torch.randn(2, 5))


# name, grid, channels, prefix tokens; images of 96 x 48 pixels
MODELS = [
    ("vit_tiny_patch16_224", (6, 3), 192, ("cls",)),
    ("deit_tiny_distilled_patch16_224", (6, 3), 192, ("cls", "dist")),
    ("vit_small_patch14_reg4_dinov2", (6, 3), 384, ("cls", *["register"] * 4)),
    ("vit_small_patch16_dinov3", (6, 3), 384, ("cls", *["register"] * 4)),
    ("vit_base_patch16_siglip_224", (6, 3), 768, ()),
    ("test_resnet", (6, 3), 96, ()),
    ("test_efficientnet", (6, 3), 256, ()),
    ("test_convnext", (6, 3), 64, ()),
    ("swin_tiny_patch4_window7_224", (3, 2), 768, ()),
    ("mobilenetv3_small_050", (3, 2), 288, ()),
]


@pytest.mark.parametrize(("name", "grid", "channels", "prefix"), MODELS)
def test_shapes_are_read_from_the_model_without_its_weights(name, grid, channels, prefix):
    facts = facts_of_timm(name, (96, 48))
    assert (facts.grid, facts.channels, facts.vector_channels) == (grid, channels, channels)
    assert facts.has_tokens == bool(prefix)
    with torch.device("meta"):
        assert TimmBackbone(name, (96, 48)).prefix_tokens == prefix


def test_constants_are_those_of_the_published_weights():
    assert facts_of_timm("vit_tiny_patch16_224", (96, 48)).pixel_mean == (127.5,) * 3
    deit = facts_of_timm("deit_tiny_patch16_224", (96, 48))
    assert deit.pixel_mean == pytest.approx((123.675, 116.28, 103.53))
    assert deit.pixel_std == pytest.approx((58.395, 57.12, 57.375))


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_efficientnet"])
def test_the_grid_is_in_reading_order(name):
    torch.manual_seed(0)
    model = TimmBackbone(name, (64, 64)).eval()
    images = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        plain = model(images).grid
        images[:, :, 16:32, 48:] = 5.0  # row 1, column 3
        changed = (model(images).grid - plain).abs().sum(dim=3)[0]
    assert plain.shape[1:3] == (4, 4) and divmod(int(changed.argmax()), 4) == (1, 3)


def test_a_smaller_stride_overlaps_the_patches_of_any_vit():
    for name in ("test_vit", "vit_small_patch16_dinov3"):
        assert facts_of_timm(name, (64, 32), (8, 12)).grid == (7, 2)


def test_the_vector_is_the_cls_token_the_attention_pool_or_the_mean():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 64)
    for name in ("test_vit", "test_vit2", "test_vit3", "test_convnext"):
        model = TimmBackbone(name, (64, 64)).eval()
        with torch.no_grad():
            encoded = model.model.forward_features(images)
            expected = model.model.forward_head(encoded, pre_logits=True)
            if encoded.ndim == 4:
                expected = encoded.mean(dim=(2, 3))
            torch.testing.assert_close(model(images).vector, expected)


def test_every_weight_that_learns_gets_a_gradient():
    for name in ("test_vit3", "mobilenetv3_small_050", "test_efficientnet"):
        model = TimmBackbone(name, (64, 32)).train()
        sum(x.square().sum() for x in model(torch.randn(4, 3, 64, 32))).backward()
        learning = {n: p.grad is not None for n, p in model.named_parameters() if p.requires_grad}
        assert learning and all(learning.values()), name


def test_a_forward_pass_in_evaluation_teaches_batchnorm_nothing():
    torch.manual_seed(0)
    model = TimmBackbone("test_resnet", (64, 32))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert model.training and norms and not any(int(norm.num_batches_tracked) for norm in norms)


def test_recomputed_activations_give_the_same_gradients():
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = TimmBackbone("test_vit", (64, 32), drop_path=0.3, recompute=recompute).train()
        images = torch.randn(2, 3, 64, 32)
        model(images).grid.square().sum().backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(map(torch.equal, *gradients))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resnet19", (64, 32)), "name='resnet19': timm has no such model; .* try "),
        (("test_vit", (8, 8)), r"img_size=\(8, 8\)"),
        (("test_vit", (64, 32), (32, 32)), "would leave gaps"),
        (("mobilenetv3_small_050", (64, 32), (16, 16)), r"cells of \(32, 32\) pixels; try"),
        (("ghostnet_100", (64, 32), (16, 16)), "has no output stride of 16; expected 32"),
    ],
)
def test_what_a_model_cannot_do_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TimmBackbone(*arguments)


def slow_rows(grid, num_parts):
    """Cut a row into a hundred strips and average the strips of a part."""
    strips = grid.repeat_interleave(100, dim=1)
    return torch.stack([part.mean(dim=(1, 2)) for part in strips.chunk(num_parts, dim=1)], dim=1)


@pytest.mark.parametrize(("rows", "parts"), [(5, 4), (6, 4), (7, 2), (18, 4), (8, 4)])
def test_adaptive_parts_weight_rows_by_their_area(rows, parts):
    grid = torch.randn(2, rows, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(pool_rows(grid, parts, "adaptive"), slow_rows(grid, parts))


@pytest.mark.parametrize("rows", ["whole", "adaptive"])
def test_parts_that_are_no_rows_are_refused(rows):
    if rows == "whole":  # 20 cells, of which 4 parts would be 5 cells each, across rows
        with pytest.raises(ValueError, match=r"num_parts=4: .* the 5 rows .*5 x 4"):
            pool_rows(torch.zeros(1, 5, 4, 2), 4)
    with pytest.raises(ValueError, match="num_parts=6: expected a divisor of the 5 rows"):
        pool_rows(torch.zeros(1, 5, 4, 2), 6, rows)


@pytest.mark.parametrize("name", ["test_vit", "vit_small_patch16_dinov3"])
def test_patches_are_projected_in_fp32_under_autocast(name):
    model, seen = TimmBackbone(name, (64, 32)), []
    for module in (model.model.patch_embed.proj, model.model.blocks[0].attn.proj):
        module.register_forward_hook(lambda module, inputs, out: seen.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        model(torch.randn(2, 3, 64, 32))
    assert seen == [torch.float32, torch.bfloat16]
