"""What the loader refuses, resizes, keeps and reports."""

from __future__ import annotations

import json
import logging

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import QuickGELU, resample_abs_pos_embed
from timm.models import VisionTransformer
from torch import nn

from fed_plugin.modeling import timm_variants, weight_loading  # noqa: F401 - registers models
from fed_plugin.modeling.weight_files import Traced, WeightFile, read_weight_file
from fed_plugin.modeling.weight_loading import describe_weights, load_weights, plan_weights

PATCH, WIDTH = 8, 8


def vit(rows=8, columns=4, patch=PATCH, seed=0, **options):
    torch.manual_seed(seed)
    return VisionTransformer(
        img_size=(rows * patch, columns * patch), patch_size=patch, embed_dim=WIDTH, depth=1,
        num_heads=2, num_classes=0, **options,
    )  # fmt: skip


def saved(tmp_path, content):
    torch.save(content, tmp_path / "file.pth")
    return str(tmp_path / "file.pth")


def prefixed(prefix, model):
    return {prefix + name: tensor for name, tensor in model.state_dict().items()}


# Grids.


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        ((24, 8), (16, 8), "no square grid fits"),  # became 16x12
        ((16, 8), (16, 16), "no square grid fits"),  # was read as 8x16
        ((24, 8), (16, 12), "no square grid fits"),  # the same number, 24x8 is upright too
        ((16, 8), (8, 16), "no square grid fits"),
        ((12, 8), (16, 8), "no square grid fits"),
        ((8, 8), (16, 4), "more than one grid fits"),  # a square, and as the model
    ],
)
def test_a_grid_that_is_not_known_is_refused(tmp_path, source, target, why):
    path = saved(tmp_path, vit(*source).state_dict())
    model = vit(*target, seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"^source_grid=\(0, 0\): .*{why}.*\(16, 8\)"):
        load_weights(model, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_a_given_grid_is_taken_and_resized(tmp_path, interpolation):
    donor, model = vit(24, 8), vit(16, 8, seed=1)
    path = saved(tmp_path, donor.state_dict())
    report = load_weights(model, path, source_grid=(24, 8), interpolation=interpolation)
    expected = resample_abs_pos_embed(
        donor.pos_embed, [16, 8], [24, 8], interpolation=interpolation,
        antialias=interpolation == "bicubic",
    )  # fmt: skip
    torch.testing.assert_close(model.pos_embed, expected)
    (row,) = (row for row in report.rows if row.action == "resized")
    assert (row.tensor, row.detail) == ("pos_embed", "grid 24x8 -> 16x8")


def test_a_given_grid_that_does_not_hold_the_positions_is_refused(tmp_path):
    path = saved(tmp_path, vit(24, 8).state_dict())
    with pytest.raises(ValueError, match=r"^source_grid=\(16, 8\): .*holds 192 position embedd"):
        load_weights(vit(), path, source_grid=(16, 8))


def test_a_given_grid_wins_over_a_square(tmp_path):
    donor = vit(8, 2)
    model = vit(8, 4, seed=1)
    load_weights(model, saved(tmp_path, donor.state_dict()), source_grid=(8, 2))
    image = donor.pos_embed[:, 1:].reshape(1, 8, 2, WIDTH).permute(0, 3, 1, 2)
    resized = F.interpolate(image, (8, 4), mode="bicubic", antialias=True, align_corners=False)
    torch.testing.assert_close(model.pos_embed[:, 1:], resized.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("grid", [(16, 8), (24, 8), (21, 10), (22, 11), (31, 10)])
def test_an_upright_grid_that_is_the_models_is_taken(tmp_path, grid):
    donor, model = vit(*grid), vit(*grid, seed=1)
    assert load_weights(model, saved(tmp_path, donor.state_dict())).counts == {"loaded": 18}
    assert torch.equal(model.pos_embed, donor.pos_embed)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda m: {
            "teacher": {**prefixed("backbone.", m), "backbone.masked_embed": torch.ones(1, 8)}
        },
        lambda m: {"teacher": prefixed("module.backbone.", m)},
        lambda m: {"model": prefixed("mae.", m)},
    ],
)
def test_luperson_families_are_16x8(tmp_path, wrap):
    donor, model = vit(16, 8), vit(24, 8, seed=1)
    report = load_weights(model, saved(tmp_path, wrap(donor)))
    assert "grid 16x8 -> 24x8" in [row.detail for row in report.rows]
    expected = resample_abs_pos_embed(donor.pos_embed, [24, 8], [16, 8])
    torch.testing.assert_close(model.pos_embed, expected)


