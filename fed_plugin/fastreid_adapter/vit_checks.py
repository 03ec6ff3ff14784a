"""Contradictions among the keys that describe ``build_fed_vit_backbone``, found without a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fed_plugin.fastreid_adapter.key_checks import check_keys, value_of
from fed_plugin.fastreid_adapter.key_kinds import number, pair, whole
from fed_plugin.modeling.vit import VIT_PRESETS, ViTSize

NAME = "build_fed_vit_backbone"

_HOST_KINDS = {
    "INPUT.SIZE_TRAIN": pair(whole(1), "[height, width] in pixels, 1 or more"),
    "INPUT.SIZE_TEST": pair(whole(1), "[height, width] in pixels, 1 or more"),
    "MODEL.BACKBONE.STRIDE_SIZE": pair(whole(1), "(vertical, horizontal) pixels, 1 or more"),
    **{
        # All of them dropped would be divided by the 0 that is kept.
        f"MODEL.BACKBONE.{key}": number(0, 0.999, "a share in [0, 1), up to 0.999")
        for key in ("DROP_PATH_RATIO", "DROP_RATIO", "ATT_DROP_RATE")
    },
}


def vit_size(cfg: Any) -> ViTSize:
    """Return the preset of ``MODEL.BACKBONE.DEPTH`` with ``MODEL.FED.VIT`` laid over it.

    Raises:
        ValueError: an unknown preset.
    """
    depth, vit = cfg.MODEL.BACKBONE.DEPTH, cfg.MODEL.FED.VIT
    if depth not in VIT_PRESETS:
        raise ValueError(
            f"MODEL.BACKBONE.DEPTH={depth!r}: expected one of {', '.join(VIT_PRESETS)} "
            "for build_fed_vit_backbone"
        )
    chosen = {
        "num_layers": vit.NUM_LAYERS,
        "embed_dim": vit.EMBED_DIM,
        "num_heads": vit.NUM_HEADS,
        "patch_size": vit.PATCH_SIZE,
    }
    return replace(VIT_PRESETS[depth], **{name: value for name, value in chosen.items() if value})


def check_vit(cfg: Any) -> None:
    """Refuse a ViT that cannot be built, or that could not take the images of the pipeline.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="MODEL.FED.VIT.")
    for key, kind in _HOST_KINDS.items():
        value = value_of(cfg, key)
        if not kind.accepts(value):
            raise ValueError(f"{key}={value!r}: expected {kind.expected}, for {NAME}")
    size, backbone = vit_size(cfg), cfg.MODEL.BACKBONE
    if size.embed_dim % size.num_heads:
        raise ValueError(
            f"MODEL.FED.VIT.NUM_HEADS={size.num_heads}: expected a divisor of {size.embed_dim}, "
            "the width that MODEL.FED.VIT.EMBED_DIM or MODEL.BACKBONE.DEPTH sets"
        )
    if cfg.MODEL.FED.VIT.OUTPUT == "cls" and backbone.FEAT_DIM != size.embed_dim:
        raise ValueError(
            f"MODEL.BACKBONE.FEAT_DIM={backbone.FEAT_DIM}: expected {size.embed_dim}, the width of "
            "the ViT that MODEL.BACKBONE.DEPTH and MODEL.FED.VIT.EMBED_DIM describe"
        )
    _check_images(cfg, size)


def token_rows(cfg: Any) -> int:
    """Return the rows of the token grid."""
    height, stride = cfg.INPUT.SIZE_TRAIN[0], cfg.MODEL.BACKBONE.STRIDE_SIZE[0]
    return (height - vit_size(cfg).patch_size) // stride + 1


def _check_images(cfg: Any, size: ViTSize) -> None:
    """Refuse image sizes that differ, or that are smaller than a patch."""
    trained, tested = tuple(cfg.INPUT.SIZE_TRAIN), tuple(cfg.INPUT.SIZE_TEST)
    if trained != tested:
        raise ValueError(
            f"INPUT.SIZE_TRAIN={list(trained)} and INPUT.SIZE_TEST={list(tested)}: "
            "expected the same size, a ViT's position embedding fits one"
        )
    crop = cfg.INPUT.CROP
    if crop.ENABLED and tuple(crop.SIZE) != trained:
        raise ValueError(
            f"INPUT.CROP.SIZE={list(crop.SIZE)}: expected {list(trained)}, INPUT.SIZE_TRAIN, as a "
            "ViT's position embedding fits one size"
        )
    if min(trained) < size.patch_size:
        raise ValueError(
            f"MODEL.FED.VIT.PATCH_SIZE={size.patch_size}: expected {min(trained)} or fewer pixels, "
            f"as the images of INPUT.SIZE_TRAIN are {list(trained)}"
        )
