"""Every published layout: a random model of it, in its wrapper, gives its features in timm's model.

The source models are written here in plain torch from the descriptions of the layouts: names of
the file, order of tokens, activations, rotary positions, windows.
"""

from __future__ import annotations

import argparse
import math
import zipfile

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models import Eva, VisionTransformer
from timm.models.deit import VisionTransformerDistilled
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from fed_plugin.modeling import timm_variants
from fed_plugin.modeling.checkpoints import in_host_layout, is_fine_tuned
from fed_plugin.modeling.weight_loading import load_weights

WIDTH, DEPTH, HEADS, PATCH = 16, 2, 2, 8
IMAGES = torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(7))
GRID = (8, 4)


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


TIMM = {
    "patch": "patch_embed.proj", "cls": "cls_token", "pos": "pos_embed", "norm": "norm",
    "norm1": "blocks.{}.norm1", "norm2": "blocks.{}.norm2", "qkv": "blocks.{}.attn.qkv",
    "proj": "blocks.{}.attn.proj", "fc1": "blocks.{}.mlp.fc1", "fc2": "blocks.{}.mlp.fc2",
}  # fmt: skip
CLIP = {
    "patch": "conv1", "cls": "class_embedding", "pos": "positional_embedding", "norm": "ln_post",
    "pre": "ln_pre", **{f"norm{i}": f"transformer.resblocks.{{}}.ln_{i}" for i in (1, 2)},
    "qkv": "transformer.resblocks.{}.attn.in_proj_",
    "proj": "transformer.resblocks.{}.attn.out_proj",
    "fc1": "transformer.resblocks.{}.mlp.c_fc", "fc2": "transformer.resblocks.{}.mlp.c_proj",
}  # fmt: skip
_HF, _HFA = "encoder.layer.{}.", "encoder.layer.{}.attention."
HF_VIT = {
    "patch": "embeddings.patch_embeddings.projection", "cls": "embeddings.cls_token",
    "pos": "embeddings.position_embeddings", "norm": "layernorm",
    "norm1": _HF + "layernorm_before", "norm2": _HF + "layernorm_after",
    "q": _HFA + "attention.query", "k": _HFA + "attention.key", "v": _HFA + "attention.value",
    "proj": _HFA + "output.dense", "fc1": _HF + "intermediate.dense", "fc2": _HF + "output.dense",
}  # fmt: skip
HF_DINOV2 = {
    **HF_VIT, "norm1": _HF + "norm1", "norm2": _HF + "norm2", "fc1": _HF + "mlp.fc1",
    "fc2": _HF + "mlp.fc2", "scale1": _HF + "layer_scale1.lambda1",
    "scale2": _HF + "layer_scale2.lambda1", "registers": "embeddings.register_tokens",
}  # fmt: skip
_HFC = "encoder.layers.{}."
HF_CLIP = {
    "patch": "embeddings.patch_embedding", "cls": "embeddings.class_embedding",
    "pos": "embeddings.position_embedding.weight", "norm": "post_layernorm",
    "pre": "pre_layrnorm", "norm1": _HFC + "layer_norm1", "norm2": _HFC + "layer_norm2",
    **{x: f"{_HFC}self_attn.{x}_proj" for x in "qkv"}, "proj": _HFC + "self_attn.out_proj",
    "fc1": _HFC + "mlp.fc1", "fc2": _HFC + "mlp.fc2",
}  # fmt: skip
HF_DINOV3 = {
    "patch": "embeddings.patch_embeddings", "cls": "embeddings.cls_token", "norm": "norm",
    "registers": "embeddings.register_tokens", "norm1": "layer.{}.norm1", "norm2": "layer.{}.norm2",
    **{x: f"layer.{{}}.attention.{x}_proj" for x in "qkv"}, "proj": "layer.{}.attention.o_proj",
    "fc1": "layer.{}.mlp.up_proj", "fc2": "layer.{}.mlp.down_proj",
    "scale1": "layer.{}.layer_scale1.lambda1", "scale2": "layer.{}.layer_scale2.lambda1",
}  # fmt: skip


