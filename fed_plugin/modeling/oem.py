"""Occlusion Erasing Module: how visible each part is, and what remains of it.

Shape shorthand: ``B`` images, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fed_plugin.modeling.parts import PartLayerNorm, PartLinear

REDUCTION = 4
"""``W1`` maps C channels to C / 4."""


class NothingErased(nn.Module):
    """Stand in for the OEM where a method goes without one: every part counts as visible."""

    def forward(self, part_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return visibility 1 (B, P) and the parts (B, P, C) as they came."""
        return part_features.new_ones(part_features.shape[:2]), part_features


class OcclusionErasingModule(nn.Module):
    """Estimate a visibility per part and scale the part by it.

    ``s_i = sigmoid(w2 . LN(W1 f_i + b1) + b2)``, weights not shared among parts, no other
    non-linearity.

    Args:
        num_parts: P.
        embed_dim: C, divisible by 4.

    Source: FED-Occluded-ReID@4a63184 (behaviour as described in the project's FED.md, 2).
    """

    def __init__(self, num_parts: int, embed_dim: int) -> None:
        super().__init__()
        hidden_dim = embed_dim // REDUCTION
        self.reduce = PartLinear(num_parts, embed_dim, hidden_dim)
        self.norm = PartLayerNorm(num_parts, hidden_dim)
        self.score = PartLinear(num_parts, hidden_dim, 1)

    def forward(self, part_features: Tensor) -> tuple[Tensor, Tensor]:
        """Erase what is not visible.

        Args:
            part_features: ``f`` (B, P, C).

        Returns:
            ``visibility`` s (B, P) in (0, 1), 1 = visible; and ``s_i f_i`` (B, P, C), before
            BatchNorm. Gradients flow through both.
        """
        score = self.score(self.norm(self.reduce(part_features)))  # (B, P, 1)
        visibility = torch.sigmoid(score)
        return visibility.squeeze(-1), visibility * part_features
