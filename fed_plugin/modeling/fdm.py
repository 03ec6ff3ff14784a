"""Feature Diffusion Module: fill erased features from the features of similar identities.

Shape shorthand: ``B`` samples, ``P`` parts, ``C`` channels of a part, ``D = P*C``, ``K``
neighbours, ``M`` memory slots.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fed_plugin.modeling.backbones import check_choice

SCALES = ("part", "head")
HEAD_LAYOUTS = ("reference", "per_sample")
FFN_EXPANSION = 4


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Attend, ``softmax(scale q k^T) v``, with ``H`` heads of ``E`` channels and ``S, T`` tokens.

    Args:
        q: (B, H, S, E).
        k: (B, H, T, E).
        v: (B, H, T, E).
        dropout: probability that an attention weight is dropped.
        scale: factor of the products, ``E ** -0.5`` if it is None.

    Returns:
        (B, H, S, E), with gradients to all three.
    """
    # In bf16 on a CPU the fused kernel of PyTorch 2.14 takes four times as long, backward included
    # (129 tokens, AVX-512 with bf16). In fp32 the kernel takes a tenth less to a third more, by
    # machine, and keeps no weights (benchmarks/speed/choices.py).
    if q.device.type == "cpu" and q.dtype == torch.bfloat16:
        return attend_in_two_products(q, k, v, dropout=dropout, scale=scale)
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)


