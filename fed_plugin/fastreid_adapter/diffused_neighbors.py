"""The training identities whose memories the FDM diffuses into training samples.

Shape shorthand: ``N`` samples, ``P`` parts, ``K`` neighbours, ``M`` training identities.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from fastreid.data.common import CommDataset
from torch import Tensor

from fed_plugin.fastreid_adapter.extract import load_trained
from fed_plugin.fastreid_adapter.loaders import (
    TrainingImages,
    first_training_images,
    training_items,
)
from fed_plugin.fastreid_adapter.meta_arch import FED

_CANDIDATES = 8
"""Number of training images from which one sample is chosen."""


@dataclass(frozen=True)
class DiffusedNeighbors:
    """Training samples with their neighbours in the memory.

    Attributes:
        samples: images with two views.
        visibility: (N, P) in (0, 1), the OEM's estimate for the occluded view; None without OEM.
        identities: (N, K) training identities, the most similar memory first.
        similarity: (N, K) cosine of the sample and the memory.
        weights: (N, K) share of the attention, mean over the heads; the sum of a row is 1.
        photos: (M) a file of each training identity.
    """

    samples: TrainingImages
    visibility: Tensor | None
    identities: Tensor
    similarity: Tensor
    weights: Tensor
    photos: tuple[str, ...]


@torch.no_grad()
def diffused_neighbors(cfg: Any, count: int) -> DiffusedNeighbors:
    """Take training samples, and return the neighbours of their occluded views in the memory.

    BatchNorm takes its running statistics, therefore samples do not depend on each other.

    Args:
        cfg: config of a FED model with its FDM; ``MODEL.WEIGHTS`` names a checkpoint.
        count: N, at least 1.

    Raises:
        ValueError: a model without FDM, a checkpoint without a memory of these training
            identities, a pipeline without a second view, or a count below 1.
    """
    photos = _photo_of_each_identity(cfg)
    model = _with_memory(cfg, len(photos))
    samples = _choose(first_training_images(cfg, _CANDIDATES * count), count)
    head = model.heads
    visibility, erased = head.erase(model.features(samples.views[:, 1].to(model.device)))
    memory, targets = head.memory("erased"), samples.targets.to(model.device)
    nearest, similarity = memory.nearest_identities(erased, targets, head.fdm.num_neighbors)
    weights = head.fdm.attention.weights(erased, memory.normalized(), nearest).mean(dim=1)
    return DiffusedNeighbors(
        samples,
        visibility.cpu() if head.estimates_visibility else None,
        nearest.cpu(),
        similarity.cpu(),
        weights.cpu(),
        photos,
    )


def _with_memory(cfg: Any, num_classes: int) -> FED:
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.HEADS.NUM_CLASSES = num_classes
    model = load_trained(cfg).model
    if not isinstance(model, FED) or model.heads.fdm is None:
        raise ValueError(
            f"MODEL.META_ARCHITECTURE={cfg.MODEL.META_ARCHITECTURE}: diffuses no neighbours; "
            "expected FED with MODEL.FED.FDM.ENABLED True"
        )
    if not model.heads.memory("erased").loaded:
        raise ValueError(
            f"MODEL.WEIGHTS={cfg.MODEL.WEIGHTS}: holds no memory of the {num_classes} training "
            f"identities of DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}; expected a checkpoint that "
            "was trained on them"
        )
    return model


def _photo_of_each_identity(cfg: Any) -> tuple[str, ...]:
    """Return the first file of each training identity, in the order of the model's classes."""
    dataset = CommDataset(training_items(cfg), None, relabel=True)
    first: dict[int, str] = {}
    for path, pid, *_ in dataset.img_items:
        first.setdefault(dataset.pid_dict[pid], str(path))
    return tuple(first[index] for index in range(len(first)))


def _choose(images: TrainingImages, count: int) -> TrainingImages:
    """Choose ``count`` images of many people; images with an occluder come first."""
    if images.views.shape[1] != 2:
        raise ValueError(
            "INPUT.NPO.VIEWS: expected 2 views of a training image, as FED trains with; try "
            "NPOAugmentation in INPUT.EXTRA_TRANSFORMS"
        )
    covered = (images.views[:, 0] != images.views[:, 1]).flatten(1).any(dim=1).tolist()
    targets = images.targets.tolist()
    order = sorted(range(len(targets)), key=lambda index: not covered[index])
    turns = {
        index: [targets[i] for i in order[:place]].count(targets[index])
        for place, index in enumerate(order)
    }
    chosen = sorted(order, key=lambda index: turns[index])[:count]
    paths = tuple(images.paths[index] for index in chosen)
    return replace(images, views=images.views[chosen], targets=images.targets[chosen], paths=paths)