class Source:
    """A random ViT by the names of its file, and its forward pass.

    ``prefix``: tokens before the patches that have positions, as many as ``pos`` holds of them.
    """

    def __init__(self, names, grid=GRID, eps=1e-6, act=F.gelu, pos_prefix=1, flat=False, **more):
        self.names, self.grid, self.eps, self.act, self.flat = names, grid, eps, act, flat
        self.pos_prefix, self.registers = pos_prefix, more.pop("registers", 0)
        self.rope, self.dist = more.pop("rope", None), more.pop("dist", False)
        self.stem, self.state = more.pop("stem", None), {}
        self.zero_qkv_bias = more.pop("zero_qkv_bias", False)
        assert not more
        C = WIDTH
        if "cls" in names:
            self.put(names["cls"], C) if flat else self.put(names["cls"], 1, 1, C)
        if self.dist:
            self.put("dist_token", 1, 1, C)
        if self.registers:
            self.put(names["registers"], 1, self.registers, C)
        if "pos" in names:
            length = grid[0] * grid[1] + pos_prefix
            self.put(names["pos"], *(() if flat else (1,)), length, C)
        if self.stem is None:
            self.put(names["patch"] + ".weight", C, 3, PATCH, PATCH)
            if "pre" not in names:
                self.put(names["patch"] + ".bias", C)
        for role in ("pre", "norm"):
            if role in names:
                self.linear(names[role], C)
        for n in range(DEPTH):
            for role, *shape in (
                ("norm1", C), ("norm2", C), ("qkv", 3 * C, C), ("q", C, C), ("k", C, C),
                ("v", C, C), ("proj", C, C), ("fc1", 4 * C, C), ("fc2", C, 4 * C),
            ):  # fmt: skip
                if role in names:
                    self.linear(names[role].format(n), *shape)
            for role in ("scale1", "scale2"):
                if role in names:
                    self.put(names[role].format(n), C)

    def put(self, name, *shape):
        noise = 0.3 * torch.randn(*shape) + (1.0 if "norm" in name and "weight" in name else 0)
        self.state[name] = noise
        return noise

    def linear(self, name, *shape):
        joint = "" if name.endswith("_") else "."
        self.put(f"{name}{joint}weight", *shape)
        if self.zero_qkv_bias and "qkv" in name:
            self.state[f"{name}{joint}bias"] = torch.zeros(shape[0])
        else:
            self.put(f"{name}{joint}bias", shape[0])

    def get(self, role, n=None, kind="weight"):
        name = self.names[role].format(n)
        return self.state.get(name + ("" if name.endswith("_") else ".") + kind)

    def normed(self, x, role, n=None):
        return F.layer_norm(x, (WIDTH,), self.get(role, n), self.get(role, n, "bias"), self.eps)

    def mapped(self, x, role, n):
        return F.linear(x, self.get(role, n), self.get(role, n, "bias"))

    def attend(self, x, n):
        if "qkv" in self.names:
            qkv = self.mapped(x, "qkv", n).split(WIDTH, dim=-1)
        else:
            qkv = [self.mapped(x, role, n) for role in "qkv"]
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in qkv)
        if self.rope:
            first = x.shape[1] - self.grid[0] * self.grid[1]
            q, k = (torch.cat((t[:, :, :first], self.rope(t[:, :, first:])), 2) for t in (q, k))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH / HEADS)).softmax(-1)
        return self.mapped((weights @ v).transpose(1, 2).flatten(2), "proj", n)

    def mlp(self, x, n):
        return self.mapped(self.act(self.mapped(x, "fc1", n)), "fc2", n)

    def embed(self, images):
        """Tokens before the first block."""
        if self.stem is not None:
            x = self.stem(images)
        else:
            x = F.conv2d(images, self.get("patch"), self.get("patch", kind="bias"), stride=PATCH)
        x = x.flatten(2).transpose(1, 2)
        many = lambda t: t.reshape(1, -1, WIDTH).expand(len(x), -1, -1)  # noqa: E731
        tokens = [many(self.state[self.names["cls"]])] if "cls" in self.names else []
        if self.dist:
            tokens.append(many(self.state["dist_token"]))
        if "pos" in self.names:
            positions = many(self.state[self.names["pos"]])
            if self.pos_prefix:  # positions of the prefix tokens too
                x = torch.cat((*tokens, x), 1) + positions
                tokens = list(x[:, : self.pos_prefix].split(1, 1))
                x = x[:, self.pos_prefix :]
            else:
                x = x + positions
        if self.registers:
            tokens.append(many(self.state[self.names["registers"]]))
        return torch.cat((*tokens, x), 1)

    def blocks(self, x):
        for n in range(DEPTH):
            scales = [
                self.state[self.names[r].format(n)] if r in self.names else 1.0
                for r in ("scale1", "scale2")
            ]
            x = x + scales[0] * self.attend(self.normed(x, "norm1", n), n)
            x = x + scales[1] * self.mlp(self.normed(x, "norm2", n), n)
        return x

    def __call__(self, images=IMAGES):
        x = self.embed(images)
        if "pre" in self.names:
            x = self.normed(x, "pre")
        return self.normed(self.blocks(x), "norm")


def vit(kind=VisionTransformer, **options):
    torch.manual_seed(99)
    size = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, "patch_size": PATCH}
    return kind(img_size=(64, 32), num_classes=0, **{**size, **options}).eval()


def clip_vit(**options):
    norm = {"norm_layer": lambda C, **k: nn.LayerNorm(C, eps=1e-5, **k)}
    return vit(
        **{**norm, "act_layer": timm.layers.QuickGELU, "pre_norm": True, **options},
    )


def saved(tmp_path, content, name="file.pth"):
    path = tmp_path / name
    torch.save(content, path)
    return str(path)


@torch.no_grad()
def same(model, path, expected, **options):
    report = load_weights(model, path, **options)
    torch.testing.assert_close(model.forward_features(IMAGES), expected, atol=1e-5, rtol=1e-5)
    return report


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def heads(**shapes):
    return {name.replace("__", "."): torch.randn(n, WIDTH) for name, n in shapes.items()}


