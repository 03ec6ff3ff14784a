"""Models of re-ID projects that timm does not have, under names of timm's registry.

``vit_*_patch16_ics`` is TransReID-SSL's ViT with a convolution stem, ``vit_*_patch16_parts`` PASS's
with three part tokens, ``solider_swin_*`` SOLIDER's Swin.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models import register_model
from timm.models.swin_transformer import PatchMerging, SwinTransformerBlock
from torch import Tensor, nn

STEM_CHANNELS = 64


class InstanceAndBatchNorm(nn.Module):
    """Instance norm for the first half of the channels, batch norm for the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.IN = nn.InstanceNorm2d(channels // 2, affine=True)
        self.BN = nn.BatchNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        half = self.IN.num_features
        return torch.cat((self.IN(x[:, :half]), self.BN(x[:, half:])), dim=1)


class ConvStem(nn.Module):
    """Patch embedding of TransReID-SSL's ICS models: three convolutions before the projection.

    Takes the place of timm's ``PatchEmbed`` as ``embed_layer``.
    """

    def __init__(
        self,
        img_size: Any = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        **_: Any,
    ) -> None:
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.img_size, self.patch_size = (height, width), (patch_size, patch_size)
        self.grid_size = height // patch_size, width // patch_size
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        width, conv = STEM_CHANNELS, nn.Conv2d
        self.conv = nn.Sequential(
            conv(in_chans, width, 7, stride=2, padding=3, bias=False),
            InstanceAndBatchNorm(width),
            nn.ReLU(inplace=True),
            conv(width, width, 3, padding=1, bias=False),
            InstanceAndBatchNorm(width),
            nn.ReLU(inplace=True),
            conv(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        # not named proj: the stride of a plain ViT's proj is free
        self.project = conv(width, embed_dim, patch_size // 2, stride=patch_size // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Project images, (B, 3, H, W) -> (B, L, C)."""
        return self.project(self.conv(images)).flatten(2).transpose(1, 2)


class PaddedFirst(SwinTransformerBlock):
    """Swin block that pads the map before the shift, as mmcv's and SOLIDER's; timm's pads after."""

    def _attn(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[1:3]
        below, right = (
            -side % w for side, w in zip((rows, columns), self.window_size, strict=True)
        )
        padded = F.pad(x, (0, 0, 0, right, 0, below))
        attended: Tensor = super()._attn(padded)  # type: ignore[no-untyped-call]
        return attended[:, :rows, :columns]


class SemanticMerging(PatchMerging):
    """Patch merging with SOLIDER's controller: a scale and a shift for one semantic weight."""

    semantic_weight: float
    semantic_w: nn.Linear
    semantic_b: nn.Linear

    @classmethod
    def put_into(cls, merging: Any, semantic_weight: float) -> None:
        """Add the controller to a merging of timm."""
        merging.__class__ = cls
        merging.semantic_weight = semantic_weight
        for name in ("semantic_w", "semantic_b"):
            linear = nn.Linear(2, merging.reduction.out_features)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            setattr(merging, name, linear)

    def forward(self, x: Tensor) -> Tensor:
        """Merge (B, H, W, C) to (B, H / 2, W / 2, C')."""
        x = super().forward(x)
        weight = x.new_tensor([self.semantic_weight, 1 - self.semantic_weight])
        return x * F.softplus(self.semantic_w(weight)) + self.semantic_b(weight)


def solider_swin(name: str, semantic_weight: float = 0.2, **kwargs: Any) -> nn.Module:
    """Create a Swin of timm that computes what SOLIDER's computes.

    Args:
        name: a Swin of timm.
        semantic_weight: from 0, appearance alone, to 1, semantics alone; below 0 for no controller.
        **kwargs: arguments of the model.
    """
    model: Any = timm.create_model(name, always_partition=True, **kwargs)
    for layer in model.layers:
        for block in layer.blocks:
            block.__class__ = PaddedFirst
        merging = layer.downsample
        if semantic_weight >= 0 and isinstance(merging, PatchMerging):
            SemanticMerging.put_into(merging, semantic_weight)
    return model


def _register(name: str, build: Any, source: str, **defaults: Any) -> None:
    def entry(pretrained: bool = False, **kwargs: Any) -> nn.Module:
        if pretrained:
            raise RuntimeError(f"{name}: timm has no weights of this model; try a file of its own")
        kwargs = {k: v for k, v in kwargs.items() if not k.startswith("pretrained_")}
        return build(source, **{**defaults, **kwargs})

    entry.__name__ = name
    register_model(entry)


for _size in ("small", "base"):
    _vit = f"vit_{_size}_patch16_224"
    _register(f"vit_{_size}_patch16_ics", timm.create_model, _vit, embed_layer=ConvStem)
    _register(
        f"vit_{_size}_patch16_parts", timm.create_model, _vit, reg_tokens=3, no_embed_class=True
    )
for _size in ("tiny", "small", "base"):
    _register(f"solider_swin_{_size}", solider_swin, f"swin_{_size}_patch4_window7_224")