def test_a_fine_tuned_checkpoint_has_no_square_grid(tmp_path):
    path = saved(tmp_path, prefixed("base.", vit(16, 4)))  # 8x8 would be its number, too
    with pytest.raises(ValueError, match="no square grid fits"):
        load_weights(vit(16, 8), path)
    load_weights(vit(16, 4), path)
    load_weights(vit(16, 8), path, source_grid=(16, 4))


# Architecture.


def clip(act=QuickGELU, eps=1e-5):
    def norm(channels, **options):
        return nn.LayerNorm(channels, eps=eps, **options)

    return vit(pre_norm=True, act_layer=act, norm_layer=norm)


def clip_state():
    swaps = (
        ("patch_embed.proj", "conv1"), ("pos_embed", "positional_embedding"),
        ("cls_token", "class_embedding"), ("norm_pre", "ln_pre"), ("norm.", "ln_post."),
        ("blocks.", "transformer.resblocks."), ("norm1", "ln_1"), ("norm2", "ln_2"),
        ("attn.qkv.", "attn.in_proj_"), ("attn.proj", "attn.out_proj"), ("fc1", "c_fc"),
        ("fc2", "c_proj"),
    )  # fmt: skip
    state = {}
    for name, tensor in clip().state_dict().items():
        for ours, theirs in swaps:
            name = name.replace(ours, theirs)
        flat = {"class_embedding": (WIDTH,), "positional_embedding": (-1, WIDTH)}
        state[f"visual.{name}"] = tensor.reshape(flat.get(name, tensor.shape))
    return state


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: vit(), "the model has GELU, expected QuickGELU; activation='gelu' takes"),
        (lambda: clip(act=nn.GELU), "the model has GELU, expected QuickGELU"),
        (lambda: clip(eps=1e-6), "LayerNorms have eps 1e-06, expected 1e-05"),
    ],
)
def test_clip_in_another_vit_is_refused(tmp_path, model, message):
    path = saved(tmp_path, clip_state())
    load_weights(clip(), path)
    with pytest.raises(ValueError, match=f"weights of CLIP, but .*{message}"):
        load_weights(model(), path)


def test_other_weights_in_a_clip_are_refused(tmp_path):
    path = saved(tmp_path, vit().state_dict())
    with pytest.raises(ValueError, match="the model has QuickGELU, expected GELU"):
        load_weights(clip(), path)
    with pytest.raises(ValueError, match="eps 1e-05, expected 1e-06"):
        load_weights(clip(act=nn.GELU), path)


def test_dinov3_in_a_vit_without_rotary_positions_is_refused(tmp_path):
    state = {**vit().state_dict(), "storage_tokens": torch.zeros(1, 4, WIDTH)}
    with pytest.raises(ValueError, match=r"expected a Eva; try .*vit_base_patch16_dinov3"):
        load_weights(vit(), saved(tmp_path, state))


def test_patches_of_another_size_need_to_be_asked_for(tmp_path):
    donor, model = vit(patch=14), vit(patch=16, seed=1)
    path = saved(tmp_path, donor.state_dict())
    with pytest.raises(ValueError, match=r"^resample_patch=False: .*patches of 14.*of 16"):
        load_weights(model, path)
    report = load_weights(model, path, resample_patch=True)
    assert "patch 14 -> 16" in [row.detail for row in report.rows]


