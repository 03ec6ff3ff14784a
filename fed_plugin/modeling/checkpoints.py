"""Checkpoints read without executing anything: ImageNet weights, and weights of the released code.

Shape shorthand: ``C`` channels, ``L`` patch tokens on a ``(rows, columns)`` grid.
"""

from __future__ import annotations

import io
import logging
import math
import os
import pickle
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fed_plugin.modeling.vit import NUM_PREFIX_TOKENS, TokenViT

logger = logging.getLogger(__name__)

SAFETENSORS = ".safetensors"

UNUSED_PREFIXES = ("head", "pre_logits", "fc_norm", "fc.")
"""Classifier parts of a timm checkpoint, which a re-ID model has no place for."""


def read_weights(path: str | os.PathLike[str] | io.BytesIO, numbers: Any = ()) -> Any:
    """Read a checkpoint, or the tensors of a ``.safetensors`` file.

    Args:
        path: file to read, or an open binary file whose ``str`` is a path.
        numbers: further names that a checkpoint may mention, as
            ``torch.serialization.safe_globals`` takes them.

    Returns:
        What the file holds, on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file holds something else, or needs code to run; the message is a reason
            without the file's name.
    """
    if not isinstance(path, io.IOBase):
        os.stat(path)
    try:
        if str(path).endswith(SAFETENSORS):
            return _read_safetensors(path)
        with torch.serialization.safe_globals(list(numbers)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # the unpicklers raise a dozen kinds of errors on noise
        raise ValueError(_reason(error)) from error


def unwrapped(content: Any) -> Any:
    """Return the state dict of a checkpoint, alone or under ``model`` or ``state_dict``."""
    for wrapper in ("model", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    return content


def _read_safetensors(path: Any) -> dict[str, torch.Tensor]:
    try:
        from safetensors.torch import load, load_file
    except ImportError as error:
        raise ValueError(
            "reading safetensors needs a package of that name; try "
            "`pip install fed_plugin[safetensors]`"
        ) from error
    is_open = isinstance(path, io.IOBase)
    tensors: dict[str, torch.Tensor] = load(path.read()) if is_open else load_file(path)
    return tensors


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, pickle.UnpicklingError) and "eights only load failed" in text:
        return "it holds more than tensors, which would have to be executed"
    return text.splitlines()[0] if text else type(error).__name__


# ImageNet weights with timm's names.


def load_pretrained(vit: TokenViT, path: str, source_grid: tuple[int, int] = (0, 0)) -> None:
    """Load a timm-named ViT checkpoint into ``vit``, position embedding resized.

    Args:
        vit: model to fill, in place.
        path: file with a state dict, alone or under ``model`` or ``state_dict``.
        source_grid: ``(rows, columns)`` of the file's position embedding; ``(0, 0)`` takes a
            square grid where one fits, else the factors closest to the shape of ``vit.grid``.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: the file is no checkpoint, a name is missing or unknown, or a shape is wrong.
    """
    weights = {
        name: value
        for name, value in _read_state_dict(path).items()
        if not name.startswith(UNUSED_PREFIXES)
    }
    if "pos_embed" in weights:
        weights["pos_embed"] = resize_position_embedding(
            weights["pos_embed"], vit.grid, source_grid, path
        )
    _check_fit(weights, vit.state_dict(), path)
    vit.load_state_dict(weights)
    logger.info("Loaded %d pretrained tensors from %s", len(weights), path)


def resize_position_embedding(
    embedding: Tensor, grid: tuple[int, int], source_grid: tuple[int, int] = (0, 0), path: str = ""
) -> Tensor:
    """Resize a position embedding to another grid, bilinearly; the cls entry stays as it is.

    Args:
        embedding: (1, 1 + L_old, C).
        grid: ``(rows, columns)`` wanted.
        source_grid: ``(rows, columns)`` of ``embedding``; ``(0, 0)`` to infer them.
        path: file of the embedding, for the error message.

    Returns:
        (1, 1 + rows * columns, C).

    Raises:
        ValueError: ``source_grid`` does not hold L_old tokens, or ``embedding`` is no such tensor.
    """
    if embedding.ndim != 3 or embedding.shape[1] <= NUM_PREFIX_TOKENS:
        raise ValueError(
            f"path={path!r}: pos_embed is {tuple(embedding.shape)}, expected (1, 1 + L, C)"
        )
    num_tokens = embedding.shape[1] - NUM_PREFIX_TOKENS
    rows, columns = source_grid if any(source_grid) else _infer_grid(num_tokens, grid)
    if rows * columns != num_tokens:
        raise ValueError(
            f"source_grid={tuple(source_grid)}: {path!r} holds {num_tokens} "
            f"position embeddings, expected {rows} x {columns}"
        )
    if (rows, columns) == tuple(grid):
        return embedding
    prefix, patches = embedding[:, :NUM_PREFIX_TOKENS], embedding[:, NUM_PREFIX_TOKENS:]
    patches = patches.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)  # (1, C, rows, columns)
    patches = F.interpolate(patches, size=grid, mode="bilinear", align_corners=False)
    logger.info("Resized position embedding from %dx%d to %dx%d", rows, columns, *grid)
    return torch.cat((prefix, patches.flatten(2).transpose(1, 2)), dim=1)


def _infer_grid(num_tokens: int, grid: tuple[int, int]) -> tuple[int, int]:
    side = math.isqrt(num_tokens)
    if side * side == num_tokens:
        return side, side
    wanted = math.log(grid[0] / grid[1])
    rows = min(
        (r for r in range(1, num_tokens + 1) if num_tokens % r == 0),
        key=lambda r: abs(math.log(r * r / num_tokens) - wanted),
    )
    return rows, num_tokens // rows


def _read_state_dict(path: str) -> dict[str, Tensor]:
    try:
        content = unwrapped(read_weights(path))
    except ValueError as error:
        raise ValueError(f"path={path!r}: not a PyTorch checkpoint of tensors ({error})") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"path={path!r}: holds a {type(content).__name__}, expected a state dict")
    return {
        name.removeprefix("module."): value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _check_fit(weights: dict[str, Tensor], expected: dict[str, Tensor], path: str) -> None:
    unknown = sorted(weights.keys() - expected.keys())
    missing = sorted(expected.keys() - weights.keys())
    if unknown or missing:
        raise ValueError(
            f"path={path!r}: not the weights of this ViT; "
            f"missing {missing[:3]} ({len(missing)} in all), "
            f"unknown {unknown[:3]} ({len(unknown)} in all)"
        )
    for name, value in weights.items():
        if value.shape != expected[name].shape:
            raise ValueError(
                f"path={path!r}: {name} is {tuple(value.shape)}, expected "
                f"{tuple(expected[name].shape)} by the size of the ViT and of its images"
            )


# Checkpoints of the released FED code, renamed for this model.

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
    The released code keeps its memory outside the checkpoint: evaluation does not need the memory,
    and training fills the memory again.

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
