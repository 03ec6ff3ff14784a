"""Contradictions in a FED config, found before any data is read."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from fed_plugin.fastreid_adapter.backbone import token_dim, vit_size
from fed_plugin.modeling.fdm import HEAD_LAYOUTS, SCALES
from fed_plugin.modeling.head import ERASURES, GLOBAL_TOKENS
from fed_plugin.modeling.oem import REDUCTION
from fed_plugin.modeling.visibility import VISIBILITY_RULES

CHOICES = {
    "PRECISION": ("fp32", "bf16"),
    "GLOBAL_TOKEN": GLOBAL_TOKENS,
    "OEM.TARGET": VISIBILITY_RULES,
    "OEM.ERASURE": ERASURES,
    "FDM.SCALE": SCALES,
    "FDM.HEAD_LAYOUT": HEAD_LAYOUTS,
    "MEMORY.INIT": ("centroids", "zeros"),
    "VIT.OUTPUT": ("tokens",),
}


def check_fed_config(cfg: Any) -> None:
    """Refuse a config that the FED meta-architecture cannot train.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    fed = cfg.MODEL.FED
    for key, allowed in CHOICES.items():
        value = _get(fed, key)
        if value not in allowed:
            _refuse(f"MODEL.FED.{key}", value, f"one of {', '.join(map(repr, allowed))}")
    for key in ("NUM_PARTS", "FDM.NUM_NEIGHBORS", "FDM.NUM_HEADS"):
        if _get(fed, key) < 1:
            _refuse(f"MODEL.FED.{key}", _get(fed, key), "1 or more")
    if not 0 <= fed.MEMORY.MOMENTUM <= 1:
        _refuse("MODEL.FED.MEMORY.MOMENTUM", fed.MEMORY.MOMENTUM, "a share in [0, 1]")
    if not 0 <= fed.OEM.LOSS_WEIGHT < float("inf"):
        _refuse("MODEL.FED.OEM.LOSS_WEIGHT", fed.OEM.LOSS_WEIGHT, "a number of 0 or more")
    if fed.CONTRAST.TEMPERATURE <= 0:
        _refuse("MODEL.FED.CONTRAST.TEMPERATURE", fed.CONTRAST.TEMPERATURE, "a number above 0")
    if cfg.INPUT.NPO.VIEWS != 2:
        _refuse("INPUT.NPO.VIEWS", cfg.INPUT.NPO.VIEWS, "2 for META_ARCHITECTURE FED")
    if cfg.MODEL.HEADS.NAME != "FEDHead":
        _refuse("MODEL.HEADS.NAME", cfg.MODEL.HEADS.NAME, "'FEDHead' for META_ARCHITECTURE FED")
    num_classes = cfg.MODEL.HEADS.NUM_CLASSES
    if fed.FDM.ENABLED and num_classes and fed.FDM.NUM_NEIGHBORS >= num_classes:
        _refuse(
            "MODEL.FED.FDM.NUM_NEIGHBORS",
            fed.FDM.NUM_NEIGHBORS,
            f"fewer than the {num_classes} training identities",
        )
    _check_parts(cfg)


def _check_parts(cfg: Any) -> None:
    """Refuse parts that do not cut the token grid into equal stripes."""
    num_parts, channels = cfg.MODEL.FED.NUM_PARTS, token_dim(cfg)
    if channels % REDUCTION:
        _refuse("MODEL.FED.VIT.EMBED_DIM", channels, f"a multiple of {REDUCTION}")
    if num_parts * channels % cfg.MODEL.FED.FDM.NUM_HEADS:
        _refuse(
            "MODEL.FED.FDM.NUM_HEADS",
            cfg.MODEL.FED.FDM.NUM_HEADS,
            f"a divisor of the {num_parts * channels} channels of {num_parts} parts",
        )
    if cfg.MODEL.BACKBONE.NAME != "build_fed_vit_backbone":
        return  # another project's backbone knows its own grid
    height, stride = cfg.INPUT.SIZE_TRAIN[0], cfg.MODEL.BACKBONE.STRIDE_SIZE[0]
    rows = (height - vit_size(cfg).patch_size) // stride + 1
    if rows % num_parts:
        _refuse(
            "MODEL.FED.NUM_PARTS",
            num_parts,
            f"a divisor of the {rows} rows of the token grid (INPUT.SIZE_TRAIN {height} pixels "
            f"high, MODEL.BACKBONE.STRIDE_SIZE {stride})",
        )


def check_targets(targets: Tensor, num_classes: int) -> Tensor:
    """Return ``targets`` (B,) unchanged if all lie in [0, M).

    Raises:
        ValueError: one does not.
    """
    if not num_classes:
        raise ValueError(
            "MODEL.HEADS.NUM_CLASSES=0: expected the number of training identities; fast-reid's "
            "DefaultTrainer counts them, another loop (tools/plain_train_net.py) has to be told"
        )
    if int(targets.max()) >= num_classes:
        raise ValueError(
            f"MODEL.HEADS.NUM_CLASSES={num_classes}: a batch holds target {int(targets.max())}; "
            "expected targets in [0, NUM_CLASSES), try 0 to have them counted"
        )
    return targets


def _get(node: Any, path: str) -> Any:
    for name in path.split("."):
        node = node[name]
    return node


def _refuse(key: str, value: Any, expected: str) -> None:
    raise ValueError(f"{key}={value!r}: expected {expected}")
