"""Module for ``MODEL.FED.OEM.NAME``: one scorer for all parts.

Shape shorthand: ``B`` images, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

from typing import Any

import torch
from fastreid.config import configurable
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.backbone import token_dim


@REID_HEADS_REGISTRY.register()
class SharedVisibility(nn.Module):
    """Visibility of every part by one linear scorer; each part is scaled by its visibility.

    Args:
        embed_dim: C.
    """

    @configurable
    def __init__(self, *, embed_dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(embed_dim, 1)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, int]:
        """Read the config."""
        return {"embed_dim": token_dim(cfg)}

    def forward(self, part_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return visibility (B, P) in (0, 1) and the erased parts (B, P, C).

        Args:
            part_features: (B, P, C).
        """
        visibility = torch.sigmoid(self.score(part_features))  # (B, P, 1)
        return visibility.squeeze(-1), visibility * part_features
