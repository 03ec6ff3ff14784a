"""FED's losses: pure functions of features, targets and memories.

Shape shorthand: ``V = 2`` views (holistic first), ``B`` images, ``P`` parts, ``M`` identities,
``D`` channels. All losses are computed in float32, for inputs of any type.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

OCCLUDED_CONTRAST_WEIGHT = 0.3
DIFFUSED_CONTRAST_WEIGHT = 0.5


def visibility_loss(visibility: Tensor, target: Tensor | float) -> Tensor:
    """Return the mean squared error of a visibility (B, P); the target is a tensor or a number."""
    return (visibility.float() - target).square().mean()


def identity_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy, averaged over views.

    Args:
        logits: (V, B, M).
        targets: (B,) int64 in [0, M), the same for all views.

    Returns:
        A scalar: the mean of the views' cross-entropies.
    """
    V = logits.shape[0]
    return F.cross_entropy(logits.float().flatten(0, 1), targets.repeat(V))


def contrast_loss(similarity: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy over the cosines to all memory slots.

    NOTE(reference): adds 1e-6 inside sum and logarithm, less than 1e-4 of the value; not here.

    Args:
        similarity: cosines (B, M) in [-1, 1]; gradients flow into them.
        targets: (B,) int64 in [0, M).
        temperature: divisor of the cosine.

    Returns:
        A scalar, float32 under any autocast: exp(1 / 0.05) overflows fp16.
    """
    return F.cross_entropy(similarity.float() / temperature, targets)


def erased_contrast_loss(similarity: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return ``NCE(z_h) + 0.3 NCE(z_o)`` for the cosines of erased features (V, B, M)."""
    holistic, occluded = (contrast_loss(view, targets, temperature) for view in similarity)
    return holistic + OCCLUDED_CONTRAST_WEIGHT * occluded


def diffused_contrast_loss(similarity: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return ``0.5 (NCE(u_h) + NCE(u_o))`` for the cosines of diffused features (V, B, M)."""
    holistic, occluded = (contrast_loss(view, targets, temperature) for view in similarity)
    return DIFFUSED_CONTRAST_WEIGHT * (holistic + occluded)
