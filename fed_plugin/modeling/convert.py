"""Checkpoints of the released FED code, renamed for this model."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

DEAD_WEIGHTS = re.compile(r"(bottleneck_local_stage2|classifier_local)\.\d+\.|base\.fc\.")
"""Weights that never receive a gradient in the released code."""

_RENAMED = {
    "classifier1.weight": "heads.erased_classifier.weight",
    "classifier2.weight": "heads.diffused_classifier.weight",
    "classifier3.weight": "heads.global_classifier.weight",
    "cross_attention.q.weight": "heads.fdm.attention.q.weight",
    "cross_attention.kv.weight": "heads.fdm.attention.kv.weight",
    "cross_attention.proj.weight": "heads.fdm.attention.proj.weight",
    "cross_attention.proj.bias": "heads.fdm.attention.proj.bias",
    **{
        f"{theirs}.layers2.{their_layer}.{kind}": f"heads.fdm.{ours}.{our_layer}.{kind}"
        for theirs, ours in (("ffn2", "ffn_neighbors"), ("ffn3", "ffn_fused"))
        for their_layer, our_layer in (
            ("norm", "norm"),
            ("fn.net.0", "expand"),
            ("fn.net.3", "contract"),
        )
        for kind in ("weight", "bias")
    },
}

_BACKBONE = re.compile(
    r"base\.(cls_token|pos_embed|patch_embed\.proj\.(weight|bias)|norm\.(weight|bias)"
    r"|blocks\.\d+\.(norm1|norm2|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.(weight|bias))"
)
_OEM_LAYERS = {"0": "reduce", "1": "norm", "2": "score"}
_OEM = re.compile(r"mask_detection\.(\d+)\.([012])\.(weight|bias)")
_BATCH_NORM = re.compile(
    r"bottleneck_local\.(\d+)\.(weight|bias|running_mean|running_var|num_batches_tracked)"
)


def convert_reference_state_dict(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a checkpoint of the released code into this model's names.

    Per-part layers are stacked, dead weights are dropped by name, a ``module.`` prefix is cut.
    The released code keeps its memory outside the checkpoint: evaluation does not need it, and
    training fills it again.

    Args:
        state_dict: names and tensors of a released checkpoint.

    Returns:
        State dict of the ``FED`` meta-architecture, in the reference's setting.

    Raises:
        KeyError: a name that is neither converted nor known as dead, or one that is missing;
            a half-known file would load in silence and evaluate as noise.
        TypeError: an entry that is no tensor, or whose name is no text.

    Source: FED-Occluded-ReID@4a63184 (names and shapes of its checkpoints).
    """
    converted: dict[str, Tensor] = {}
    parts: dict[str, dict[int, Tensor]] = {}
    unknown = []
    for full_name, value in state_dict.items():
        if not isinstance(full_name, str):
            raise TypeError(f"{full_name!r} is a {type(full_name).__name__}, expected a name")
        if not torch.is_tensor(value):
            raise TypeError(f"{full_name} is a {type(value).__name__}, expected a tensor")
        name = full_name.removeprefix("module.")
        if DEAD_WEIGHTS.match(name):
            continue
        if name in _RENAMED:
            converted[_RENAMED[name]] = value
        elif _BACKBONE.fullmatch(name):
            converted["backbone." + name.removeprefix("base.")] = value
        elif match := _OEM.fullmatch(name):
            part, layer, kind = match.groups()
            parts.setdefault(f"heads.oem.{_OEM_LAYERS[layer]}.{kind}", {})[int(part)] = value
        elif match := _BATCH_NORM.fullmatch(name):
            part, kind = match.groups()
            parts.setdefault(f"heads.bottleneck.{kind}", {})[int(part)] = value
        else:
            unknown.append(full_name)
    if unknown:
        raise KeyError(
            f"not a checkpoint of the released FED code: unknown name {unknown[0]!r} "
            f"({len(unknown)} in all)"
        )
    converted.update({name: _join_parts(name, tensors) for name, tensors in parts.items()})
    _check_complete(converted)
    return converted


def _join_parts(name: str, tensors: dict[int, Tensor]) -> Tensor:
    """Stack OEM weights to (P, ...), concatenate BatchNorm vectors to (D,)."""
    missing = set(range(max(tensors) + 1)) - tensors.keys()
    if missing:
        raise KeyError(f"the checkpoint lacks part {min(missing)} of {name}")
    ordered = [tensors[part] for part in sorted(tensors)]
    if name.startswith("heads.oem."):
        return torch.stack(ordered)
    if name.endswith("num_batches_tracked"):
        return ordered[0]
    return torch.cat(ordered)


def _check_complete(converted: dict[str, Tensor]) -> None:
    num_layers = len({n.split(".")[2] for n in converted if n.startswith("backbone.blocks.")})
    expected = set(_RENAMED.values())
    expected |= {"backbone.cls_token", "backbone.pos_embed"}
    linear_layers = ["backbone.patch_embed.proj", "backbone.norm"]
    for layer in range(num_layers):
        linear_layers += [
            f"backbone.blocks.{layer}.{name}"
            for name in ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
        ]
    linear_layers += [f"heads.oem.{name}" for name in _OEM_LAYERS.values()]
    linear_layers.append("heads.bottleneck")
    expected |= {f"{name}.{kind}" for name in linear_layers for kind in ("weight", "bias")}
    expected |= {f"heads.bottleneck.{n}" for n in ("running_mean", "running_var")}
    missing = sorted(expected - converted.keys())
    if missing or not num_layers:
        raise KeyError(
            f"not a checkpoint of the released FED code: nothing for "
            f"{(missing or ['backbone.blocks'])[0]!r} ({max(len(missing), 1)} missing in all)"
        )
