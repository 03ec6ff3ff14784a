"""The token ViT: shapes, stochastic depth, and other people's weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fed_plugin.modeling import VIT_PRESETS, TokenViT
from fed_plugin.modeling.checkpoints import load_pretrained, resize_position_embedding
from fed_plugin.modeling.vit import ViTSize

SMALL = ViTSize(num_layers=2, embed_dim=16, num_heads=2, patch_size=8)


def small_vit(img_size=(32, 16), **options):
    torch.manual_seed(0)
    return TokenViT(img_size, SMALL, stride=(8, 8), **options)


def test_tokens_and_cls_are_views_of_the_same_computation():
    images = torch.randn(2, 3, 32, 16)
    tokens = small_vit().eval()(images)
    cls = small_vit(output="cls").eval()(images)
    assert tokens.shape == (2, 1 + 4 * 2, 16) and cls.shape == (2, 16, 1, 1)
    assert torch.equal(tokens[:, 0], cls[:, :, 0, 0])


def test_a_smaller_stride_overlaps_the_patches():
    vit = TokenViT((32, 16), SMALL, stride=(4, 8))
    assert vit.grid == (7, 2) and vit(torch.zeros(1, 3, 32, 16)).shape == (1, 15, 16)


def test_attention_equals_a_slow_loop():
    vit = small_vit().double().eval()
    attention, x = vit.blocks[0].attn, torch.randn(2, 5, 16, dtype=torch.float64)
    q, k, v = attention.qkv(x).split(16, dim=-1)
    heads = [
        F.softmax(q[..., c] @ k[..., c].transpose(1, 2) / 8**0.5, dim=-1) @ v[..., c]
        for c in (slice(0, 8), slice(8, 16))
    ]
    torch.testing.assert_close(attention(x), attention.proj(torch.cat(heads, dim=-1)))


def test_presets_have_the_widths_that_timm_gives_them():
    sizes = {name: (s.num_layers, s.embed_dim, s.num_heads) for name, s in VIT_PRESETS.items()}
    assert sizes == {"base": (12, 768, 12), "small": (12, 384, 6), "tiny": (12, 192, 3)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"output": "all"}, "output='all': expected one of tokens, cls"),
        ({"img_size": (4, 16)}, "smaller than a patch"),
        ({"size": ViTSize(1, 15, 2)}, "embed_dim=15 is not divisible by num_heads=2"),
    ],
)
def test_impossible_shapes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TokenViT(**{"img_size": (32, 16), "size": SMALL, "stride": (8, 8), **arguments})


def test_images_of_another_size_are_refused_with_the_keys():
    with pytest.raises(
        ValueError, match=r"images are \(16, 16\), expected \(32, 16\): the position"
    ):
        small_vit()(torch.zeros(1, 3, 16, 16))


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict"])
def test_timm_named_weights_load_with_or_without_a_wrapper(tmp_path, wrapper):
    donor, path = small_vit(), tmp_path / "vit.pth"
    torch.nn.init.normal_(donor.pos_embed)
    weights = {
        **donor.state_dict(),
        "head.weight": torch.zeros(10, 16),
        "head.bias": torch.zeros(10),
    }
    torch.save({wrapper: weights} if wrapper else weights, path)
    torch.manual_seed(9)
    vit = TokenViT((32, 16), SMALL, stride=(8, 8))
    load_pretrained(vit, str(path))
    for name, value in vit.state_dict().items():
        assert torch.equal(value, donor.state_dict()[name]), name


@pytest.mark.parametrize(
    ("source", "grid"), [((4, 4), (6, 3)), ((6, 3), (4, 4)), ((6, 3), (3, 6)), ((8, 4), (16, 8))]
)
def test_position_embeddings_are_resized_bilinearly_between_any_grids(source, grid):
    embedding = torch.randn(1, 1 + source[0] * source[1], 5)
    resized = resize_position_embedding(embedding, grid, source)
    image = embedding[:, 1:].transpose(1, 2).reshape(1, 5, *source)
    expected = F.interpolate(image, grid, mode="bilinear").flatten(2).transpose(1, 2)
    assert torch.equal(resized[:, :1], embedding[:, :1])
    torch.testing.assert_close(resized[:, 1:], expected)


def test_the_source_grid_is_a_square_or_the_one_upright_grid_of_the_model():
    square = torch.randn(1, 1 + 16, 3)
    torch.testing.assert_close(
        resize_position_embedding(square, (8, 4)), resize_position_embedding(square, (8, 4), (4, 4))
    )
    embedding = torch.randn(1, 1 + 32, 1)
    assert resize_position_embedding(embedding, (8, 4)) is embedding
    with pytest.raises(ValueError, match=r"^source_grid=\(0, 0\).*no square grid fits"):
        resize_position_embedding(embedding, (16, 8))


def test_a_grid_that_does_not_hold_the_tokens_is_refused():
    with pytest.raises(ValueError, match=r"^source_grid=\(3, 3\).*holds 32 position embeddings"):
        resize_position_embedding(torch.zeros(1, 33, 4), (16, 8), (3, 3), "vit.pth")


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"'gone.pth'"):
        load_pretrained(small_vit(), "gone.pth")


def test_a_file_that_is_no_checkpoint_names_the_argument_and_the_file(tmp_path):
    path = tmp_path / "noise.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"^path='.*noise.pth': not a PyTorch checkpoint"):
        load_pretrained(small_vit(), str(path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm.weight": torch.zeros(3)}, r"norm.weight is \(3,\), expected \(16,\)"),
        ({"blocks.2.norm1.weight": torch.zeros(16)}, r"unknown \['blocks.2.norm1.weight'\]"),
        ({"cls_token": None}, r"missing \['cls_token'\]"),
    ],
)
def test_weights_of_another_vit_name_what_does_not_fit(tmp_path, change, message):
    weights = {**small_vit().state_dict(), **change}
    path = tmp_path / "other.pth"
    torch.save({name: value for name, value in weights.items() if value is not None}, path)
    with pytest.raises(ValueError, match=message):
        load_pretrained(small_vit(), str(path))


def test_recomputed_activations_give_the_same_gradients_and_draw_the_same_paths():
    images, gradients = torch.randn(4, 3, 32, 16), {}
    for recompute in (False, True):
        vit = small_vit(drop_path=0.5, drop=0.1, recompute=recompute).train()
        torch.manual_seed(1)
        vit(images).square().sum().backward()
        gradients[recompute] = {name: p.grad for name, p in vit.named_parameters()}
        gradients[recompute]["draws after"] = torch.rand(3)
    for name, gradient in gradients[False].items():
        assert torch.equal(gradients[True][name], gradient), name


def test_recomputing_keeps_fewer_tensors_until_the_backward_pass():
    kept = {}
    for recompute in (False, True):
        sizes = []
        vit = small_vit(recompute=recompute).train()
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x
        ):
            vit(torch.randn(2, 3, 32, 16))
        kept[recompute] = sum(sizes)
    assert kept[True] < kept[False] / 2
