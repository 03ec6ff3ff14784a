"""Descriptors of a data set, computed by the stock test loader and predictor.

Shape shorthand: ``N`` images (queries first), ``D`` channels, ``P`` parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fastreid.config import get_cfg
from fastreid.data import build_reid_test_loader
from fastreid.engine import DefaultPredictor
from numpy.typing import NDArray

from fed_plugin.fastreid_adapter.meta_arch import FED


@dataclass(frozen=True)
class Description:
    """What a model says of a data set's test images.

    Attributes:
        features: (N, D) float32.
        visibility: (N, P) in [0, 1]; None for a model that does not estimate it.
        pids: (N,) identities.
        camids: (N,) cameras.
        paths: N files.
        num_query: how many of them are queries; they come first.
        num_parameters: parameters of the model.
    """

    features: NDArray[np.float32]
    visibility: NDArray[np.float32] | None
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    paths: tuple[str, ...]
    num_query: int
    num_parameters: int


def read_config(config_file: str, overrides: list[str]) -> Any:
    """Read a config as the stock scripts do."""
    cfg = get_cfg()
    cfg.merge_from_file(config_file)
    cfg.merge_from_list(overrides)
    return cfg


@torch.no_grad()
def describe_test_set(cfg: Any, dataset_name: str) -> Description:
    """Describe every query and gallery image of a registered data set.

    Args:
        cfg: config; ``MODEL.WEIGHTS`` names the checkpoint, empty leaves random weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
    """
    model = DefaultPredictor(cfg).model
    loader, num_query = build_reid_test_loader(cfg, dataset_name=dataset_name)
    batches = []
    for batch in loader:
        images = batch["images"].to(model.device)
        features, visibility = (
            model.describe(images)
            if isinstance(model, FED)
            else (
                model({"images": images}),
                None,
            )
        )
        batches.append((features.cpu(), visibility, batch))
    has_visibility = batches[0][1] is not None
    return Description(
        features=torch.cat([features for features, _, _ in batches]).numpy(),
        visibility=(
            torch.cat([visibility.cpu() for _, visibility, _ in batches]).numpy()
            if has_visibility
            else None
        ),
        pids=torch.cat([batch["targets"] for _, _, batch in batches]).numpy(),
        camids=torch.cat([batch["camids"] for _, _, batch in batches]).numpy(),
        paths=tuple(path for _, _, batch in batches for path in batch["img_paths"]),
        num_query=num_query,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
