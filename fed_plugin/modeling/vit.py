"""The Vision Transformer that keeps its tokens.

Shape shorthand: ``B`` images, ``C`` channels, ``L`` patch tokens on a ``(rows, columns)`` grid in
row-major order, ``H, W`` image height and width. Parameter names are timm's.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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


NUM_PREFIX_TOKENS = 1
"""Tokens before the first patch token: the cls token."""

LAYER_NORM_EPS = 1e-6


def check_choice(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is none of some words.

    Raises:
        ValueError: the message begins with the argument.
    """
    if value not in allowed:
        raise ValueError(f"{argument}={value!r}: expected one of {', '.join(allowed)}")


@dataclass(frozen=True)
class ViTSize:
    """Depth, width and heads of a ViT with patches of ``patch_size`` pixels."""

    num_layers: int
    embed_dim: int
    num_heads: int
    patch_size: int = 16


VIT_PRESETS = {
    "base": ViTSize(num_layers=12, embed_dim=768, num_heads=12),
    "small": ViTSize(num_layers=12, embed_dim=384, num_heads=6),
    "tiny": ViTSize(num_layers=12, embed_dim=192, num_heads=3),
}


class DropPath(nn.Module):
    """Stochastic depth: a sample's whole residual branch is dropped with ``drop_prob``."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` (B, L, C), with dropped samples at zero and kept ones scaled up."""
        if self.drop_prob == 0.0 or not self.training:
            return x
        keep_prob = 1.0 - self.drop_prob
        kept = x.new_empty(x.shape[0], 1, 1).bernoulli_(keep_prob)
        return x * kept.div_(keep_prob)


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, dim: int, num_heads: int, attn_drop: float, proj_drop: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x: Tensor) -> Tensor:
        """Attend among tokens, (B, L, C) -> (B, L, C)."""
        B, L, C = x.shape
        qkv = self.qkv(x).reshape(B, L, 3, self.num_heads, C // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # (B, heads, L, C / heads)
        dropout = self.attn_drop if self.training else 0.0
        x = attend(q, k, v, dropout=dropout)
        x = x.transpose(1, 2).reshape(B, L, C)
        return self.proj_drop(self.proj(x))


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, dim: int, hidden_dim: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map each token by itself, (B, L, C) -> (B, L, C)."""
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class Block(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(
        self, dim: int, num_heads: int, drop: float, attn_drop: float, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, num_heads, attn_drop, drop)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, 4 * dim, drop)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens, (B, L, C) -> (B, L, C)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Projection of image patches to C channels; patches overlap where the stride is smaller."""

    def __init__(
        self, img_size: tuple[int, int], patch_size: int, stride: tuple[int, int], embed_dim: int
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.grid = (
            (img_size[0] - patch_size) // stride[0] + 1,
            (img_size[1] - patch_size) // stride[1] + 1,
        )
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=stride)

    def forward(self, images: Tensor) -> Tensor:
        """Project images, (B, 3, H, W) -> (B, L, C)."""
        # PyTorch's bf16 convolution for AMX gives NaN now and then.
        with torch.autocast("cpu", enabled=False) if images.is_cpu else nullcontext():
            return self.proj(images).flatten(2).transpose(1, 2)


class TokenViT(nn.Module):
    """ViT that returns all tokens after its final LayerNorm, or the cls token alone.

    Args:
        img_size: ``(H, W)`` of the images in pixels.
        size: depth, width, heads and patch size; one of ``VIT_PRESETS`` or your own.
        stride: step between patches in pixels, ``(vertical, horizontal)``.
        output: ``"tokens"`` for ``(B, 1 + L, C)``, ``"cls"`` for ``(B, C, 1, 1)``, the shape that
            fast-reid's ``EmbeddingHead`` pools.
        drop_path: stochastic depth of the last layer, rising linearly from 0 at the first.
        drop: dropout after the position embedding and in every layer.
        attn_drop: dropout of the attention weights.
        recompute: whether the backward pass computes each layer's activations again instead of
            keeping them: the same numbers, a third more time, and memory for one layer's.

    Raises:
        ValueError: an image smaller than a patch, heads that do not divide the width, or an
            unknown ``output``.
    """

    def __init__(
        self,
        img_size: tuple[int, int],
        size: ViTSize,
        stride: tuple[int, int] = (16, 16),
        *,
        output: str = "tokens",
        drop_path: float = 0.1,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        check_choice("output", output, ("tokens", "cls"))
        if size.embed_dim % size.num_heads:
            raise ValueError(
                f"embed_dim={size.embed_dim} is not divisible by num_heads={size.num_heads}"
            )
        if min(img_size) < size.patch_size:
            raise ValueError(f"img_size={img_size} is smaller than a patch ({size.patch_size})")
        self.output = output
        self.recompute = recompute
        self.embed_dim = size.embed_dim
        self.patch_embed = PatchEmbed(img_size, size.patch_size, stride, size.embed_dim)
        self.grid = self.patch_embed.grid
        num_tokens = NUM_PREFIX_TOKENS + self.grid[0] * self.grid[1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_tokens, size.embed_dim))
        self.pos_drop = nn.Dropout(drop)
        rates = torch.linspace(0, drop_path, size.num_layers).tolist()
        self.blocks = nn.ModuleList(
            Block(size.embed_dim, size.num_heads, drop, attn_drop, rate) for rate in rates
        )
        self.norm = nn.LayerNorm(size.embed_dim, eps=LAYER_NORM_EPS)
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Encode normalised images.

        Args:
            images: (B, 3, H, W).

        Returns:
            ``(B, 1 + L, C)`` tokens with the cls token first, or ``(B, C, 1, 1)``.

        Raises:
            ValueError: images of another size than the position embedding was made for.
        """
        if tuple(images.shape[-2:]) != self.patch_embed.img_size:
            raise ValueError(
                f"images are {tuple(images.shape[-2:])}, expected {self.patch_embed.img_size}: the "
                "position embedding of a ViT fits one size"
            )
        patch_tokens = self.patch_embed(images)  # (B, L, C)
        cls_token = self.cls_token.expand(images.shape[0], -1, -1)
        x = self.pos_drop(torch.cat((cls_token, patch_tokens), dim=1) + self.pos_embed)
        recompute = self.recompute and torch.is_grad_enabled()
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if recompute else block(x)
        x = self.norm(x)  # (B, 1 + L, C)
        return x if self.output == "tokens" else x[:, 0, :, None, None]
