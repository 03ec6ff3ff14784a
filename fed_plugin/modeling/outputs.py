"""What a training step computes from tokens, on its way to the losses.

Shape shorthand: ``V = 2`` views (holistic first), ``B`` images, ``P`` parts, ``D = P*C`` channels,
``M`` identities.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class HeadOutputs(NamedTuple):
    """What a training step computes from tokens; the leading axis holds the views."""

    visibility: Tensor
    """s (V, B, P) in (0, 1)."""
    erased_features: Tensor
    """z (V, B, D)."""
    diffused_features: Tensor | None
    """u (V, B, D); None without FDM."""
    erased_logits: Tensor
    """(V, B, M)."""
    diffused_logits: Tensor | None
    """(V, B, M); None without FDM."""
    global_logits: Tensor
    """(V, B, M)."""
    erased_similarity: Tensor
    """Cosines of z and the erased memory's slots (V, B, M), float32."""
    diffused_similarity: Tensor | None
    """Cosines of u and the diffused memory's slots (V, B, M), float32; None without FDM."""