# Plain names.


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_timm(tmp_path, suffix):
    source = Source(TIMM)
    content = {**source.state, **heads(head__weight=10, pre_logits__fc__weight=WIDTH)}
    path = str(tmp_path / f"model{suffix}")
    if suffix == ".pth":
        torch.save(content, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(content, path)
    report = same(vit(), path, source())
    assert report.layout == "ViT of timm"
    assert report.counts == {"loaded": len(source.state), "dropped": 2}


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/", "params/img/"])
def test_google_npz(tmp_path, prefix):
    source, big_vision = Source(TIMM), prefix.startswith("params")
    arrays, block = {}, "Transformer/encoderblock_{}/"
    attention = block + f"MultiHeadDotProductAttention_{0 if big_vision else 1}/"
    mlp = block + f"MlpBlock_{0 if big_vision else 3}/"
    for name, tensor in source.state.items():
        n = name.split(".")[1] if name.startswith("blocks") else ""
        kind = name.rsplit(".")[-1]
        flax = {"weight": "kernel", "bias": "bias"}.get(kind, "")
        if name in ("cls_token", "pos_embed"):
            own = "" if big_vision else "Transformer/posembed_input/"
            arrays["cls" if name == "cls_token" else own + "pos_embedding"] = tensor
        elif name.startswith("patch_embed"):
            value = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor
            arrays[f"embedding/{flax}"] = value
        elif "norm" in name:
            layer = {"norm1": "LayerNorm_0", "norm2": f"LayerNorm_{1 if big_vision else 2}"}
            where = block.format(n) + layer.get(name.split(".")[2] if n else "", "")
            where = where if n else "Transformer/encoder_norm"
            arrays[f"{where}/{'scale' if kind == 'weight' else kind}"] = tensor
        elif "qkv" in name:
            for part, x in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                x = x.T.reshape(WIDTH, HEADS, -1) if x.ndim == 2 else x.reshape(HEADS, -1)
                arrays[f"{attention.format(n)}{part}/{flax}"] = x
        elif "attn.proj" in name:
            value = tensor.T.reshape(HEADS, -1, WIDTH) if tensor.ndim == 2 else tensor
            arrays[f"{attention.format(n)}out/{flax}"] = value
        else:
            layer = f"Dense_{int(name.split('.')[3][2]) - 1}"
            arrays[f"{mlp.format(n)}{layer}/{flax}"] = tensor.T if tensor.ndim == 2 else tensor
    arrays |= {"head/kernel": torch.zeros(WIDTH, 5), "head/bias": torch.zeros(5)}
    np.savez(tmp_path / "B_16.npz", **{prefix + k: v.numpy() for k, v in arrays.items()})
    report = same(vit(), str(tmp_path / "B_16.npz"), source())
    assert report.layout == "Google's npz" and report.pixel_mean == (127.5,) * 3


def test_deit(tmp_path):
    source = Source(TIMM)
    path = saved(tmp_path, {"model": {**source.state, **heads(head__weight=1000)}})
    assert same(vit(), path, source()).pixel_mean == (123.675, 116.28, 103.53)


def test_deit_distilled_keeps_its_token_where_the_model_has_one(tmp_path):
    source = Source(TIMM, pos_prefix=2, dist=True)
    path = saved(
        tmp_path, {"model": {**source.state, **heads(head__weight=5, head_dist__weight=5)}}
    )
    same(vit(VisionTransformerDistilled), path, source())


def test_deit_distilled_in_a_plain_vit_drops_token_and_position(tmp_path):
    source = Source(TIMM, pos_prefix=2, dist=True)
    path = saved(tmp_path, {"model": source.state})
    positions = source.state["pos_embed"]
    plain = Source(TIMM)
    plain.state = {**source.state, "pos_embed": positions[:, [0, *range(2, positions.shape[1])]]}
    report = same(vit(), path, plain())
    assert [(r.tensor, r.action) for r in report.rows if "dist" in r.detail] == [
        ("dist_token", "dropped")
    ]


@pytest.mark.parametrize("own", [True, False])
def test_deit_3_has_no_position_of_cls(tmp_path, own):
    names = {**TIMM, "scale1": "blocks.{}.gamma_1", "scale2": "blocks.{}.gamma_2"}
    source = Source(names, grid=GRID, pos_prefix=0)
    path = saved(tmp_path, {"model": source.state})
    same(vit(init_values=1, no_embed_class=own), path, source())


@pytest.mark.parametrize("full", [False, True])
def test_dino(tmp_path, full):
    source = Source(TIMM)
    content = source.state
    if full:
        student = prefixed("module.backbone.", Source(TIMM).state)
        teacher = {
            **prefixed("backbone.", source.state),
            **heads(head__mlp__0__weight=5, head__last_layer__weight_v=4),
        }
        content = {"student": student, "teacher": teacher, "args": argparse.Namespace(lr=1)}
    report = same(vit(), saved(tmp_path, content), source())
    assert report.layout == ("DINO" if full else "ViT of timm")


SCALED = {**TIMM, "scale1": "blocks.{}.ls1.gamma", "scale2": "blocks.{}.ls2.gamma"}


@pytest.mark.parametrize("registers", [0, 4])
def test_dinov2(tmp_path, registers):
    source = Source({**SCALED, "registers": "register_tokens"}, registers=registers)
    path = saved(tmp_path, {**source.state, "mask_token": torch.zeros(1, WIDTH)})
    model = vit(init_values=1, reg_tokens=registers, no_embed_class=bool(registers))
    same(model, path, source())


def test_mae_with_its_decoder(tmp_path):
    source = Source(TIMM)
    more = {"mask_token": torch.zeros(1, 1, 8), "decoder_pos_embed": torch.zeros(1, 33, 8)}
    content = {**source.state, **more, "decoder_blocks.0.norm1.weight": torch.zeros(8)}
    report = same(vit(), saved(tmp_path, {"model": content}), source())
    assert report.layout == "MAE" and report.counts["dropped"] == 3


def test_norm_of_mae_becomes_the_norm_of_a_model_that_pools_before(tmp_path):
    source, model = Source(TIMM), vit(global_pool="avg")
    load_weights(model, saved(tmp_path, {"model": source.state}))
    assert torch.equal(model.fc_norm.weight, source.state["norm.weight"])


@pytest.mark.parametrize("wrapper", ["state_dict", "teacher"])
def test_ibot(tmp_path, wrapper):
    source = Source(TIMM)
    state = {**source.state, "masked_embed": torch.zeros(1, WIDTH)}
    state = state if wrapper == "state_dict" else prefixed("module.backbone.", state)
    report = same(vit(), saved(tmp_path, {wrapper: state}), source())
    assert report.layout == "iBOT"


# CLIP and its relatives.


def clip_source(**options):
    return Source(CLIP, eps=1e-5, act=quick_gelu, flat=True, **options)


TEXTS = {
    "positional_embedding": torch.zeros(77, 8), "text_projection": torch.zeros(8, 8),
    "logit_scale": torch.zeros(()), "token_embedding.weight": torch.zeros(9, 8),
    "transformer.resblocks.0.ln_1.weight": torch.zeros(8), "ln_final.weight": torch.zeros(8),
}  # fmt: skip


class Script(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def script_of(state):
    """A scripted tree of modules with the tensors of a state dict."""
    root = Script()
    for name, tensor in state.items():
        *folders, leaf = name.split(".")
        module = root
        for folder in folders:
            if not hasattr(module, folder):
                module.add_module(folder, Script())
            module = getattr(module, folder)
        module.register_buffer(leaf, tensor) if tensor.dtype == torch.long else setattr(
            module, leaf, nn.Parameter(tensor)
        )
    return torch.jit.script(root)


def test_openai_clip_in_a_torchscript_archive_in_half_precision(tmp_path):
    source = clip_source()
    source.state = {name: t.half().float() for name, t in source.state.items()}
    state = {**prefixed("visual.", source.state), "visual.proj": torch.zeros(WIDTH, 8), **TEXTS}
    archive = script_of({k: v.half() for k, v in state.items()} | {"vocab_size": torch.tensor(9)})
    archive.save(str(tmp_path / "ViT-B-16.pt"))
    report = same(clip_vit(), str(tmp_path / "ViT-B-16.pt"), source())
    assert report.layout == "CLIP" and report.pixel_mean[0] == pytest.approx(122.77, abs=0.01)
    reasons = {row.tensor: row.detail for row in report.rows if row.action == "dropped"}
    assert reasons["visual.proj"] == "projection to the space of texts"
    assert reasons["transformer.resblocks.0.ln_1.weight"] == "tower of the texts"


@pytest.mark.parametrize("module", ["", "module."])
def test_open_clip_with_gelu(tmp_path, module):
    source = Source(CLIP, eps=1e-5, flat=True)
    state = {**prefixed("visual.", source.state), **TEXTS}
    path = saved(tmp_path, {"state_dict": prefixed(module, state)}, "open_clip_model.bin")
    same(clip_vit(act_layer=nn.GELU), path, source(), activation="gelu")


def test_clip_reid(tmp_path):
    source = clip_source()
    others = {
        "image_encoder.proj": torch.zeros(WIDTH, 8), "cv_embed": torch.ones(6, WIDTH),
        "classifier.weight": torch.zeros(5, WIDTH), "classifier_proj.weight": torch.zeros(5, 8),
        "bottleneck.running_mean": torch.ones(WIDTH), "bottleneck_proj.weight": torch.zeros(8),
        "prompt_learner.cls_ctx": torch.zeros(5, 4, 8),
        "text_encoder.ln_final.weight": torch.zeros(8),
    }  # fmt: skip
    path = saved(tmp_path, {**prefixed("image_encoder.", source.state), **others})
    report = same(clip_vit(), path, source(), keep=("sie", "heads"))
    assert report.layout == "CLIP-ReID (CLIP)" and report.pixel_std == (127.5,) * 3
    assert set(report.kept) == {
        "cv_embed", "classifier.weight", "classifier_proj.weight", "bottleneck.running_mean",
        "bottleneck_proj.weight",
    }  # fmt: skip


def test_a_fine_tuned_clip_reid_gets_the_hosts_names(caplog):
    neck = nn.Sequential(nn.BatchNorm2d(WIDTH))
    model = nn.ModuleDict({"backbone": nn.ModuleDict({"model": clip_vit()}), "heads": nn.Module()})
    model["heads"].bottleneck = neck
    model.backbone, model.backbone.model = model["backbone"], model["backbone"]["model"]
    model.pixel_mean = model.pixel_std = torch.tensor([127.5] * 3)
    source = clip_source()
    content = {
        **prefixed("image_encoder.", source.state),
        **{f"bottleneck.{name}": tensor + 1 for name, tensor in neck[0].state_dict().items()},
        **{"bottleneck_proj.weight": torch.zeros(8), "classifier.weight": torch.ones(5, WIDTH)},
    }
    assert is_fine_tuned(content)
    weights = in_host_layout(content, "clip_reid.pth", model)
    assert torch.equal(weights["heads.weight"], content["classifier.weight"])
    assert torch.equal(weights["heads.bottleneck.0.bias"], content["bottleneck.bias"])
    names = {name for name in weights if name.startswith("backbone.model.")}
    assert names == {f"backbone.model.{name}" for name in clip_vit().state_dict()}
    assert "left out, first bottleneck_proj.weight" in caplog.text


def test_siglip_in_open_clip_with_a_tower_of_timm(tmp_path):
    names = {k: v for k, v in TIMM.items() if k != "cls"}
    source = Source(names, pos_prefix=0)
    model = vit(class_token=False, global_pool="map")
    pool = {k: v for k, v in model.state_dict().items() if k.startswith("attn_pool")}
    state = prefixed("visual.trunk.", {**source.state, **pool})
    texts = {"text.token_embedding.weight": torch.zeros(9, 8), "logit_bias": torch.zeros(())}
    same(model, saved(tmp_path, {**state, **texts}), source())


# transformers.


def test_hugging_face_vit(tmp_path):
    source = Source(HF_VIT, eps=1e-12)
    state = {**prefixed("vit.", source.state), **heads(classifier__weight=5)}
    report = same(vit(), saved(tmp_path, state), source())
    assert report.layout == "Hugging Face ViT"


@pytest.mark.parametrize("registers", [0, 4])
def test_hugging_face_dinov2(tmp_path, registers):
    source = Source(HF_DINOV2, registers=registers)
    state = {**source.state, "embeddings.mask_token": torch.zeros(1, WIDTH)}
    model = vit(init_values=1, reg_tokens=registers, no_embed_class=bool(registers))
    same(model, saved(tmp_path, state), source())


def test_hugging_face_clip(tmp_path):
    source = Source(HF_CLIP, eps=1e-5, act=quick_gelu, flat=True)
    source.state["embeddings.class_embedding"] = source.state[
        "embeddings.class_embedding"
    ].flatten()
    state = {
        **prefixed("vision_model.", source.state),
        "visual_projection.weight": torch.zeros(8, WIDTH),
        "text_model.final_layer_norm.weight": torch.zeros(8),
        "vision_model.embeddings.position_ids": torch.arange(33),
    }
    assert same(clip_vit(), saved(tmp_path, state), source()).layout == "Hugging Face CLIP"


def test_hugging_face_siglip_without_its_pooling(tmp_path):
    names = {k: v for k, v in HF_CLIP.items() if k not in ("cls", "pre")}
    source = Source(names, pos_prefix=0)
    positions = names["pos"]
    source.state[positions] = source.state[positions][0]
    path = saved(tmp_path, prefixed("vision_model.", source.state))
    source.state[positions] = source.state[positions][None]
    same(vit(class_token=False, global_pool="avg", fc_norm=False), path, source())


# Rotary positions.


def half_turn(x):
    return torch.cat((-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]), -1)


def pair_turn(x):
    return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)


