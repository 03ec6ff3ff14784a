"""The token ViT, built from a host config."""

from __future__ import annotations

from typing import Any

from fastreid.modeling.backbones import BACKBONE_REGISTRY

from fed_plugin.fastreid_adapter.config import naming_keys
from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_pretrained_path,
    token_dim,  # noqa: F401 - other projects import it from here
    vit_size,
)
from fed_plugin.modeling.checkpoints import load_pretrained
from fed_plugin.modeling.vit import TokenViT


@BACKBONE_REGISTRY.register()
def build_fed_vit_backbone(cfg: Any) -> TokenViT:
    """Build the ViT that keeps its tokens, with ImageNet weights if the config names them.

    Raises:
        ValueError: keys that contradict each other, see ``check_config``; or a file that holds
            other weights.
        FileNotFoundError: no file at ``MODEL.BACKBONE.PRETRAIN_PATH``.
    """
    check_config(cfg)
    backbone, vit = cfg.MODEL.BACKBONE, cfg.MODEL.FED.VIT
    model = TokenViT(
        tuple(cfg.INPUT.SIZE_TRAIN),
        vit_size(cfg),
        stride=tuple(backbone.STRIDE_SIZE),
        output=vit.OUTPUT,
        drop_path=backbone.DROP_PATH_RATIO,
        drop=backbone.DROP_RATIO,
        attn_drop=backbone.ATT_DROP_RATE,
        recompute=vit.RECOMPUTE,
    )
    if backbone.PRETRAIN:
        check_pretrained_path(cfg)
        with naming_keys(
            path="MODEL.BACKBONE.PRETRAIN_PATH", source_grid="MODEL.FED.VIT.PRETRAIN_GRID"
        ):
            load_pretrained(model, backbone.PRETRAIN_PATH, tuple(vit.PRETRAIN_GRID))
    return model
