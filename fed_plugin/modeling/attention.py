"""Scaled dot-product attention on every PyTorch: fused from 2.1 on, but for bf16 on a CPU.

Shape shorthand: ``B`` samples, ``H`` heads, ``S, T`` tokens, ``E`` channels of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# By version, not by hasattr: 2.0 has the function but not its ``scale``.
FUSED = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 1)


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Attend, ``softmax(scale q k^T) v``.

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
    # (129 tokens, AVX-512 with bf16); in fp32 a tenth less to a third more, by machine, and it
    # keeps no weights (benchmarks/speed/choices.py).
    if FUSED and not (q.device.type == "cpu" and q.dtype == torch.bfloat16):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
    return attend_in_two_products(q, k, v, dropout=dropout, scale=scale)


def attend_in_two_products(
    q: Tensor, k: Tensor, v: Tensor, *, dropout: float = 0.0, scale: float | None = None
) -> Tensor:
    """Do what :func:`attend` does without the fused operation, and keep the (S, T) weights."""
    factor = q.shape[-1] ** -0.5 if scale is None else scale
    weights = (q * factor @ k.transpose(-2, -1)).softmax(dim=-1)  # (B, H, S, T)
    return F.dropout(weights, dropout) @ v if dropout else weights @ v
