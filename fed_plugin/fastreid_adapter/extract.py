"""Descriptors of a data set, computed by the stock test loader and predictor.

Shape shorthand: ``N`` images (queries first), ``D`` numbers, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fastreid.data import build_reid_test_loader
from numpy.typing import NDArray
from torch import Tensor, nn

from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.evaluated_epoch import evaluated_epoch
from fed_plugin.fastreid_adapter.meta_arch import FED
from fed_plugin.fastreid_adapter.trained_model import load_trained
from fed_plugin.retrieval.feature_dump import FeatureDump, unique_names

__all__ = [
    "Description",
    "checked_descriptors",
    "describe_images",
    "describe_test_set",
    "read_config",
]


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
        part_features: (N, P, C) pooled parts, nothing erased; None for a model without parts.
        epoch: epochs of training behind the weights; None if not known.
        epoch_choice: who chose it, as on a protocol card; None if not known.
    """

    features: NDArray[np.float32]
    visibility: NDArray[np.float32] | None
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    paths: tuple[str, ...]
    num_query: int
    num_parameters: int
    part_features: NDArray[np.float32] | None = None
    epoch: int | None = None
    epoch_choice: str | None = None

    def to_dump(self, about: Mapping[str, Any]) -> FeatureDump:
        """Return it as a feature dump.

        Args:
            about: where the features come from.

        Raises:
            ValueError: The test set has an empty split, or a feature is not finite.
        """
        queries, gallery = self.paths[: self.num_query], self.paths[self.num_query :]
        return FeatureDump(
            features=self.features,
            pids=self.pids,
            camids=self.camids,
            split=np.array(["query"] * len(queries) + ["gallery"] * len(gallery), dtype=str),
            names=np.array(unique_names(queries) + unique_names(gallery), dtype=str),
            part_features=self.part_features,
            visibility=self.visibility,
            about=about,
        )


@torch.no_grad()
def describe_test_set(
    cfg: Any, dataset_name: str, progress: Callable[[int, int], None] | None = None
) -> Description:
    """Describe every query and gallery image of a registered data set.

    With ``TEST.FLIP.ENABLED`` everything is the mean of an image's and its mirror image's, as in
    the stock evaluation.

    Args:
        cfg: config; ``MODEL.WEIGHTS`` names the checkpoint, empty leaves random weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        progress: called with images done and images in all, after each batch.

    Raises:
        ValueError: The checkpoint is of another model, or the model yields no descriptors.
    """
    loader, num_query = build_reid_test_loader(cfg, dataset_name=dataset_name)
    model = load_trained(cfg)
    epoch = evaluated_epoch(cfg, model)
    total = len(loader.dataset)
    said: dict[str, NDArray[np.float32]] = {}
    labels: dict[str, list[Any]] = {"targets": [], "camids": [], "img_paths": []}
    for batch in loader:
        done = len(labels["img_paths"])
        for name, tensor in describe_images(model, batch["images"], cfg.TEST.FLIP.ENABLED).items():
            whole = said.setdefault(name, np.empty((total, *tensor.shape[1:]), np.float32))
            whole[done : done + len(tensor)] = tensor.float().cpu().numpy()
        for name, values in labels.items():
            values.extend(batch[name].tolist() if torch.is_tensor(batch[name]) else batch[name])
        if progress is not None:
            progress(len(labels["img_paths"]), total)
    return Description(
        features=said["features"],
        visibility=said.get("visibility"),
        pids=np.array(labels["targets"], dtype=np.int64),
        camids=np.array(labels["camids"], dtype=np.int64),
        paths=tuple(labels["img_paths"]),
        num_query=num_query,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        part_features=said.get("part_features"),
        epoch=epoch.epoch,
        epoch_choice=epoch.choice,
    )


def describe_images(model: nn.Module, images: Tensor, flip: bool) -> dict[str, Tensor]:
    """Return what a model says of images, and of their mirror images if ``flip``, in the mean.

    Args:
        model: of any config, in evaluation mode.
        images: (B, 3, H, W) float in [0, 255]; not written to.
        flip: whether mirror images count.

    Returns:
        ``features`` (B, D); FED's also ``part_features`` (B, P, C) and, with OEM, ``visibility``
        (B, P).

    Raises:
        ValueError: The model yields no descriptors.
    """
    said = _describe_once(model, images)
    if not flip:
        return said
    mirrored = _describe_once(model, images.flip(dims=[3]))
    return {name: (said[name] + mirrored[name]) / 2 for name in said}


def _describe_once(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    images = images.clone().to(model.device)  # stock models write into what they get
    if isinstance(model, FED):
        parts: list[Tensor] = []
        hook = model.heads.oem.register_forward_hook(lambda _, inputs, __: parts.append(inputs[0]))
        try:
            features, visibility = model.describe(images)
        finally:
            hook.remove()
        said = {"features": features, "part_features": parts[0]}
        return said if visibility is None else {**said, "visibility": visibility}
    return {"features": checked_descriptors(model, model({"images": images}))}


def checked_descriptors(model: nn.Module, answer: Any) -> Tensor:
    """Return what a model answers in evaluation, (B, D), or refuse it.

    Raises:
        ValueError: it is something else.
    """
    if not torch.is_tensor(answer) or answer.ndim != 2:
        raise ValueError(
            f"MODEL.META_ARCHITECTURE={type(model).__name__}: yields "
            f"{getattr(answer, 'shape', type(answer).__name__)} in evaluation, expected one "
            "descriptor per image (B, D)"
        )
    return answer
