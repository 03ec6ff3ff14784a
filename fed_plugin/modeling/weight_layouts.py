"""Layouts of published weights: how each is recognised, and how its names become timm's.

A layout is recognised by its keys, never by the name of its file. A converter may leave tensors
out; who reads the file (``weight_loading``) wants a reason from :data:`REASONS` for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import torch
from timm.models import eva, swin_transformer, vision_transformer
from torch import Tensor, nn

Tensors = dict[str, Tensor]
Reasons = dict[str, str]
"""Why a tensor of the file is left out, by its name there."""

HALF = ((127.5,) * 3, (127.5,) * 3)
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
CLIP = (
    tuple(255 * value for value in (0.48145466, 0.4578275, 0.40821073)),
    tuple(255 * value for value in (0.26862954, 0.26130258, 0.27577711)),
)
LITE0 = ((127.0,) * 3, (128.0,) * 3)
LUPERSON_GRID = (16, 8)

CLASSIFIER = "classifier of the source"
TEXTS, SIE = "tower of the texts", "camera and view embedding (SIE)"
HEADS = "head of the source's re-ID training"
REASONS = {
    CLASSIFIER: r"(head|heads|head_dist|fc|_fc|classifier|pre_logits)\..*",
    HEADS: r"(classifier|bottleneck)(_\w+)?\..*",
    SIE: r"sie_embed|cv_embed",
    "only for the pre-training": r"(embeddings\.)?mask_token|masked_embed|decoder_.*|lm_head\..*",
    "projection to the space of texts": r"proj|head\.proj\..*|(visual|text)_projection\..*",
    TEXTS: r"(text|text_model|text_encoder|prompt_learner|token_embedding|ln_final|transformer)\..*"
    r"|positional_embedding|text_projection|logit_(scale|bias)|input_resolution|context_length"
    r"|vocab_size",
    "pooling that the model does not have": r"(attn_pool|pooler)\..*",
    "computed by the model": r".*(relative_position_index|attn_mask|periods|bias_mask|position_ids"
    r"|num_batches_tracked|rope\.freqs_(cos|sin))",
}

OUTER: tuple[str, ...] = (
    "module.",
    "_orig_mod.",
    "backbone.",
    "model.",
    "base.",
    "mae.",
    "image_encoder.",
)
OUTER += ("visual.trunk.", "visual.", "vision_model.", "vit.", "dinov2.", "dinov2_with_registers.")
"""Prefixes of a backbone's names, from outside to inside."""
_ANY_OUTER = "(?:" + "|".join(re.escape(prefix) for prefix in OUTER) + ")*"


def reason_for(name: str) -> str:
    """Return why a tensor of a file has no place in a backbone; empty if none is known."""
    return next((kind for kind in REASONS if is_of_kind(name, kind)), "")


def is_of_kind(name: str, kind: str) -> bool:
    """Return whether a name of a file is one of :data:`REASONS`; texts stand outside the tower."""
    outer = "(?:module\\.)?" if kind == TEXTS else _ANY_OUTER
    return re.fullmatch(f"{outer}(?:{REASONS[kind]})", name) is not None


def explain(reasons: Reasons, why: str, *tensors: Tensor) -> None:
    """Say why tensors are left out."""
    for tensor in tensors:
        reasons |= dict.fromkeys(getattr(tensor, "sources", ()), why)


def without_prefixes(tensors: Tensors, reasons: Reasons) -> tuple[Tensors, tuple[str, ...]]:
    """Return the tensors of the backbone by names without prefixes, and the prefixes."""
    prefixes: list[str] = []
    for prefix in OUTER:
        if prefix == "base.":
            tensors = _joined_branches(tensors, reasons)
        below = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if below:
            tensors = below
            prefixes.append(prefix)
    return tensors, tuple(prefixes)


# Converters.