def attend_in_two_products(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Return what :func:`attend` returns without the fused kernel; the (S, T) weights are kept."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    weights = (q * factor @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, H, S, T)
    return F.dropout(weights, dropout) @ v if dropout else weights @ v


class NeighborAttention(nn.Module):
    """Cross-attention of one query on K neighbours, over whole D-vectors.

    Args:
        dim: D.
        num_parts: P; the reference takes its scale from the width of a part.
        num_heads: heads, dividing D.
        scale: ``"part"`` for ``(C / heads) ** -0.5``, ``"head"`` for ``(D / heads) ** -0.5``.
        head_layout: how heads are joined, ``"reference"`` or ``"per_sample"``.
    """

    def __init__(
        self, dim: int, num_parts: int, num_heads: int, scale: str, head_layout: str
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_layout = head_layout
        # NOTE(reference): scales by the width of one part although a head has D / heads
        # channels; scale="head" restores the usual factor.
        width = dim // num_parts if scale == "part" else dim
        self.scale = (width / num_heads) ** -0.5
        self.q = nn.Linear(dim, dim, bias=False)
        self.kv = nn.Linear(dim, 2 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, query: Tensor, slots: Tensor, nearest: Tensor) -> Tensor:
        """Attend, (..., B, D) on the rows ``nearest`` (..., B, K) of (M, D) -> (..., B, D)."""
        q, k, v = self._project(query, slots, nearest)
        out = attend(q, k, v, scale=self.scale).squeeze(2)  # (N, heads, D / heads)
        out = out.reshape(*query.shape[:-1], *out.shape[1:])  # (..., B, heads, D / heads)
        if self.head_layout == "reference":
            # NOTE(reference): heads and samples change places before the heads are joined, which
            # mixes head outputs of several samples in a row; head_layout="per_sample" does not.
            out = out.transpose(-3, -2)  # (..., heads, B, D / heads)
        return self.proj(out.reshape(query.shape))

    def weights(self, query: Tensor, slots: Tensor, nearest: Tensor) -> Tensor:
        """Return the share of each neighbour in each head, (B, heads, K); shares add up to 1."""
        q, k, _ = self._project(query, slots, nearest)
        return (q * self.scale @ k.transpose(-2, -1)).softmax(dim=-1).squeeze(2)

    def _project(
        self, query: Tensor, slots: Tensor, nearest: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return q (N, heads, 1, D / heads), and k and v (N, heads, K, D / heads), of N samples."""
        heads, width = self.num_heads, query.shape[-1] // self.num_heads
        q = self.q(query).reshape(-1, 1, heads, width).transpose(1, 2)
        # Counting the distinct rows would wait for the GPU.
        project = project_all if nearest.is_cuda else project_distinct
        kv = project(self.kv, slots, nearest)  # (..., B, K, 2D)
        kv = kv.reshape(-1, nearest.shape[-1], 2, heads, width)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v


def project_all(kv: nn.Linear, slots: Tensor, nearest: Tensor) -> Tensor:
    """Project the rows ``nearest`` (..., K) of (M, D) -> (..., K, 2D)."""
    return kv(slots[nearest])


def project_distinct(kv: nn.Linear, slots: Tensor, nearest: Tensor) -> Tensor:
    """Return what :func:`project_all` returns, and project each distinct row once.

    The two views of an image, and the images of a person, have neighbours in common.
    """
    distinct, index = torch.unique(nearest, return_inverse=True)
    return F.embedding(index, kv(slots[distinct]))


class GatedFeedForward(nn.Module):
    """LayerNorm, Linear C -> 8C, GEGLU (value half first), Linear 4C -> C, no residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.expand = nn.Linear(dim, 2 * FFN_EXPANSION * dim)
        self.contract = nn.Linear(FFN_EXPANSION * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map each part by the same weights, (..., C) -> (..., C)."""
        value, gate = self.expand(self.norm(x)).chunk(2, dim=-1)
        return self.contract(value * F.gelu(gate))


class FeatureDiffusionModule(nn.Module):
    """Diffusion of neighbours from the memory into a sample: ``r_i = FFN_b(s_i FFN_a(o_i) + z_i)``.

    Args:
        num_parts: P.
        embed_dim: C.
        num_neighbors: K, slots that a sample attends to.
        num_heads: attention heads, dividing ``P * C``.
        scale: ``"part"`` (reference) or ``"head"``.
        head_layout: ``"reference"`` or ``"per_sample"``.

    Raises:
        ValueError: an unknown ``scale`` or ``head_layout``, or heads that do not divide D.

    Source: FED-Occluded-ReID@4a63184 (behaviour: docs/method.md, section 4).
    """

    def __init__(
        self,
        num_parts: int,
        embed_dim: int,
        num_neighbors: int = 8,
        num_heads: int = 8,
        scale: str = "part",
        head_layout: str = "reference",
    ) -> None:
        super().__init__()
        check_choice("scale", scale, SCALES)
        check_choice("head_layout", head_layout, HEAD_LAYOUTS)
        dim = num_parts * embed_dim
        if dim % num_heads:
            raise ValueError(
                f"num_heads={num_heads}: expected a divisor of the {dim} channels of {num_parts} "
                f"parts of {embed_dim}"
            )
        self.num_parts = num_parts
        self.num_neighbors = num_neighbors
        self.attention = NeighborAttention(dim, num_parts, num_heads, scale, head_layout)
        self.ffn_neighbors = GatedFeedForward(embed_dim)
        self.ffn_fused = GatedFeedForward(embed_dim)

    def forward(
        self, erased_features: Tensor, visibility: Tensor, slots: Tensor, nearest: Tensor
    ) -> Tensor:
        """Diffuse neighbours into a batch; axes before ``B``, such as one of views, do not mix.

        Args:
            erased_features: ``z`` (..., B, D), after BatchNorm.
            visibility: ``s`` (..., B, P) in (0, 1); gradients flow through it.
            slots: (M, D) of the memory, L2-normalised, no gradient.
            nearest: (..., B, K) int64 in [0, M), the slots that each sample attends to.

        Returns:
            ``r`` (..., B, D), before BatchNorm.
        """
        parts = (*visibility.shape, -1)  # (..., B, P, C)
        diffused = self.attention(erased_features, slots, nearest).reshape(parts)
        diffused = visibility.unsqueeze(-1) * self.ffn_neighbors(diffused)
        diffused = self.ffn_fused(diffused + erased_features.reshape(parts))
        return diffused.reshape(erased_features.shape)
