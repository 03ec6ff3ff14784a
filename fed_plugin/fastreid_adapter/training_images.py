"""What the training pipeline of a config yields, taken from the stock loader.

Shape shorthand: ``N`` images, ``V`` views (1, or 2 with ``NPOAugmentation``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from fastreid.data import build_reid_train_loader
from fastreid.utils.env import seed_all_rng
from torch import Tensor


@dataclass(frozen=True)
class TrainingImages:
    """Images as a model gets them, before it normalises them.

    Attributes:
        views: (N, V, 3, H, W) in [0, 255] on the CPU; with two views the holistic one comes first.
        targets: (N,) class indices, on the CPU.
        paths: N files.
    """

    views: Tensor
    targets: Tensor
    paths: tuple[str, ...]


def first_training_images(cfg: Any, count: int) -> TrainingImages:
    """Take the first images that a training run of this config would take.

    With ``SEED`` 0 or more the same images and augmentations come every time.

    Args:
        cfg: any config of the host.
        count: N, at least 1.

    Raises:
        ValueError: a count below 1, or an extra transform that returns neither one view nor two.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 training image, got {count}")
    if cfg.get("SEED", -1) >= 0:
        seed_all_rng(cfg.SEED)
    loader = build_reid_train_loader(cfg, combineall=cfg.DATASETS.COMBINEALL)
    images, targets, paths = [], [], []
    for batch in loader:
        images.append(batch["images"].cpu())
        targets.append(batch["targets"].cpu())
        paths += batch["img_paths"]
        if len(paths) >= count:
            break
    loader.shutdown()
    views = torch.cat(images)[:count]
    if views.dim() == 4:
        views = views[:, None]
    if views.dim() != 5 or views.shape[1] > 2:
        raise ValueError(
            f"INPUT.EXTRA_TRANSFORMS={cfg.INPUT.EXTRA_TRANSFORMS}: expected one view (B, 3, H, W) "
            f"or two (B, 2, 3, H, W), got {tuple(views.shape)}"
        )
    return TrainingImages(views, torch.cat(targets)[:count], tuple(paths[:count]))
