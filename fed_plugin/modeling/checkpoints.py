"""Weights into models: those of a pre-training, and checkpoints of the released code."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fed_plugin.modeling.weight_files import unwrap_tensors
from fed_plugin.modeling.weight_layouts import FINE_TUNED, SIE, Layout
from fed_plugin.modeling.weight_loading import (
    find_source_grid,
    load_weights,
    plan_weights,
    resize_grid,
)

logger = logging.getLogger("fastreid.fed_plugin.weights")


def load_pretrained(vit: nn.Module, path: str, source_grid: tuple[int, int] = (0, 0)) -> None:
    """Load weights as the released code does, position embedding resized bilinearly.

    Raises:
        FileNotFoundError: no file at ``path``.
        ValueError: as :func:`~fed_plugin.modeling.weight_loading.load_weights`.
    """
    load_weights(vit, path, source_grid=source_grid, interpolation="bilinear")


def resize_position_embedding(
    embedding: Tensor, grid: tuple[int, int], source_grid: tuple[int, int] = (0, 0), path: str = ""
) -> Tensor:
    """Resize (1, 1 + L_old, C) to (1, 1 + rows * columns, C) bilinearly; cls stays as it is.

    Raises:
        ValueError: the grid of ``embedding`` is neither ``source_grid`` nor known.
    """
    layout = Layout("position embedding", ())
    prefix, source = find_source_grid(embedding.shape[1], [1], grid, source_grid, layout, path)
    if source == tuple(grid):
        return embedding
    cells = resize_grid(embedding[:, prefix:], source, grid, "bilinear")
    return torch.cat((embedding[:, :prefix], cells), dim=1)


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


# Checkpoints that TransReID and projects after it fine-tuned, for the host's Baseline.

_THEIR_HEAD = {"bottleneck.": "heads.bottleneck.0.", "classifier.": "heads."}


def is_fine_tuned(content: Any) -> bool:
    """Return whether a file holds a backbone and the BNNeck of a project of ``FINE_TUNED``."""
    names = [str(name).removeprefix("module.") for name in content]
    return "bottleneck.running_mean" in names and any(n.startswith((*FINE_TUNED,)) for n in names)


def in_host_layout(content: Any, path: str, model: Any) -> dict[str, Tensor]:
    """Name fine-tuned weights as the host's Baseline does: a vector or map, and a BNNeck.

    Args:
        content: what the file holds.
        path: of the file.
        model: the host's ``Baseline`` with an ``EmbeddingHead``.

    Raises:
        ValueError: the model has another head, backbone, size or normalisation than the weights;
            or the head of the weights joins several features (TransReID's JPM).
    """
    file = unwrap_tensors(content, path)
    whose = f"path={path!r}: weights that TransReID, or a project after it, fine-tuned"
    if "heads.bottleneck.0.running_mean" not in model.state_dict():
        raise ValueError(
            f"{whose}; expected META_ARCHITECTURE Baseline, HEADS.NAME EmbeddingHead and "
            "HEADS.WITH_BNNECK True"
        )
    if any(re.match(r"(module\.)?b1\.", name) for name in file.tensors):
        raise ValueError(
            f"{whose}, whose head joins the features of several branches (JPM), which the host's "
            "Baseline does not; expected a model with one feature and a BNNeck"
        )
    is_timm = hasattr(model.backbone, "model")
    backbone, prefix = (model.backbone.model, "model.") if is_timm else (model.backbone, "")
    pixels = tuple(getattr(model, key).flatten().tolist() for key in ("pixel_mean", "pixel_std"))
    report, weights = plan_weights(backbone, path, file=file, pixels=pixels, keep=("heads",))
    report.check()
    logger.info("Read %s as %s, %s\n%s", path, report.layout, report.counts, report.table())
    renamed = {f"backbone.{prefix}{name}": tensor for name, tensor in weights.items()}
    unused = [row.tensor for row in report.rows if row.detail == SIE]
    for name, tensor in report.kept.items():
        layer, dot, kind = name.removeprefix("module.").rpartition(".")
        if layer + dot in _THEIR_HEAD:
            renamed[_THEIR_HEAD[layer + dot] + kind] = tensor.as_subclass(Tensor)
        else:
            unused.append(name)
    if unused:
        logger.warning(
            "%s: the descriptor is that of the BNNeck alone; %d weights of other features, or of "
            "cameras and views, are left out, first %s",
            *(path, len(unused), unused[0]),
        )
    return renamed


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
