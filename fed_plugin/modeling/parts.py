"""Tokens to horizontal stripes, and the layers that hold one set of weights per stripe.

Shape shorthand: ``B`` images, ``P`` parts, ``C`` channels, ``L`` patch tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = ("whole", "adaptive")


def pool_parts(patch_tokens: Tensor, num_parts: int) -> Tensor:
    """Average patch tokens over horizontal stripes of equal height.

    Args:
        patch_tokens: (B, L, C) in row-major order, without the cls token.
        num_parts: number of stripes P, from top to bottom.

    Returns:
        (B, P, C).

    Raises:
        ValueError: P does not divide L.
    """
    B, L, C = patch_tokens.shape
    if L % num_parts:
        raise ValueError(f"num_parts={num_parts}: expected a divisor of the {L} patch tokens")
    return patch_tokens.reshape(B, num_parts, L // num_parts, C).mean(dim=2)


def pool_rows(grid: Tensor, num_parts: int, rows: str = "whole") -> Tensor:
    """Average the cells of a grid over horizontal stripes of equal height.

    Args:
        grid: (B, rows, columns, C).
        num_parts: number of stripes P, from top to bottom.
        rows: ``"whole"`` for stripes of whole rows; ``"adaptive"`` for stripes that cut rows, each
            row weighted by the share of its area in the stripe.

    Returns:
        (B, P, C).

    Raises:
        ValueError: P does not divide the rows, which have to be whole; or is larger.
    """
    count = grid.shape[1]
    if num_parts > count or (rows == "whole" and count % num_parts):
        raise ValueError(
            f"num_parts={num_parts}: expected a divisor of the {count} rows of the grid "
            f"({count} x {grid.shape[2]})"
        )
    if count % num_parts == 0:
        return pool_parts(grid.flatten(1, 2), num_parts)
    height = count / num_parts  # of a stripe, in rows
    top = torch.arange(num_parts, device=grid.device)[:, None] * height
    row = torch.arange(count, device=grid.device)
    shares = ((row + 1).minimum(top + height) - row.maximum(top)).clamp(min=0) / height
    return shares.to(grid.dtype) @ grid.mean(dim=2)


class PartLinear(nn.Module):
    """Linear layer per part, weights not shared: (B, P, in) -> (B, P, out)."""

    def __init__(self, num_parts: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_parts, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(num_parts, out_features))
        bound = in_features**-0.5  # the default of nn.Linear
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """Map each part by its own weights, (B, P, in) -> (B, P, out)."""
        out = torch.bmm(x.transpose(0, 1), self.weight.transpose(1, 2))  # (P, B, out)
        return out.transpose(0, 1) + self.bias


class PartLayerNorm(nn.Module):
    """LayerNorm per part, gains and shifts not shared: (B, P, C) -> (B, P, C)."""

    def __init__(self, num_parts: int, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(num_parts, channels))
        self.bias = nn.Parameter(torch.zeros(num_parts, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over channels, then scale and shift each part by its own weights."""
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * self.weight + self.bias
