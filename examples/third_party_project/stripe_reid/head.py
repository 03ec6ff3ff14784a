"""Head for fast-reid's ``Baseline``, on any backbone that returns a grid.

Shape shorthand: ``B`` images, ``C`` channels, ``S`` stripes, ``M`` identities.
"""

from __future__ import annotations

from typing import Any

from fastreid.config import configurable
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


@REID_HEADS_REGISTRY.register()
class StripeHead(nn.Module):
    """Head that averages horizontal stripes, joins and normalises them, and classifies.

    Args:
        num_stripes: S.
        feat_dim: C.
        num_classes: M.
    """

    @configurable
    def __init__(self, *, num_stripes: int, feat_dim: int, num_classes: int) -> None:
        super().__init__()
        self.num_stripes = num_stripes
        self.bottleneck = nn.BatchNorm1d(num_stripes * feat_dim)
        self.classifier = nn.Linear(num_stripes * feat_dim, num_classes, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.01)

    @classmethod
    def from_config(cls, cfg: Any) -> dict[str, int]:
        """Read the config.

        Raises:
            ValueError: the number of stripes is below 1.
        """
        num_stripes = cfg.MODEL.STRIPES.NUM_STRIPES
        if num_stripes < 1:
            raise ValueError(f"MODEL.STRIPES.NUM_STRIPES={num_stripes}: expected 1 or more; try 4")
        return {
            "num_stripes": num_stripes,
            "feat_dim": cfg.MODEL.BACKBONE.FEAT_DIM,
            "num_classes": cfg.MODEL.HEADS.NUM_CLASSES,
        }

    def forward(self, features: Tensor, targets: Tensor | None = None) -> Any:
        """Return descriptors (B, S * C) in evaluation, and a dict for ``Baseline`` in training.

        Args:
            features: (B, C, rows, columns).
            targets: (B,) int64 in [0, M), unused; ``Baseline`` passes them to its losses.
        """
        stripes = F.adaptive_avg_pool2d(features, (self.num_stripes, 1)).flatten(1)  # (B, S * C)
        descriptors = self.bottleneck(stripes)
        if not self.training:
            return descriptors
        logits = self.classifier(descriptors)  # (B, M)
        return {"cls_outputs": logits, "pred_class_logits": logits, "features": stripes}
