"""Contradictions in a config, found before any data is read and without a file."""

from __future__ import annotations

from typing import Any

import torch
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from torch import Tensor

from fed_plugin.fastreid_adapter.backbone import build_fed_vit_backbone, token_dim
from fed_plugin.fastreid_adapter.host_key_checks import check_host_keys
from fed_plugin.fastreid_adapter.key_checks import check_keys, value_of
from fed_plugin.fastreid_adapter.key_kinds import number, several
from fed_plugin.fastreid_adapter.npo_checks import check_extra_transforms, check_npo
from fed_plugin.fastreid_adapter.protocol import check_p_dukemtmc
from fed_plugin.fastreid_adapter.transform_registry import is_registered
from fed_plugin.fastreid_adapter.vit_checks import check_vit, token_rows
from fed_plugin.modeling.oem import REDUCTION

OWN_BACKBONE = build_fed_vit_backbone.__name__

_COLORS = {
    "MODEL.PIXEL_MEAN": several(3, number(-1e6, 1e6, ""), "three numbers"),
    "MODEL.PIXEL_STD": several(3, number(1e-3, 1e6, ""), "three numbers above 0"),
}


def check_config(cfg: Any) -> None:
    """Refuse a config in which a key of this plugin is wrong or contradicts another.

    A config that uses none of them passes, if its values are some that the host can use. Only the
    config is looked at, so that one of a trained model passes where the files of its training are
    not; see ``check_training`` for those.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg)
    check_host_keys(cfg)
    check_npo(cfg)
    check_extra_transforms(cfg)
    check_p_dukemtmc(cfg)
    if cfg.MODEL.META_ARCHITECTURE == "FED":
        check_fed_config(cfg)
    elif cfg.MODEL.BACKBONE.NAME == OWN_BACKBONE:
        check_vit(cfg)


def check_fed_config(cfg: Any) -> None:
    """Refuse a config that the FED meta-architecture cannot train.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="MODEL.FED.")
    fed = cfg.MODEL.FED
    if fed.VIT.OUTPUT != "tokens":
        _refuse("MODEL.FED.VIT.OUTPUT", fed.VIT.OUTPUT, "one of 'tokens' for META_ARCHITECTURE FED")
    if cfg.INPUT.NPO.VIEWS != 2:
        _refuse("INPUT.NPO.VIEWS", cfg.INPUT.NPO.VIEWS, "2 for META_ARCHITECTURE FED")
    if cfg.MODEL.HEADS.NAME != "FEDHead":
        _refuse("MODEL.HEADS.NAME", cfg.MODEL.HEADS.NAME, "'FEDHead' for META_ARCHITECTURE FED")
    for module in ("OEM", "FDM"):
        name = fed[module].NAME
        if fed[module].ENABLED and not is_registered(REID_HEADS_REGISTRY, name):
            _refuse(f"MODEL.FED.{module}.NAME", name, "a name in REID_HEADS_REGISTRY")
    num_classes = cfg.MODEL.HEADS.NUM_CLASSES
    if fed.FDM.ENABLED and num_classes and fed.FDM.NUM_NEIGHBORS >= num_classes:
        _refuse(
            "MODEL.FED.FDM.NUM_NEIGHBORS",
            fed.FDM.NUM_NEIGHBORS,
            f"fewer than the {num_classes} training identities",
        )
    _check_backbone(cfg)
    _check_channels(cfg)
    _check_normalisation(cfg)


def _check_backbone(cfg: Any) -> None:
    """Refuse a backbone without tokens, and parts that do not cut their grid into equal stripes."""
    name, num_parts = cfg.MODEL.BACKBONE.NAME, cfg.MODEL.FED.NUM_PARTS
    known = is_registered(BACKBONE_REGISTRY, name)
    if not known or BACKBONE_REGISTRY.get(name).__module__.startswith("fastreid."):
        _refuse("MODEL.BACKBONE.NAME", name, f"{OWN_BACKBONE!r}, or another that yields tokens")
    if name != OWN_BACKBONE:
        return  # another project's backbone knows its own grid
    check_vit(cfg)
    rows = token_rows(cfg)
    if rows % num_parts:
        _refuse(
            "MODEL.FED.NUM_PARTS",
            num_parts,
            f"a divisor of the {rows} rows of the token grid (INPUT.SIZE_TRAIN "
            f"{cfg.INPUT.SIZE_TRAIN[0]} pixels high, MODEL.BACKBONE.STRIDE_SIZE "
            f"{cfg.MODEL.BACKBONE.STRIDE_SIZE[0]})",
        )


def _check_channels(cfg: Any) -> None:
    """Refuse channels that the OEM or the attention heads of the FDM cannot share out."""
    fed, channels = cfg.MODEL.FED, token_dim(cfg)
    if fed.OEM.ENABLED and channels % REDUCTION:
        _refuse("MODEL.FED.VIT.EMBED_DIM", channels, f"a multiple of {REDUCTION}")
    if fed.FDM.ENABLED and fed.NUM_PARTS * channels % fed.FDM.NUM_HEADS:
        _refuse(
            "MODEL.FED.FDM.NUM_HEADS",
            fed.FDM.NUM_HEADS,
            f"a divisor of the {fed.NUM_PARTS * channels} channels of {fed.NUM_PARTS} parts",
        )


def _check_normalisation(cfg: Any) -> None:
    """Refuse what no colour image can be normalised with."""
    for key, kind in _COLORS.items():
        value = value_of(cfg, key)
        if not kind.accepts(value):
            _refuse(key, value, kind.expected)


def check_targets(targets: Tensor, num_classes: int) -> bool:
    """Say whether all ``targets`` (B,) are identities; negative ones stand for nobody.

    One look at least and most together: on a GPU it is waited for, once.

    Raises:
        ValueError: one is M or more, or M is 0.
    """
    if not num_classes:
        raise ValueError(
            "MODEL.HEADS.NUM_CLASSES=0: expected the number of training identities; fast-reid's "
            "DefaultTrainer counts them, another loop (tools/plain_train_net.py) has to be told"
        )
    least, most = torch.stack((targets.min(), targets.max())).tolist()
    if most >= num_classes:
        raise ValueError(
            f"MODEL.HEADS.NUM_CLASSES={num_classes}: a batch holds target {most}; "
            "expected targets in [0, NUM_CLASSES), try 0 to have them counted"
        )
    return least >= 0


def _refuse(key: str, value: Any, expected: str) -> None:
    raise ValueError(f"{key}={value!r}: expected {expected}")
