"""The token ViT, built from a host config."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastreid.modeling.backbones import BACKBONE_REGISTRY

from fed_plugin.modeling.pretrained import load_pretrained
from fed_plugin.modeling.vit import VIT_PRESETS, TokenViT, ViTSize


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


def token_dim(cfg: Any) -> int:
    """Return the channels C of the configured backbone's tokens."""
    if cfg.MODEL.BACKBONE.NAME == build_fed_vit_backbone.__name__:
        return vit_size(cfg).embed_dim
    return cfg.MODEL.BACKBONE.FEAT_DIM


@BACKBONE_REGISTRY.register()
def build_fed_vit_backbone(cfg: Any) -> TokenViT:
    """Build the ViT that keeps its tokens, with ImageNet weights if the config names them.

    Raises:
        ValueError: image sizes that differ between training and test, or a ``FEAT_DIM`` that a
            stock head would trip over.
        FileNotFoundError: no file at ``MODEL.BACKBONE.PRETRAIN_PATH``.
    """
    size, backbone, vit = vit_size(cfg), cfg.MODEL.BACKBONE, cfg.MODEL.FED.VIT
    image_size, test_size = tuple(cfg.INPUT.SIZE_TRAIN), tuple(cfg.INPUT.SIZE_TEST)
    if image_size != test_size:
        raise ValueError(
            f"INPUT.SIZE_TRAIN={list(image_size)} and INPUT.SIZE_TEST={list(test_size)}: "
            "expected the same size, a ViT's position embedding fits one"
        )
    if vit.OUTPUT == "cls" and backbone.FEAT_DIM != size.embed_dim:
        raise ValueError(
            f"MODEL.BACKBONE.FEAT_DIM={backbone.FEAT_DIM}: expected {size.embed_dim}, the width of "
            "the ViT that MODEL.BACKBONE.DEPTH and MODEL.FED.VIT.EMBED_DIM describe"
        )
    model = TokenViT(
        image_size,
        size,
        stride=tuple(backbone.STRIDE_SIZE),
        output=vit.OUTPUT,
        drop_path=backbone.DROP_PATH_RATIO,
        drop=backbone.DROP_RATIO,
        attn_drop=backbone.ATT_DROP_RATE,
    )
    if backbone.PRETRAIN:
        load_pretrained(model, backbone.PRETRAIN_PATH, tuple(vit.PRETRAIN_GRID))
    return model
