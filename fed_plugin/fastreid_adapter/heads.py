"""FED's head and its two modules, built from a host config and registered by name."""

from __future__ import annotations

from typing import Any

from fastreid.config import configurable
from fastreid.modeling.heads import REID_HEADS_REGISTRY

from fed_plugin import modeling
from fed_plugin.fastreid_adapter.config_checks import token_dim


@REID_HEADS_REGISTRY.register()
class OcclusionErasingModule(modeling.OcclusionErasingModule):
    """``modeling.OcclusionErasingModule`` for ``MODEL.FED.OEM.NAME``."""

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read the config, see ``config.py``."""
        return {"num_parts": cfg.MODEL.FED.NUM_PARTS, "embed_dim": token_dim(cfg)}


@REID_HEADS_REGISTRY.register()
class FeatureDiffusionModule(modeling.FeatureDiffusionModule):
    """``modeling.FeatureDiffusionModule`` for ``MODEL.FED.FDM.NAME``."""

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read the config, see ``config.py``."""
        fdm = cfg.MODEL.FED.FDM
        return {
            "num_parts": cfg.MODEL.FED.NUM_PARTS,
            "embed_dim": token_dim(cfg),
            "num_neighbors": fdm.NUM_NEIGHBORS,
            "num_heads": fdm.NUM_HEADS,
            "scale": fdm.SCALE,
            "head_layout": fdm.HEAD_LAYOUT,
        }


@REID_HEADS_REGISTRY.register()
class FEDHead(modeling.FEDHead):
    """``modeling.FEDHead`` for ``MODEL.HEADS.NAME``."""

    @configurable
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, Any]:
        """Read the config, see ``config.py``; OEM and FDM come from the registry."""
        fed = cfg.MODEL.FED
        return {
            "oem": REID_HEADS_REGISTRY.get(fed.OEM.NAME)(cfg) if fed.OEM.ENABLED else None,
            "fdm": REID_HEADS_REGISTRY.get(fed.FDM.NAME)(cfg) if fed.FDM.ENABLED else None,
            "num_parts": fed.NUM_PARTS,
            "embed_dim": token_dim(cfg),
            "num_classes": cfg.MODEL.HEADS.NUM_CLASSES,
            "vector_dim": cfg.MODEL.BACKBONE.get("VECTOR_DIM", 0),
            "rows": fed.ROWS,
            "global_token": fed.GLOBAL_TOKEN,
            "erasure": fed.OEM.ERASURE,
            "visibility_weight": fed.OEM.LOSS_WEIGHT,
            "share_bn": fed.FDM.SHARE_BN,
            "share_memory": fed.MEMORY.SHARED,
            "memory_momentum": fed.MEMORY.MOMENTUM,
            "temperature": fed.CONTRAST.TEMPERATURE,
        }
