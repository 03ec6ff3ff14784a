"""FED's losses: pure functions of features, targets and memories.

Shape shorthand: ``V = 2`` views (holistic first), ``B`` images, ``P`` parts, ``M`` identities,
``D`` channels. Everything is computed in float32, whatever comes in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OCCLUDED_CONTRAST_WEIGHT = 0.3
DIFFUSED_CONTRAST_WEIGHT = 0.5


def visibility_loss(visibility: Tensor, target: Tensor | float) -> Tensor:
    """Mean squared error of a visibility (B, P) against its target, a tensor or one number."""
    return (visibility.float() - target).square().mean()


def identity_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy, averaged over views.

    Args:
        logits: (V, B, M).
        targets: (B,) int64 in [0, M), the same for all views.

    Returns:
        A scalar: the mean of the views' cross-entropies.
    """
    V = logits.shape[0]
    return F.cross_entropy(logits.float().flatten(0, 1), targets.repeat(V))


def contrast_loss(features: Tensor, slots: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Cross-entropy over the cosines to all memory slots.

    NOTE(reference): adds 1e-6 inside sum and logarithm, below 1e-4 in the value; left out here.

    Args:
        features: (B, D); gradients flow into them.
        slots: (M, D), un-normalised, no gradient.
        targets: (B,) int64 in [0, M).
        temperature: divisor of the cosine.

    Returns:
        A scalar, float32 under any autocast: exp(1 / 0.05) overflows fp16.
    """
    with torch.autocast(features.device.type, enabled=False):
        similarity = F.normalize(features.float(), dim=1) @ F.normalize(slots, dim=1).t()
        return F.cross_entropy(similarity / temperature, targets)


def erased_contrast_loss(
    features: Tensor, slots: Tensor, targets: Tensor, temperature: float
) -> Tensor:
    """``NCE(z_h) + 0.3 NCE(z_o)`` for erased features (V, B, D)."""
    holistic, occluded = (contrast_loss(z, slots, targets, temperature) for z in features)
    return holistic + OCCLUDED_CONTRAST_WEIGHT * occluded


def diffused_contrast_loss(
    features: Tensor, slots: Tensor, targets: Tensor, temperature: float
) -> Tensor:
    """``0.5 (NCE(u_h) + NCE(u_o))`` for diffused features (V, B, D)."""
    holistic, occluded = (contrast_loss(u, slots, targets, temperature) for u in features)
    return DIFFUSED_CONTRAST_WEIGHT * (holistic + occluded)
