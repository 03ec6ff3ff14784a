"""Training transform for ``INPUT.EXTRA_TRANSFORMS``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fed_plugin.fastreid_adapter import TRANSFORM_REGISTRY


@TRANSFORM_REGISTRY.register()
class Fog:
    """White fog over some images.

    Args:
        cfg: fast-reid config with ``INPUT.FOG``.
    """

    def __init__(self, cfg: Any) -> None:
        self.prob, self.density = cfg.INPUT.FOG.PROB, cfg.INPUT.FOG.DENSITY

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image (3, H, W) in [0, 255], perhaps in fog; the input stays unchanged."""
        drawn, share = torch.rand(2).tolist()  # PyTorch's stream: seeded by SEED, in workers too
        if drawn >= self.prob:
            return image
        return torch.lerp(image, torch.full_like(image, 255.0), share * self.density)