def test_registers_that_the_model_does_not_have_are_refused(tmp_path):
    state = {**vit().state_dict(), "register_tokens": torch.zeros(1, 4, WIDTH)}
    with pytest.raises(ValueError, match=r"unknown \['register_tokens'\]"):
        load_weights(vit(), saved(tmp_path, state))
    with pytest.raises(ValueError, match=r"missing \['reg_token'\]"):
        load_weights(vit(reg_tokens=4, no_embed_class=True), saved(tmp_path, vit().state_dict()))


# Constants.

HALF = ((127.5,) * 3, (127.5,) * 3)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_other_constants_are_refused_unless_asked(tmp_path):
    path = saved(tmp_path, {"teacher": prefixed("backbone.", vit())})  # DINO: ImageNet's
    with pytest.raises(ValueError, match=r"^pixels=.*\(DINO\) were trained with .*'auto'.*'reid'"):
        load_weights(vit(), path, pixels=HALF)
    assert load_weights(vit(), path, pixels=IMAGENET).pixel_mean == IMAGENET[0]
    report = load_weights(vit(), path)
    assert (report.pixel_mean, report.pixel_std) == IMAGENET
    report = load_weights(vit(), path, pixels="reid")
    assert (report.pixel_mean, report.pixel_std) == HALF
    with pytest.raises(ValueError, match="pixels='imagenet': expected 'auto', 'reid' or"):
        load_weights(vit(), path, pixels="imagenet")


def test_constants_that_no_key_tells_are_those_of_timms_model(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, depth=1)
    path = saved(tmp_path, model.state_dict())
    assert load_weights(model, path).pixel_mean == HALF[0]
    assert load_weights(model, path, pixels=IMAGENET).pixel_mean == IMAGENET[0]
    assert load_weights(vit(), saved(tmp_path, vit().state_dict())).pixel_mean is None


# Reports.


def test_a_deeper_source_is_unknown_and_a_shallower_one_missing(tmp_path):
    deep = {**vit().state_dict(), "blocks.1.norm1.weight": torch.zeros(WIDTH)}
    with pytest.raises(ValueError, match=r"unknown \['blocks.1.norm1.weight'\] \(1 in all\)"):
        load_weights(vit(), saved(tmp_path, deep))
    state = clip_state()
    state["visual.transformer.resblocks.1.ln_1.weight"] = torch.zeros(WIDTH)  # no text tower
    with pytest.raises(ValueError, match=r"unknown \['visual.transformer.resblocks.1.ln_1"):
        load_weights(clip(), saved(tmp_path, state))
    del deep["norm.bias"], deep["blocks.1.norm1.weight"]
    with pytest.raises(ValueError, match=r"missing \['norm.bias'\] \(1 in all\)"):
        load_weights(vit(), saved(tmp_path, deep))


def test_names_with_the_letters_of_head_or_dist_are_not_dropped(tmp_path):
    state = {**vit().state_dict(), "overhead.weight": torch.zeros(3), "distance": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"unknown \['overhead.weight', 'distance'\]"):
        load_weights(vit(), saved(tmp_path, state))


def test_another_width_names_both_shapes(tmp_path):
    state = {**vit().state_dict(), "norm.weight": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"norm.weight is \(3,\), expected \(8,\)"):
        load_weights(vit(), saved(tmp_path, state))


def test_table_and_json_show_every_tensor(tmp_path, caplog):
    state = {**vit().state_dict(), "head.weight": torch.zeros(5, WIDTH)}
    logging.getLogger("fastreid").propagate = True
    with caplog.at_level(logging.INFO, logger="fastreid.fed_plugin.weights"):
        report = load_weights(vit(), saved(tmp_path, {"state_dict": state}))
    content = json.loads(json.dumps(report.as_json()))
    assert {row["tensor"] for row in content["rows"]} == set(state)
    assert content["counts"] == {"loaded": 18, "dropped": 1}
    assert content["wrappers"] == ["state_dict"]
    assert "dropped     1 x head.weight  (classifier of the source)" in report.table()
    assert report.table() in caplog.text


