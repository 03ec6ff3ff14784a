"""The ViT of the reference: timm's, with overlapping patches and the released code's start.

Shape shorthand: ``B`` images, ``C`` channels, ``L`` patch tokens on a ``(rows, columns)`` grid in
row-major order, ``H, W`` image height and width.
"""

from __future__ import annotations

from dataclasses import dataclass

from timm.models import VisionTransformer
from torch import Tensor, nn

from fed_plugin.modeling.backbones import (
    check_choice,
    choose_attention,
    keep_patches_in_fp32,
    size_of_grid,
)


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


class TokenViT(VisionTransformer):
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

    Attributes:
        grid: (rows, columns) of the patch tokens.

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
        check_choice("output", output, ("tokens", "cls"))
        if size.embed_dim % size.num_heads:
            raise ValueError(
                f"embed_dim={size.embed_dim} is not divisible by num_heads={size.num_heads}"
            )
        super().__init__(
            size_of_grid(img_size, (size.patch_size, size.patch_size), stride),
            size.patch_size,
            num_classes=0,
            global_pool="",
            embed_dim=size.embed_dim,
            depth=size.num_layers,
            num_heads=size.num_heads,
            pos_drop_rate=drop,
            proj_drop_rate=drop,
            attn_drop_rate=attn_drop,
            drop_path_rate=drop_path,
        )
        self.patch_embed.proj.stride = tuple(stride)
        self.patch_embed.img_size = tuple(img_size)
        keep_patches_in_fp32(self)
        self.grid = self.patch_embed.grid_size
        self.output = output
        self.set_grad_checkpointing(recompute)
        assert self.cls_token is not None
        nn.init.trunc_normal_(self.cls_token, std=0.02)  # as the released code; timm's is near 0

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
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
        choose_attention(self, images)
        tokens = self.forward_features(images)
        return tokens if self.output == "tokens" else tokens[:, 0, :, None, None]
