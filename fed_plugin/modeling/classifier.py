"""The linear layer that scores identities."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Classifier(nn.Module):
    """A bias-free linear classifier that starts near zero, so that first losses are near ln M.

    Args:
        in_features: channels of a feature.
        num_classes: identities M; 0 for a head that only evaluates.
    """

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.001 * torch.randn(num_classes, in_features))

    def forward(self, features: Tensor) -> Tensor:
        """Score identities, (..., in_features) -> (..., M)."""
        return F.linear(features, self.weight)