def test_a_plan_needs_no_memory_for_the_model(tmp_path):
    path = saved(tmp_path, vit().state_dict())
    with torch.device("meta"):
        model = vit()
    report, weights = plan_weights(model, path)
    assert report.counts == {"loaded": 18} and not weights["norm.weight"].is_meta


def test_keep_takes_known_words_alone(tmp_path):
    with pytest.raises(ValueError, match=r"keep=\('camera',\): expected some of sie, heads"):
        load_weights(vit(), saved(tmp_path, vit().state_dict()), keep=("camera",))


def test_windows_of_another_size_are_resized(tmp_path):
    def swin(window):
        torch.manual_seed(window)
        return timm.models.SwinTransformer(
            img_size=64, embed_dim=8, depths=(2,), num_heads=(1,), num_classes=0, window_size=window
        )

    report = load_weights(swin(8), saved(tmp_path, swin(4).state_dict()))
    assert report.counts["resized"] == 2
    assert "(49, 1) -> (225, 1)" in [row.detail for row in report.rows]


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "eva02_tiny_patch14_224",
        "vit_small_patch16_dinov3", "vit_small_patch16_rope_ape_224", "swinv2_tiny_window8_256",
        "vit_pe_core_tiny_patch16_384", "vit_small_patch16_parts", "solider_swin_tiny",
        "mobilenetv4_conv_small", "tf_efficientnet_lite0",
    ],
)  # fmt: skip
def test_models_of_timm_take_their_own_weights(name, monkeypatch):
    with torch.device("meta"):
        model, source = timm.create_model(name, num_classes=0), timm.create_model(name)
    state = {k: Traced.of(k, v) for k, v in source.state_dict().items()}
    monkeypatch.setattr(weight_loading, "read_weight_file", lambda *_: WeightFile(state, ()))
    report, weights = plan_weights(model, "x.pth")
    report.check()
    assert weights.keys() == model.state_dict().keys()


# Files.


def test_a_student_is_taken_if_asked(tmp_path):
    path = saved(tmp_path, {"student": vit().state_dict()})
    with pytest.raises(ValueError, match=r"holds no tensors.*wrapper='student' would take"):
        load_weights(vit(), path)
    assert load_weights(vit(), path, wrapper="student").wrappers == ("student",)
    with pytest.raises(ValueError, match=r"wrapper='teacher': .* has no such entry"):
        load_weights(vit(), path, wrapper="teacher")


def test_files_that_hold_no_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.pth.*no such file"):
        read_weight_file(tmp_path / "gone.pth")
    with pytest.raises(ValueError, match="holds a list, expected a state dict"):
        read_weight_file(saved(tmp_path, [1]))
    for name in ("noise.pth", "noise.npz", "noise.safetensors", "noise.bin"):
        (tmp_path / name).write_bytes(b"noise")
        with pytest.raises(ValueError, match=f"{name}'.*not a PyTorch checkpoint of tensors"):
            read_weight_file(tmp_path / name)


def test_description_of_a_file(tmp_path):
    path = saved(tmp_path, {"teacher": prefixed("module.backbone.", vit(16, 8))})
    about = json.loads(json.dumps(describe_weights(path)))
    assert about["layout"] == "TransReID-SSL" and about["grid"] == [16, 8]
    assert about["wrappers"] == ["teacher"] and about["prefixes"] == ["module.", "backbone."]
    assert about["positions"] == [1, 129, WIDTH] and about["kernel"] == PATCH
    assert describe_weights(saved(tmp_path, vit(24, 8).state_dict()))["grid"] is None