def rope_dinov3(x):
    """Angles of centred coordinates in [-1, 1] by periods of base 100, halves of a head turned."""
    quarter = x.shape[-1] // 4
    periods = 100 ** (2 * torch.arange(quarter) / (x.shape[-1] // 2))
    axes = [2 * (torch.arange(n) + 0.5) / n - 1 for n in GRID]
    coords = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
    angles = (2 * math.pi * coords[:, :, None] / periods).flatten(1).repeat(1, 2)
    return x * angles.cos() + half_turn(x) * angles.sin()


def rope_by_index(reference, offset=0.0, columns_first=False):
    """Angles of cell numbers, scaled to a reference grid, pairs of channels turned."""

    def rope(x):
        quarter = x.shape[-1] // 4
        bands = 1 / 10000 ** (torch.arange(quarter) / quarter)
        axes = [(torch.arange(n) + offset) / n * r for n, r in zip(GRID, reference, strict=True)]
        rows, columns = torch.meshgrid(*axes, indexing="ij")
        both = (columns, rows) if columns_first else (rows, columns)
        angles = torch.stack(both, -1).flatten(0, 1)[:, :, None] * bands
        angles = angles.flatten(1).repeat_interleave(2, -1)
        return x * angles.cos() + pair_turn(x) * angles.sin()

    return rope


def eva(**options):
    eps = options.pop("eps", 1e-5)
    norm = {"norm_layer": lambda C, **k: nn.LayerNorm(C, eps=eps, **k)}
    return vit(Eva, **{**norm, "use_rot_pos_emb": True, **options})


def dinov3_vit(bias=False):
    return eva(
        use_abs_pos_emb=False, num_reg_tokens=4, init_values=1, rope_type="dinov3",
        rope_temperature=100, rope_rotate_half=True, qkv_bias=bias, global_pool="token",
    )  # fmt: skip


@pytest.mark.parametrize("bias", [False, True])
def test_dinov3(tmp_path, bias):
    names = {k: v for k, v in SCALED.items() if k != "pos"} | {"registers": "storage_tokens"}
    source = Source(names, eps=1e-5, registers=4, rope=rope_dinov3, zero_qkv_bias=not bias)
    state = {**source.state, "mask_token": torch.zeros(1, WIDTH)}
    state["rope_embed.periods"] = 100 ** (torch.arange(2) / 2)
    for n in range(DEPTH):
        name = f"blocks.{n}.attn.qkv.bias"
        state[f"{name}_mask"] = torch.ones(3 * WIDTH)
        if bias:  # keys have none
            source.state[name][WIDTH : 2 * WIDTH] = 0
    report = same(dinov3_vit(bias), saved(tmp_path, state), source())
    assert report.layout == "DINOv3" and "missing" not in report.counts
    if bias:
        with pytest.raises(ValueError, match=r"qkv\.bias is not zero.*_qkvb"):
            load_weights(dinov3_vit(), saved(tmp_path, state))


def test_hugging_face_dinov3(tmp_path):
    source = Source(HF_DINOV3, eps=1e-5, registers=4, rope=rope_dinov3)
    for n in range(DEPTH):
        del source.state[f"layer.{n}.attention.k_proj.bias"]
        for x in "qv":
            source.state[f"layer.{n}.attention.{x}_proj.bias"].zero_()
    state = {**source.state, "embeddings.mask_token": torch.zeros(1, 1, WIDTH)}
    same(dinov3_vit(), saved(tmp_path, state), source())


def test_perception_encoder(tmp_path):
    scales = {f"scale{i}": f"transformer.resblocks.{{}}.ls_{i}.gamma" for i in (1, 2)}
    source = Source(
        {**CLIP, **scales}, eps=1e-5, flat=True,
        rope=rope_by_index((5, 3), offset=1.0, columns_first=True),
    )  # fmt: skip
    model = eva(
        init_values=1, global_pool="map", use_pre_transformer_norm=True, ref_feat_shape=(5, 3),
        rope_grid_offset=1.0, rope_grid_indexing="xy", attn_type="rope", attn_pool_num_heads=2,
        attn_pool_mlp_ratio=4.0,
    )  # fmt: skip
    pool = {"attn_pool.probe": torch.randn(1, 1, WIDTH)}
    for name, *shape in (
        ("attn.in_proj_weight", 3 * WIDTH, WIDTH), ("attn.in_proj_bias", 3 * WIDTH),
        ("attn.out_proj.weight", WIDTH, WIDTH), ("attn.out_proj.bias", WIDTH),
        ("layernorm.weight", WIDTH), ("layernorm.bias", WIDTH),
        ("mlp.c_fc.weight", 4 * WIDTH, WIDTH), ("mlp.c_fc.bias", 4 * WIDTH),
        ("mlp.c_proj.weight", WIDTH, 4 * WIDTH), ("mlp.c_proj.bias", WIDTH),
    ):  # fmt: skip
        pool[f"attn_pool.{name}"] = torch.randn(*shape)
    state = {**prefixed("visual.", {**source.state, **pool}), "visual.proj": torch.zeros(WIDTH, 8)}
    report = same(model, saved(tmp_path, {**state, **TEXTS}), source())
    assert report.layout == "Perception Encoder"
    assert torch.equal(model.attn_pool.q.weight, pool["attn_pool.attn.in_proj_weight"][:WIDTH])


class GatedSource(Source):
    """EVA-02: q, k, v apart, no bias of k, a gated MLP with a norm."""

    def __init__(self, **options):
        names = {k: v for k, v in TIMM.items() if k not in ("qkv", "fc1", "fc2", "norm")}
        names |= {x: f"blocks.{{}}.attn.{x}_proj" for x in "qkv"} | {"norm": "fc_norm"}
        super().__init__(names, rope=rope_by_index((5, 3)), **options)
        self.hidden = int(WIDTH * 4 * 2 / 3)
        for n in range(DEPTH):
            del self.state[f"blocks.{n}.attn.k_proj.bias"]
            for name, *shape in (
                ("fc1_g", self.hidden, WIDTH), ("fc1_x", self.hidden, WIDTH),
                ("norm", self.hidden), ("fc2", WIDTH, self.hidden),
            ):  # fmt: skip
                self.linear(f"blocks.{n}.mlp.{name}", *shape)

    def mlp(self, x, n):
        get = lambda name: [self.state[f"blocks.{n}.mlp.{name}.{k}"] for k in ("weight", "bias")]  # noqa: E731
        x = F.silu(F.linear(x, *get("fc1_g"))) * F.linear(x, *get("fc1_x"))
        return F.linear(F.layer_norm(x, (self.hidden,), *get("norm"), 1e-6), *get("fc2"))


@pytest.mark.parametrize("original", [False, True])
def test_eva02(tmp_path, original):
    source = GatedSource()
    state = dict(source.state)
    if original:
        swaps = {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2", "mlp.norm": "mlp.ffn_ln",
                 "mlp.fc2": "mlp.w3", "attn.q_proj.bias": "attn.q_bias",
                 "attn.v_proj.bias": "attn.v_bias"}  # fmt: skip
        for ours, theirs in swaps.items():
            state = {k.replace(ours, theirs): v for k, v in state.items()}
        state["rope.freqs_cos"] = torch.zeros(32, 8)
    model = eva(
        eps=1e-6, qkv_fused=False, mlp_ratio=4 * 2 / 3, swiglu_mlp=True, scale_mlp=True,
        ref_feat_shape=(5, 3), global_pool="avg",
    )  # fmt: skip
    load_weights(model, saved(tmp_path, state))
    with torch.no_grad():
        tokens = model.fc_norm(model.forward_features(IMAGES))
    torch.testing.assert_close(tokens, source(), atol=1e-5, rtol=1e-5)


# Re-ID.


@pytest.mark.parametrize("jpm", [False, True])
def test_transreid(tmp_path, jpm):
    source = Source(TIMM)
    state = prefixed("base.", source.state)
    if jpm:  # the last block and the norm were trained in branch b1, copies stayed behind
        last = f"base.blocks.{DEPTH - 1}."
        for name in [n for n in state if n.startswith((last, "base.norm."))]:
            branch = name.replace(last, "b1.0.").replace("base.norm.", "b1.1.")
            state[branch] = state[name]
            state[name] = torch.full_like(state[name], 7.0)
            state[branch.replace("b1.", "b2.")] = torch.full_like(state[name], 8.0)
    others = {"base.sie_embed": torch.ones(6, 1, WIDTH), "base.fc.weight": torch.zeros(5, WIDTH)}
    for i in ("", "_1", "_4"):
        others |= {f"classifier{i}.weight": torch.zeros(5, WIDTH)}
        others |= {f"bottleneck{i}.running_var": torch.ones(WIDTH)}
    report = same(vit(), saved(tmp_path, {**state, **others}), source())
    assert report.layout == "TransReID (ViT of timm)" and report.pixel_mean == (127.5,) * 3
    assert ("base.sie_embed", "dropped") in [(r.tensor, r.action) for r in report.rows]
    assert not report.kept
    kept = load_weights(vit(), saved(tmp_path, {**state, **others}), keep=("sie",)).kept
    assert list(kept) == ["base.sie_embed"]


def luperson(wide):
    """A ViT of 16x8 cells, patches of 8: images of 128x64."""
    return vit(**wide) if "img_size" in wide else None


PEOPLE = torch.randn(2, 3, 128, 64, generator=torch.Generator().manual_seed(8))


@torch.no_grad()
def same_people(path, expected, model=None, **options):
    torch.manual_seed(99)
    model = model or VisionTransformer(
        img_size=(128, 64), num_classes=0, embed_dim=WIDTH, depth=DEPTH, num_heads=HEADS,
        patch_size=PATCH, **options,
    ).eval()  # fmt: skip
    report = load_weights(model, path)
    torch.testing.assert_close(model.forward_features(PEOPLE), expected, atol=1e-5, rtol=1e-5)
    return report


def test_transreid_ssl(tmp_path):
    source = Source(TIMM, grid=(16, 8))
    path = saved(tmp_path, {"teacher": prefixed("backbone.", source.state)})
    report = same_people(path, source(PEOPLE))
    assert report.layout == "TransReID-SSL" and report.pixel_mean == (123.675, 116.28, 103.53)


def test_transreid_ssl_ics_has_a_stem_of_its_own(tmp_path):
    state = {}

    def stem(images):
        x = images
        for conv, norm, padding, stride in ((0, 1, 3, 2), (3, 4, 1, 1), (6, 7, 1, 1)):
            x = F.conv2d(x, state[f"patch_embed.conv.{conv}.weight"], None, stride, padding)
            if norm == 7:
                x = batch_norm(x, "patch_embed.conv.7")
            else:
                name = f"patch_embed.conv.{norm}."
                first = F.instance_norm(
                    x[:, :32], weight=state[name + "IN.weight"], bias=state[name + "IN.bias"]
                )
                x = torch.cat((first, batch_norm(x[:, 32:], name + "BN")), 1)
            x = x.relu()
        proj = "patch_embed.proj."
        return F.conv2d(x, state[proj + "weight"], state[proj + "bias"], stride=PATCH // 2)

    def batch_norm(x, name):
        get = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *get)

    source = Source(TIMM, grid=(16, 8), stem=stem)
    for conv, shape in ((0, (64, 3, 7, 7)), (3, (64, 64, 3, 3)), (6, (64, 64, 3, 3))):
        state[f"patch_embed.conv.{conv}.weight"] = 0.1 * torch.randn(shape)
    for name, width in (("1.BN", 32), ("4.BN", 32), ("7", 64)):
        for kind in ("weight", "bias", "running_mean", "running_var"):
            state[f"patch_embed.conv.{name}.{kind}"] = torch.rand(width) + 0.5
        state[f"patch_embed.conv.{name}.num_batches_tracked"] = torch.tensor(3)
    for name in ("1.IN", "4.IN"):
        state |= {f"patch_embed.conv.{name}.{k}": torch.rand(32) for k in ("weight", "bias")}
    state["patch_embed.proj.weight"] = 0.1 * torch.randn(WIDTH, 64, PATCH // 2, PATCH // 2)
    state["patch_embed.proj.bias"] = torch.randn(WIDTH)
    path = saved(tmp_path, {**source.state, **state})
    report = same_people(path, source(PEOPLE), embed_layer=timm_variants.ConvStem)
    assert report.layout == "TransReID-SSL with ICS stem"
    with pytest.raises(ValueError, match=r"no convolution stem.*vit_small_patch16_ics"):
        load_weights(vit(), path)


@pytest.mark.parametrize("parts", [False, True])
def test_pass(tmp_path, parts):
    source = Source(TIMM, grid=(16, 8), pos_prefix=0)
    places = {"cls_pos": torch.randn(1, 1, WIDTH)}
    for i in (1, 2, 3):
        places |= {f"part_token{i}": torch.randn(1, 1, WIDTH)}
        places |= {f"part{i}_pos": torch.randn(1, 1, WIDTH)}
    path = saved(tmp_path, {"teacher": prefixed("module.backbone.", {**source.state, **places})})

    x = source.embed(PEOPLE)  # cls without its position, patches with theirs
    cls = [x[:, :1] + places["cls_pos"]]
    for i in (1, 2, 3) if parts else ():
        cls.append((places[f"part_token{i}"] + places[f"part{i}_pos"]).expand(2, -1, -1))
    expected = source.normed(source.blocks(torch.cat((*cls, x[:, 1:]), 1)), "norm")
    options = {"reg_tokens": 3, "no_embed_class": True} if parts else {}
    report = same_people(path, expected, **options)
    assert report.layout == "PASS" and report.counts.get("dropped", 0) == (0 if parts else 6)


def test_personvit(tmp_path):
    source = Source(TIMM, grid=(16, 8))
    state = {**source.state, "masked_embed": torch.zeros(1, WIDTH)}
    teacher = prefixed("module.backbone.", state) | {"module.head.mlp.0.weight": torch.zeros(4, 4)}
    content = {"teacher": teacher, "args": argparse.Namespace(arch="vit_small")}
    assert same_people(saved(tmp_path, content), source(PEOPLE)).layout == "PersonViT"


def test_hap(tmp_path):
    source = Source(TIMM, grid=(16, 8))
    decoder = {"decoder_pos_embed": torch.zeros(1, 129, 8), "mask_token": torch.zeros(1, 1, 8)}
    content = {"model": prefixed("mae.", {**source.state, **decoder})}
    report = same_people(saved(tmp_path, content), source(PEOPLE))
    assert report.layout == "MAE on LUPerson (HAP)"


# SOLIDER.


class Solider:
    """A random Swin by mmcv's names: pads, then shifts; merges with ``nn.Unfold`` after a stage."""

    widths, heads, window, depths = (8, 16), (1, 2), 4, (2, 2)

    def __init__(self, semantic=0.2):
        self.semantic, self.state = semantic, {}
        self.put("patch_embed.projection", 8, 3, 4, 4)
        self.put("patch_embed.norm", 8)
        for s, C in enumerate(self.widths):
            for b in range(self.depths[s]):
                at = f"stages.{s}.blocks.{b}."
                self.put(at + "norm1", C), self.put(at + "norm2", C)
                self.put(at + "attn.w_msa.qkv", 3 * C, C), self.put(at + "attn.w_msa.proj", C, C)
                side = 2 * self.window - 1
                table = torch.randn(side * side, self.heads[s])
                self.state[at + "attn.w_msa.relative_position_bias_table"] = table
                self.state[at + "attn.w_msa.relative_position_index"] = torch.zeros(16, 16).long()
                self.put(at + "ffn.layers.0.0", 4 * C, C), self.put(at + "ffn.layers.1", C, 4 * C)
            self.put(f"norm{s}", C)
        self.put("stages.0.downsample.norm", 32)
        self.put("stages.0.downsample.reduction", 16, 32)
        del self.state["stages.0.downsample.reduction.bias"]
        for x in "wb":
            self.put(f"semantic_embed_{x}.0", 16, 2), self.put(f"semantic_embed_{x}.1", 16, 2)

    def put(self, name, *shape):
        self.state[name + ".weight"] = 0.3 * torch.randn(*shape) + (len(shape) == 1)
        self.state[name + ".bias"] = 0.3 * torch.randn(shape[0])

    def get(self, name):
        return self.state[name + ".weight"], self.state.get(name + ".bias")

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], *self.get(name), 1e-5)

    def attend(self, x, at, heads, shift):
        B, H, W, C = x.shape
        w = self.window
        x = F.pad(x, (0, 0, 0, -W % w, 0, -H % w))
        rows, columns = x.shape[1:3]
        part = lambda n: (torch.arange(n) >= n - w).int() + (torch.arange(n) >= n - shift).int()  # noqa: E731
        region = (3 * part(rows)[:, None] + part(columns)).float()
        if shift:
            x = x.roll((-shift, -shift), (1, 2))
        out = torch.zeros_like(x)
        cell = torch.arange(w * w)
        y, z = cell // w, cell % w
        index = (y[:, None] - y + w - 1) * (2 * w - 1) + z[:, None] - z + w - 1
        bias = self.state[at + "relative_position_bias_table"][index].permute(2, 0, 1)
        for top in range(0, rows, w):
            for left in range(0, columns, w):
                tokens = x[:, top : top + w, left : left + w].reshape(B, w * w, C)
                qkv = F.linear(tokens, *self.get(at + "qkv")).unflatten(-1, (3, heads, -1))
                q, k, v = qkv.permute(2, 0, 3, 1, 4)
                weights = q @ k.transpose(-1, -2) / math.sqrt(C / heads) + bias
                if shift:
                    here = region[top : top + w, left : left + w].flatten()
                    weights = weights - 100.0 * (here[:, None] != here)
                made = (weights.softmax(-1) @ v).transpose(1, 2).reshape(B, w, w, C)
                out[:, top : top + w, left : left + w] = F.linear(made, *self.get(at + "proj"))
        if shift:
            out = out.roll((shift, shift), (1, 2))
        return out[:, :H, :W]

    def __call__(self, images):
        x = F.conv2d(images, *self.get("patch_embed.projection"), stride=4).permute(0, 2, 3, 1)
        x = self.norm(x, "patch_embed.norm")
        for s in range(2):
            for b in range(self.depths[s]):
                at = f"stages.{s}.blocks.{b}."
                shift = self.window // 2 * (b % 2)
                normed = self.norm(x, at + "norm1")
                x = x + self.attend(normed, at + "attn.w_msa.", self.heads[s], shift)
                hidden = F.gelu(
                    F.linear(self.norm(x, at + "norm2"), *self.get(at + "ffn.layers.0.0"))
                )
                x = x + F.linear(hidden, *self.get(at + "ffn.layers.1"))
            if s == 0:
                B, H, W = x.shape[:3]
                x = nn.Unfold(2, stride=2)(x.permute(0, 3, 1, 2)).transpose(1, 2)
                x = self.norm(x, "stages.0.downsample.norm")
                x = F.linear(x, *self.get("stages.0.downsample.reduction")).reshape(
                    B, H // 2, W // 2, -1
                )
                if self.semantic >= 0:
                    pair = torch.tensor([self.semantic, 1 - self.semantic])
                    scale = F.softplus(F.linear(pair, *self.get("semantic_embed_w.0")))
                    x = x * scale + F.linear(pair, *self.get("semantic_embed_b.0"))
        return self.norm(x, "norm1")


def small_swin(**options):
    """As ``solider_swin`` asks timm for a model by name, of a small size."""
    options.pop("always_partition", None)
    return SwinTransformer(
        img_size=(48, 24), num_classes=0, embed_dim=8, depths=(2, 2), num_heads=(1, 2),
        window_size=4, always_partition=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize("semantic", [0.2, -1.0])
@torch.no_grad()
def test_solider_pads_before_it_shifts(tmp_path, monkeypatch, semantic):
    monkeypatch.setattr(timm_variants.timm, "create_model", lambda name, **k: small_swin(**k))
    model = timm_variants.solider_swin("swin_small", semantic).eval()
    source, images = Solider(semantic), torch.randn(2, 3, 48, 24)  # maps of 12x6 and 6x3
    path = saved(tmp_path, {"teacher": prefixed("backbone.", source.state)})
    report = load_weights(model, path)
    torch.testing.assert_close(model.forward_features(images), source(images), atol=1e-5, rtol=1e-5)
    assert report.layout == "SOLIDER"
    plain = SwinTransformer(
        img_size=(48, 24),
        num_classes=0,
        embed_dim=8,
        depths=(2, 2),
        num_heads=(1, 2),
        window_size=4,
    )
    with pytest.raises(ValueError, match=r"windows on a map of.*solider_swin_base"):
        load_weights(plain, path)


def test_swin_of_microsoft_has_its_merging_at_the_end_of_a_stage(tmp_path):
    options = {"img_size": 64, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2)}
    source = SwinTransformer(window_size=4, num_classes=0, **options).eval()
    state = {
        k.replace("layers.1.downsample", "layers.0.downsample"): v
        for k, v in source.state_dict().items()
    }
    state["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16).long()
    state["head.weight"] = torch.zeros(5, 16)
    torch.manual_seed(5)
    model = SwinTransformer(window_size=4, num_classes=0, **options).eval()
    load_weights(model, saved(tmp_path, {"model": state}))
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.forward_features(images), source.forward_features(images))


# Convolutions.


def lite0_names():
    """Names of the PyPI package, in its order."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield from ("_conv_stem.weight", *(f"_bn0.{k}" for k in norm))
    for n in range(16):
        layers = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        for conv, bn in layers[n == 0 :]:
            yield from (f"_blocks.{n}.{conv}.weight", *(f"_blocks.{n}.{bn}.{k}" for k in norm))
    yield from ("_conv_head.weight", *(f"_bn1.{k}" for k in norm), "_fc.weight", "_fc.bias")


@torch.no_grad()
def lite0_forward(state, images):
    """EfficientNet-lite0 with the padding of TensorFlow, by the package's names."""

    def conv(x, conv_name, bn, stride=1, groups=1, active=True):
        weight = state[conv_name + ".weight"]
        side = weight.shape[-1]
        spare = [max((math.ceil(n / stride) - 1) * stride + side - n, 0) for n in x.shape[-2:]]
        (h, w) = spare
        x = F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
        x = F.conv2d(x, weight, None, stride, groups=groups)
        get = [state[f"{bn}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        x = F.batch_norm(x, *get, eps=1e-3)
        return F.relu6(x) if active else x

    x = conv(images, "_conv_stem", "_bn0", 2)
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for n in range(16):
        at, inside = f"_blocks.{n}.", x
        if n:
            x = conv(x, at + "_expand_conv", at + "_bn0")
        x = conv(x, at + "_depthwise_conv", at + "_bn1", strides.get(n, 1), x.shape[1])
        x = conv(x, at + "_project_conv", at + "_bn2", active=False)
        x = x + inside if x.shape == inside.shape else x
    return conv(x, "_conv_head", "_bn1")


def test_efficientnet_lite0_by_order_and_shape(tmp_path):
    donor = timm.create_model("tf_efficientnet_lite0")
    for name, value in donor.state_dict().items():
        if "running_mean" in name:
            value.normal_(std=0.1)
    names = list(lite0_names())
    state = dict(zip(names, donor.state_dict().values(), strict=True))
    model = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    report = load_weights(model, saved(tmp_path, state))
    with torch.no_grad():
        features = model.forward_features(IMAGES)
    torch.testing.assert_close(features, lite0_forward(state, IMAGES), atol=1e-5, rtol=1e-5)
    assert report.layout == "EfficientNet-lite0" and report.pixel_std == (128.0,) * 3
    state["_blocks.1._bn1.weight"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"_blocks.1._bn1.weight \(3,\) stands where"):
        load_weights(model, saved(tmp_path, state))


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050"])
def test_convolutions_by_timms_own_names(tmp_path, name):
    source = timm.create_model(name, num_classes=3).eval()
    path = saved(tmp_path, {"state_dict": prefixed("module.", source.state_dict())})
    model = timm.create_model(name, num_classes=0).eval()
    report = load_weights(model, path)
    with torch.no_grad():
        torch.testing.assert_close(
            model.forward_features(IMAGES), source.forward_features(IMAGES), atol=1e-5, rtol=1e-5
        )
    assert report.layout == "timm's own names"


@pytest.mark.parametrize("asked", ["os system", "torch LoadStorage", "torch hub", "builtins eval"])
def test_an_archive_runs_no_code(tmp_path, asked):
    path, (module, name) = tmp_path / "bad.pt", asked.split()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad/constants.pkl", b"")
        archive.writestr("bad/data.pkl", f"c{module}\n{name}\n(S'x'\ntR.".encode())
    with pytest.raises(ValueError, match=rf"asks for {module}\.{name}, which would"):
        load_weights(vit(), str(path))
