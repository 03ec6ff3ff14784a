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
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fed_plugin.files import refuse_bomb
from fed_plugin.modeling.vit import TokenViT

logger = logging.getLogger("fastreid.fed_plugin.weights")  # what the log of a training shows

NUM_PREFIX_TOKENS = 1  # the cls token

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
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                refuse_bomb(archive)
        if isinstance(path, io.IOBase):
            path.seek(0)
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


# Whether weights are those of a model, as ``load_state_dict`` alone does not tell.

_TRAINING_ONLY = re.compile(
    r"(^|[._])(classifiers?|memory|memories|queue|fdm|diffused_bottleneck|centers?|criterion|"
    r"teachers?|loss|losses)\.|(^|\.)(num_batches_tracked|pixel_mean|pixel_std)$"
)
_CLASSIFIER = re.compile(r"(^|[._])heads?\.weight$")
_HEAD = re.compile(r"(^|[._])heads?\.")


def misfit(
    model: nn.Module,
    missing: Iterable[str],
    unexpected: Iterable[str],
    misshapen: Iterable[str] = (),
    *,
    begins_training: bool = False,
) -> str:
    """Return why weights are not those of a model; empty if they are.

    Weights that a training alone needs do not count, nor pixel statistics, which old files hold.

    Args:
        model: model that was loaded.
        missing: weights of the model that the checkpoint lacks.
        unexpected: weights of the checkpoint that the model lacks.
        misshapen: weights whose shapes differ.
        begins_training: whether a training begins with the weights, perhaps under another head.
    """
    may_go = _HEAD if begins_training else _CLASSIFIER
    extra = [n for n in unexpected if not _TRAINING_ONLY.search(n) and not may_go.search(n)]
    lost = [] if begins_training else [*missing]
    lost += [n for n in misshapen if not (begins_training and _HEAD.search(n))]
    rows = {getattr(module, "num_classes", None) for module in model.modules()}
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    lost = [
        n
        for n in dict.fromkeys(lost)
        if not _TRAINING_ONLY.search(n)
        and not (_CLASSIFIER.search(n) and len(shapes[n]) == 2 and shapes[n][0] in rows)
    ]
    problems = []
    if lost:
        problems.append(
            f"{len(lost)} of its weights are missing or have another shape, first {lost[0]!r}"
        )
    if extra:
        problems.append(
            f"{len(extra)} weights of the file have no place in it, first {extra[0]!r}, as those "
            "of a deeper model or of other parts"
        )
    return "; ".join(problems)


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
    content = _read_state_dict(path)
    weights = {name: content[name] for name in content if not name.startswith(UNUSED_PREFIXES)}
    if "pos_embed" in weights:
        weights["pos_embed"] = resize_position_embedding(
            weights["pos_embed"], vit.grid, source_grid, path
        )
    _check_fit(weights, vit.state_dict(), path)
    vit.load_state_dict({**content, **weights}, strict=False)  # returns the names that are unused


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

_BLOCK = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
_OEM_LAYERS = {"0": "reduce", "1": "norm", "2": "score"}
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


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
        KeyError: an unknown name that is not dead, or a missing name; a half-known file would load
            in silence and evaluate as noise.
        TypeError: an entry that is no tensor, or whose name is no text.

    Source: FED-Occluded-ReID@4a63184 (names and shapes of its checkpoints).
    """
    weights: dict[str, Tensor] = {}
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise TypeError(f"{name!r} is a {type(name).__name__}, expected a name")
        if not torch.is_tensor(value):
            raise TypeError(f"{name} is a {type(value).__name__}, expected a tensor")
        if not DEAD_WEIGHTS.match(name.removeprefix("module.")):
            weights[name.removeprefix("module.")] = value
    num_layers, num_parts = _count(weights, "base.blocks"), _count(weights, "mask_detection")
    names = _reference_names(num_layers, num_parts)
    known = [theirs for several in names.values() for theirs in several]
    unknown = sorted(weights.keys() - set(known))
    missing = [n for n in known if n not in weights and not n.endswith("num_batches_tracked")]
    missing += ["base.blocks"] * (not num_layers) + ["mask_detection"] * (not num_parts)
    for problem, culprits in (("unknown name", unknown), ("nothing for", missing)):
        if culprits:
            raise KeyError(
                f"not a checkpoint of the released FED code: {problem} {culprits[0]!r} "
                f"({len(culprits)} in all)"
            )
    tensors = {
        ours: [weights[n] for n in several if n in weights] for ours, several in names.items()
    }
    return {ours: _join_parts(ours, parts) for ours, parts in tensors.items() if parts}


def _count(weights: dict[str, Tensor], prefix: str) -> int:
    numbered = (re.match(rf"{re.escape(prefix)}\.(\d+)\.", name) for name in weights)
    return len({match[1] for match in numbered if match})


def _reference_names(num_layers: int, num_parts: int) -> dict[str, list[str]]:
    """Return the reference's names by this model's names; several where each part has a name."""
    layers = [f"blocks.{index}.{name}" for index in range(num_layers) for name in _BLOCK]
    one = {
        **{f"backbone.{name}": f"base.{name}" for name in ("cls_token", "pos_embed")},
        **{
            f"backbone.{layer}.{kind}": f"base.{layer}.{kind}"
            for layer in ("patch_embed.proj", "norm", *layers)
            for kind in ("weight", "bias")
        },
        **{ours: theirs for theirs, ours in _RENAMED.items()},
    }
    per_part = {
        **{
            f"heads.oem.{layer}.{kind}": f"mask_detection.{{}}.{index}.{kind}"
            for index, layer in _OEM_LAYERS.items()
            for kind in ("weight", "bias")
        },
        **{f"heads.bottleneck.{kind}": f"bottleneck_local.{{}}.{kind}" for kind in _BATCH_NORM},
    }
    return {
        **{ours: [theirs] for ours, theirs in one.items()},
        **{ours: [name.format(p) for p in range(num_parts)] for ours, name in per_part.items()},
    }


def _join_parts(name: str, tensors: list[Tensor]) -> Tensor:
    """Stack OEM weights to (P, ...), concatenate BatchNorm vectors to (D,)."""
    if name.startswith("heads.oem."):
        return torch.stack(tensors)
    if name.startswith("heads.bottleneck.") and tensors[0].ndim:
        return torch.cat(tensors)
    return tensors[0]