def _plain(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    return dict(tensors)


def _renamed(tensors: Tensors, *rules: tuple[str, str]) -> Tensors:
    """Rename by regular expressions that match a whole name, the first that does."""
    out = {}
    for name, tensor in tensors.items():
        for pattern, target in rules:
            match = re.fullmatch(pattern, name)
            if match:
                name = match.expand(target)
                break
        out[name] = tensor
    return out


def _by_timm(converter: Any, prefix: str = "", **options: Any) -> Any:
    """Wrap a ``checkpoint_filter_fn`` of timm; sizes are left to who reads the file."""

    def convert(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
        patches = [
            v for k, v in tensors.items() if k in ("patch_embed.proj.weight", "conv1.weight")
        ]
        sketch = SimpleNamespace(
            pos_embed=None,
            head=None,
            patch_embed=SimpleNamespace(proj=SimpleNamespace(weight=next(iter(patches), None))),
            get_parameter=model.get_parameter,
        )
        with redirect_stdout(StringIO()):  # timm prints what it does not find
            tables = {k: v for k, v in tensors.items() if k.endswith("_bias_table")}
            others = {prefix + k: v for k, v in tensors.items() if k not in tables}
            return {**converter(others, sketch, **options), **tables}

    return convert


_vit = _by_timm(vision_transformer.checkpoint_filter_fn)
_clip = _by_timm(vision_transformer.checkpoint_filter_fn, "visual.")
_eva = _by_timm(eva.checkpoint_filter_fn)


def _deit3(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    if "blocks.0.gamma_1" in model.state_dict():
        return dict(tensors)
    return _renamed(tensors, (r"(blocks\.\d+\.)gamma_([12])", r"\1ls\2.gamma"))


def _dinov2(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    return _vit({"mask_token": torch.zeros(0), **tensors}, model, reasons)  # timm's key to them


def _dinov3(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    out = _eva(tensors, model, reasons)
    for name, tensor in tensors.items():
        bias = re.fullmatch(r"(blocks\.\d+\.attn)\.qkv\.bias", name)
        if bias and getattr(model.get_submodule(bias[1]), "q_bias", None) is None:
            q, _, v = tensor.chunk(3)
            if bool(q.any()) or bool(v.any()):
                raise ValueError(
                    f"{name} is not zero, and the model has no such bias; try the model of timm "
                    "with the same name and _qkvb"
                )
            explain(reasons, "zero, and the model has no such bias", tensor)
    return out


def _mmcv_swin(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    """SOLIDER: merging stands at the end of a stage, in the order of ``nn.Unfold``."""
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("stages."))
    out = {}
    for name, tensor in tensors.items():
        merging = re.fullmatch(r"stages\.(\d+)\.downsample\.(norm|reduction)\.(\w+)", name)
        if merging:
            cells = tensor.reshape(*tensor.shape[:-1], -1, 4).transpose(-1, -2)  # (.., 4, C)
            out[f"layers.{int(merging[1]) + 1}.downsample.{merging[2]}.{merging[3]}"] = cells[
                ..., [0, 2, 1, 3], :
            ].flatten(-2)
            continue
        semantic = re.fullmatch(r"semantic_embed_([wb])\.(\d+)\.(\w+)", name)
        if semantic:
            target = (
                f"layers.{int(semantic[2]) + 1}.downsample.semantic_{semantic[1]}.{semantic[3]}"
            )
            out[target] = tensor
            explain(reasons, "semantic controller, of which the model has none", tensor)
            continue
        if re.fullmatch(rf"norm[0-{last - 1}]\.\w+", name):
            explain(reasons, "norm of an earlier stage", tensor)
            continue
        out[name] = tensor
    block = r"stages\.(\d+)\.blocks\.(\d+)\."
    return _renamed(
        out,
        (r"patch_embed\.projection\.(\w+)", r"patch_embed.proj.\1"),
        (rf"norm{last}\.(\w+)", r"norm.\1"),
        (block + r"attn\.w_msa\.(.*)", r"layers.\1.blocks.\2.attn.\3"),
        (block + r"ffn\.layers\.0\.0\.(\w+)", r"layers.\1.blocks.\2.mlp.fc1.\3"),
        (block + r"ffn\.layers\.1\.(\w+)", r"layers.\1.blocks.\2.mlp.fc2.\3"),
        (block + r"(norm[12]\.\w+)", r"layers.\1.blocks.\2.\3"),
    )


def _ics(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    return _renamed(tensors, (r"patch_embed\.proj\.(\w+)", r"patch_embed.project.\1"))


def _pass(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    """PASS: positions of the prefix tokens apart; part tokens become registers where there are."""
    out = {k: v for k, v in tensors.items() if not re.match(r"cls_pos|part_?(token)?\d", k)}
    parts = sorted(name for name in tensors if re.fullmatch(r"part_token\d", name))
    places = [f"part{name.removeprefix('part_token')}_pos" for name in parts]
    if getattr(model, "reg_token", None) is not None:
        pairs = zip(parts, places, strict=True)
        out["reg_token"] = torch.cat([tensors[part] + tensors[at] for part, at in pairs], dim=1)
    else:
        left = [tensors[name] for name in (*parts, *places)]
        explain(reasons, "part token, of which the model has none", *left)
    out["pos_embed"] = torch.cat((tensors["cls_pos"], tensors["pos_embed"]), dim=1)
    return out


def _by_order(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    """Give the model's names to tensors of the same order, kinds and shapes."""
    wanted = model.state_dict()
    is_headless = len(tensors) != len(wanted)
    body = {k: v for k, v in tensors.items() if not (is_headless and is_of_kind(k, CLASSIFIER))}
    if len(body) != len(wanted):
        raise ValueError(f"holds {len(body)} tensors, expected the model's {len(wanted)} in order")
    for (theirs, tensor), (ours, target) in zip(body.items(), wanted.items(), strict=True):
        if tensor.shape != target.shape or theirs.split(".")[-1] != ours.split(".")[-1]:
            raise ValueError(
                f"{theirs} {tuple(tensor.shape)} stands where the model has {ours} "
                f"{tuple(target.shape)}: not the same network"
            )
    return dict(zip(wanted, body.values(), strict=True))


def _joined(tensors: Tensors) -> Tensors:
    """Stack ``attn.{q,k,v}`` to ``attn.qkv``; a key without a bias gets zeros."""
    out = {k: v for k, v in tensors.items() if not re.search(r"\.attn\.[qkv]\.", k)}
    for name, q in tensors.items():
        if ".attn.q." in name:
            k, v = (tensors.get(name.replace(".attn.q.", f".attn.{x}.")) for x in "kv")
            parts = (
                q,
                torch.zeros_like(q) if k is None else k,
                torch.zeros_like(q) if v is None else v,
            )
            out[name.replace(".attn.q.", ".attn.qkv.")] = torch.cat(parts)
    return out


def _hugging_face(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    """Names of transformers, as its files have them."""
    block = r"(?:encoder\.)?layers?\.(\d+)\."
    out = _renamed(
        tensors,
        (r"embeddings\.(?:cls_token|class_embedding)", "cls_token"),
        (r"embeddings\.position_embeddings|embeddings\.position_embedding\.weight", "pos_embed"),
        (r"embeddings\.register_tokens", "register_tokens"),
        (r"embeddings\.mask_token", "mask_token"),
        (r"embeddings\.patch_embeddings?\.(?:projection\.)?(\w+)", r"patch_embed.proj.\1"),
        (r"pre_layrnorm\.(\w+)", r"norm_pre.\1"),
        (r"(?:layernorm|post_layernorm)\.(\w+)", r"norm.\1"),
        (block + r"(?:attention|self_attn)\.([qkv])_proj\.(\w+)", r"blocks.\1.attn.\2.\3"),
        (block + r"attention\.attention\.([qkv])\w+\.(\w+)", r"blocks.\1.attn.\2.\3"),
        (
            block + r"(?:attention\.output\.dense|attention\.o_proj|self_attn\.out_proj)\.(\w+)",
            r"blocks.\1.attn.proj.\2",
        ),
        (block + r"(?:layernorm_before|norm1|layer_norm1)\.(\w+)", r"blocks.\1.norm1.\2"),
        (block + r"(?:layernorm_after|norm2|layer_norm2)\.(\w+)", r"blocks.\1.norm2.\2"),
        (block + r"(?:intermediate\.dense|mlp\.up_proj|mlp\.fc1)\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
        (block + r"(?:output\.dense|mlp\.down_proj|mlp\.fc2)\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
        (block + r"layer_scale([12])\.lambda1", r"blocks.\1.ls\2.gamma"),
    )
    out = _joined(out)
    if "cls_token" in out:
        out["cls_token"] = out["cls_token"].reshape(1, 1, -1)
    if "pos_embed" not in out:
        out["storage_tokens"] = out.pop("register_tokens", torch.zeros(0))
        return _dinov3(out, model, reasons)
    if out["pos_embed"].ndim == 2:
        out["pos_embed"] = out["pos_embed"][None]
    return _dinov2(out, model, reasons) if "register_tokens" in out else out


def _google(tensors: Tensors, model: nn.Module, reasons: Reasons) -> Tensors:
    """Google's npz: kernels are transposed, q, k, v apart."""
    out = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^(opt/target/|params/img/|params/)", "", name)
        if name.endswith("/kernel"):
            if tensor.ndim == 4:
                tensor = tensor.permute(3, 2, 0, 1)
            elif re.search(r"/(query|key|value)/", name):
                tensor = tensor.flatten(1).T
            else:
                tensor = tensor.flatten(0, -2).T
        elif re.search(r"/(query|key|value)/", name):
            tensor = tensor.flatten()
        out[re.sub(r"(scale|kernel)$", "weight", name)] = tensor
    block, sub = r"Transformer/encoderblock_(\d+)/", r"MultiHeadDotProductAttention_\d/"
    out = _renamed(
        out,
        ("cls", "cls_token"),
        (r"(?:Transformer/posembed_input/)?pos_embedding", "pos_embed"),
        (r"embedding/(\w+)", r"patch_embed.proj.\1"),
        (r"Transformer/encoder_norm/(\w+)", r"norm.\1"),
        (r"head/(\w+)", r"head.\1"),
        (block + r"LayerNorm_0/(\w+)", r"blocks.\1.norm1.\2"),
        (block + r"LayerNorm_[12]/(\w+)", r"blocks.\1.norm2.\2"),
        (block + sub + r"([qkv])(?:uery|ey|alue)/(\w+)", r"blocks.\1.attn.\2.\3"),
        (block + sub + r"out/(\w+)", r"blocks.\1.attn.proj.\2"),
        (block + r"MlpBlock_\d/Dense_0/(\w+)", r"blocks.\1.mlp.fc1.\2"),
        (block + r"MlpBlock_\d/Dense_1/(\w+)", r"blocks.\1.mlp.fc2.\2"),
    )
    explain(
        reasons, CLASSIFIER, *(v for k, v in tensors.items() if re.search(r"(head|logits)/", k))
    )
    return _joined(out)


# The table.


@dataclass(frozen=True)
class Layout:
    """One layout of published weights.

    Attributes:
        name: for tables.
        keys: a file of this layout holds all of them, without prefixes.
        convert: converter into timm's names.
        pixels: mean and deviation of the training images in [0, 255]; None if the keys do not tell.
        eps: of the LayerNorms; None if the keys do not tell.
        quick: whether the activation is QuickGELU; None if the keys do not tell.
        grid: of the position embedding; None for a square.
        squares: whether a square grid may be assumed.
        family: class of timm's model; empty for any.
        example: a model of timm for these weights.
        wrappers: a file of this layout was wrapped by one of them; empty for any.
        patches: patch tokens with positions that a file of this layout has; 0 for any.
    """

    name: str
    keys: tuple[str, ...]
    convert: Callable[[Tensors, nn.Module, Reasons], Tensors] = _plain
    pixels: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    eps: float | None = None
    quick: bool | None = None
    grid: tuple[int, int] | None = None
    squares: bool = True
    family: str = ""
    example: str = ""
    wrappers: tuple[str, ...] = ()
    patches: int = 0


_BLOCK = ("cls_token", "pos_embed", "blocks.0.attn.qkv.weight")
_RESBLOCK = ("class_embedding", "positional_embedding", "transformer.resblocks.0.ln_1.weight")
_HF = "embeddings.cls_token"
_DINO = ("teacher", "student")


def _row(
    name: str, keys: tuple[str, ...], convert: Any, pixels: Any, kind: dict[str, Any], **more: Any
) -> Layout:
    return Layout(name, keys, convert, pixels, **{**kind, **more})


_VIT: dict[str, Any] = {"eps": 1e-6, "quick": False, "example": "vit_base_patch16_224"}
_LUP = {**_VIT, "grid": LUPERSON_GRID}
_QUICK = {"eps": 1e-5, "quick": True, "example": "vit_base_patch16_clip_quickgelu_224"}
_EVA = {"family": "Eva", "example": "eva02_base_patch14_224"}
_ROPE = {"family": "Eva", "eps": 1e-5, "example": "vit_base_patch16_dinov3"}
_SWIN = {"family": "SwinTransformer", "eps": 1e-5, "example": "swin_base_patch4_window7_224"}
_V2 = {**_VIT, "example": "vit_base_patch14_dinov2"}
_PE = {**_ROPE, "example": "vit_pe_core_base_patch16_224"}
_microsoft = _by_timm(swin_transformer.checkpoint_filter_fn)
_pe = _by_timm(eva.checkpoint_filter_fn, "visual.")

LAYOUTS = (  # the first that fits
    _row("Google's npz", ("Transformer/encoder_norm/scale",), _google, HALF, _VIT),
    _row("Hugging Face CLIP", ("pre_layrnorm.weight",), _hugging_face, CLIP, _QUICK),
    _row("Hugging Face DINOv3", (_HF, "layer.0.norm1.weight"), _hugging_face, IMAGENET, _ROPE),
    _row("Hugging Face DINOv2", (_HF, "encoder.layer.0.norm1.weight"), _hugging_face, IMAGENET,
         _V2),
    _row("Hugging Face ViT", (_HF,), _hugging_face, None, {**_VIT, "eps": None}),
    _row("Hugging Face SigLIP", ("embeddings.position_embedding.weight",), _hugging_face, HALF, {},
         example="vit_base_patch16_siglip_224"),
    _row("DINOv3", ("storage_tokens",), _dinov3, IMAGENET, _ROPE),
    _row("DINOv2 with registers", ("register_tokens", *_BLOCK), _vit, IMAGENET, _V2,
         example="vit_base_patch14_reg4_dinov2"),
    _row("DINOv2", ("mask_token", "blocks.0.ls1.gamma", *_BLOCK), _vit, IMAGENET, _V2),
    _row("PASS", ("cls_pos", *_BLOCK), _pass, IMAGENET, _LUP, example="vit_small_patch16_parts"),
    _row("TransReID-SSL with ICS stem", ("patch_embed.conv.0.weight", *_BLOCK), _ics, IMAGENET,
         _LUP, example="vit_small_patch16_ics"),
    _row("SOLIDER", ("stages.0.blocks.0.attn.w_msa.qkv.weight",), _mmcv_swin, IMAGENET, _SWIN,
         example="solider_swin_base"),
    _row("Swin", ("layers.0.blocks.0.attn.relative_position_bias_table",), _microsoft, None, _SWIN),
    _row("Perception Encoder", (*_RESBLOCK, "attn_pool.probe"), _pe, HALF, _PE),
    _row("CLIP", _RESBLOCK, _clip, CLIP, _QUICK),
    _row("EVA-02", ("blocks.0.attn.q_proj.weight", "pos_embed"), _eva, CLIP, _EVA),
    _row("PersonViT", ("masked_embed", *_BLOCK), _plain, HALF, _LUP, patches=128),
    _row("iBOT", ("masked_embed", *_BLOCK), _plain, IMAGENET, _VIT),
    _row("DeiT distilled", ("dist_token", *_BLOCK), _plain, IMAGENET, _VIT),
    _row("DeiT III", ("blocks.0.gamma_1", *_BLOCK), _deit3, IMAGENET, _VIT,
         example="deit3_base_patch16_224"),
    _row("MAE on LUPerson (HAP)", ("decoder_pos_embed", *_BLOCK), _plain, IMAGENET, _LUP,
         patches=128),
    _row("MAE", ("decoder_pos_embed", *_BLOCK), _plain, IMAGENET, _VIT),
    _row("TransReID-SSL", _BLOCK, _plain, IMAGENET, _LUP, wrappers=_DINO, patches=128),
    _row("DINO", _BLOCK, _plain, IMAGENET, _VIT, wrappers=_DINO),
    _row("CLIP of timm", ("norm_pre.weight", *_BLOCK), _plain, None, {**_QUICK, "quick": None}),
    _row("DeiT or MAE", _BLOCK, _plain, IMAGENET, _VIT, wrappers=("model",)),
    _row("ViT of timm", _BLOCK, _plain, None, _VIT),
    _row("EfficientNet-lite0", ("_conv_stem.weight",), _by_order, LITE0, {},
         example="tf_efficientnet_lite0"),
    _row("MobileNetV2 of torchvision", ("features.0.0.weight", "features.18.0.weight"), _by_order,
         IMAGENET, {}, example="mobilenetv2_100"),
    Layout("timm's own names", ()),
)  # fmt: skip

FINE_TUNED = {"base.": "TransReID", "image_encoder.": "CLIP-ReID"}
"""Projects whose trained models have a backbone of that name."""


def recognise(
    tensors: Mapping[str, Tensor], prefixes: tuple[str, ...] = (), wrappers: tuple[str, ...] = ()
) -> Layout:
    """Return the layout of tensors without prefixes."""
    names = {re.sub(r"^(opt/target/|params/img/|params/)", "", name) for name in tensors}
    positions = tensors.get("pos_embed")
    cells = 0 if positions is None or positions.ndim != 3 else positions.shape[1] - 1
    for layout in LAYOUTS:
        if (
            names.issuperset(layout.keys)
            and (not layout.wrappers or {*layout.wrappers} & {*wrappers[-1:]})
            and layout.patches in (0, cells)
        ):
            break
    trained = next((name for prefix, name in FINE_TUNED.items() if prefix in prefixes), "")
    if "mae." in prefixes and cells == LUPERSON_GRID[0] * LUPERSON_GRID[1]:
        layout = replace(layout, grid=LUPERSON_GRID)  # HAP's
    if trained:  # the grid is that of the images
        layout = replace(
            layout, name=f"{trained} ({layout.name})", pixels=HALF, squares=False, grid=None
        )
    return layout


def _joined_branches(tensors: Tensors, reasons: Reasons) -> Tensors:
    """Take the last block and the norm of TransReID's global branch, which JPM trained instead."""
    if "b1.0.norm1.weight" not in tensors:
        return tensors
    blocks = [re.match(r"base\.blocks\.(\d+)\.", name) for name in tensors]
    last = max(int(match[1]) for match in blocks if match)
    out = dict(tensors)
    for name in tensors:
        if re.match(rf"base\.(blocks\.{last}|norm)\.", name):
            explain(reasons, "never trained: branch b1 took its place", tensors[name])
        if name.startswith("b2."):
            explain(reasons, "branch of shuffled tokens (JPM)", tensors[name])
        for branch, target in (("b1.0.", f"base.blocks.{last}."), ("b1.1.", "base.norm.")):
            if name.startswith(branch):
                out[target + name.removeprefix(branch)] = tensors[name]
    return out
