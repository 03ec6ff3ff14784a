"""Descriptors of a data set, computed by the model, the test loader and the predictor of the host.

Shape shorthand: ``N`` images (queries first), ``B`` images of a batch, ``D`` numbers, ``P`` parts,
``C`` channels.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastreid.data import build_reid_test_loader
from fastreid.engine import DefaultPredictor
from fastreid.utils.checkpoint import Checkpointer
from numpy.typing import NDArray
from torch import Tensor, nn

from fed_plugin.datasets.fingerprints import same_photos
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.meta_arch import EvaluationOutputs
from fed_plugin.fastreid_adapter.run_cards import (
    LEARNT,
    describe_evaluation,
    epoch_of_checkpoint,
    names_weights,
)
from fed_plugin.retrieval.feature_dump import OWN_PHOTOS, FeatureDump, unique_names
from fed_plugin.retrieval.protocol_card import OFF

logger = logging.getLogger(__name__)


class _FileInMemory(io.BytesIO):
    """Content of a file, under the name of the file."""

    def __init__(self, path: str) -> None:
        super().__init__(Path(path).read_bytes())
        self._path = path

    def __str__(self) -> str:
        return self._path


class HashingCheckpointer(Checkpointer):
    """Checkpointer that keeps the hash of the file that it reads.

    Attributes:
        sha256: hash of the last file, None before any.
    """

    sha256: str | None = None

    def _load_file(self, f: str) -> Any:
        content = _FileInMemory(f)  # one read serves the hash and the weights
        self.sha256 = hashlib.sha256(content.getbuffer()).hexdigest()
        return super()._load_file(content)


@dataclass(frozen=True)
class TrainedModel:
    """Model in evaluation mode, with the origin of its weights.

    Attributes:
        model: of any config of the host.
        epoch: epochs of training; None if not known.
        epoch_choice: who chose the epoch, as on a protocol card; None if not known.
        weights_sha256: hash of the checkpoint; None for random weights.
    """

    model: nn.Module
    epoch: int | None = None
    epoch_choice: str | None = None
    weights_sha256: str | None = None


def load_trained(cfg: Any) -> TrainedModel:
    """Build the model of a config for evaluation and read ``MODEL.WEIGHTS`` once.

    Args:
        cfg: config; ``MODEL.WEIGHTS`` empty or "untrained" leaves random weights, drawn from
            ``SEED`` if ``SEED`` is 0 or more.

    Raises:
        ValueError: the checkpoint is of another model.
    """
    unloaded = cfg.clone()
    unloaded.defrost()
    unloaded.MODEL.WEIGHTS = ""
    if cfg.get("SEED", -1) >= 0:
        torch.manual_seed(cfg.SEED)
    model = DefaultPredictor(unloaded).model
    path = cfg.MODEL.WEIGHTS
    if not names_weights(path):
        return TrainedModel(model)
    checkpointer = HashingCheckpointer(model)
    where = epoch_of_checkpoint(path, checkpointer.load(path))
    return TrainedModel(model, where.epoch, where.choice, checkpointer.sha256)


@dataclass(frozen=True)
class Description:
    """Descriptors of the test images of a data set, with labels.

    Attributes:
        features: (N, D) float32.
        visibility: (N, P) in [0, 1]; None for a model without an OEM.
        pids: (N,) identities.
        camids: (N,) cameras.
        paths: N files.
        num_query: number of queries; queries come first.
        num_parameters: parameters of the model.
        part_features: (N, P, C) pooled parts, not erased; None for a model without parts.
    """

    features: NDArray[np.float32]
    visibility: NDArray[np.float32] | None
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    paths: tuple[str, ...]
    num_query: int
    num_parameters: int
    part_features: NDArray[np.float32] | None = None

    def to_dump(self, about: Mapping[str, Any]) -> FeatureDump:
        """Return a feature dump of the same images.

        Args:
            about: origin of the features.

        Raises:
            ValueError: the test set has an empty split, or a feature is not finite.
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
    cfg: Any,
    dataset_name: str,
    progress: Callable[[int, int], None] | None = None,
    trained: TrainedModel | None = None,
) -> Description:
    """Describe every query and gallery image of a registered data set.

    Args:
        cfg: config; with ``TEST.FLIP.ENABLED`` every number is the mean of an image's and of the
            mirror image's, as in the stock evaluation.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        progress: called with images done and images in all, after each batch.
        trained: model of the config; None loads the model.

    Raises:
        ValueError: the checkpoint is of another model, or the model yields no descriptors.
    """
    seeded = with_the_trainings_seed(cfg)
    loader, num_query = build_reid_test_loader(seeded, dataset_name=dataset_name)
    model = (trained or load_trained(cfg)).model
    total = len(loader.dataset)
    arrays: dict[str, NDArray[np.float32]] = {}
    labels: dict[str, list[Any]] = {"targets": [], "camids": [], "img_paths": []}
    for batch in loader:
        done = len(labels["img_paths"])
        outputs = describe_images(model, batch["images"], cfg.TEST.FLIP.ENABLED)
        for name, tensor in outputs._asdict().items():
            if tensor is not None:
                whole = arrays.setdefault(name, np.empty((total, *tensor.shape[1:]), np.float32))
                whole[done : done + len(tensor)] = tensor.float().cpu().numpy()
        for name, values in labels.items():
            values.extend(batch[name].tolist() if torch.is_tensor(batch[name]) else batch[name])
        if progress is not None:
            progress(len(labels["img_paths"]), total)
    return Description(
        features=arrays["descriptors"],
        visibility=arrays.get("visibility"),
        pids=np.array(labels["targets"], dtype=np.int64),
        camids=np.array(labels["camids"], dtype=np.int64),
        paths=tuple(labels["img_paths"]),
        num_query=num_query,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        part_features=arrays.get("part_features"),
    )


def describe_images(model: nn.Module, images: Tensor, flip: bool) -> EvaluationOutputs:
    """Describe images with a model of any config.

    Args:
        model: in evaluation mode.
        images: (B, 3, H, W) float in [0, 255]; not modified.
        flip: whether to return the mean of the images and of their mirror images.

    Raises:
        ValueError: the model yields no descriptors.
    """
    outputs = _describe_once(model, images)
    if not flip:
        return outputs
    mirrored = _describe_once(model, images.flip(dims=[3]))
    pairs = zip(outputs, mirrored, strict=True)
    return EvaluationOutputs(*(None if one is None else (one + other) / 2 for one, other in pairs))


def _describe_once(model: nn.Module, images: Tensor) -> EvaluationOutputs:
    images = images.clone().to(model.device)  # stock models write into their input
    if hasattr(model, "describe"):
        return model.describe(images)
    return EvaluationOutputs(checked_descriptors(model, model({"images": images})))


def checked_descriptors(model: nn.Module, outputs: Any) -> Tensor:
    """Return the outputs of a model in evaluation if they are descriptors (B, D).

    Raises:
        ValueError: the outputs are something else.
    """
    if not torch.is_tensor(outputs) or outputs.ndim != 2:
        raise ValueError(
            f"MODEL.META_ARCHITECTURE={type(model).__name__}: yields "
            f"{getattr(outputs, 'shape', type(outputs).__name__)} in evaluation, expected one "
            "descriptor per image (B, D)"
        )
    return outputs


def dump_test_set(
    cfg: Any,
    dataset_name: str,
    about: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> FeatureDump:
    """Describe a data set with the model of a config; return a dump with a protocol card.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` takes random weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        about: further entries of the dump, such as ``method`` and ``config``.
        progress: called with images done and images in all.

    Raises:
        ValueError: as :func:`describe_test_set` and ``FeatureDump``.
    """
    if cfg.TEST.RERANK.ENABLED or cfg.TEST.AQE.ENABLED:
        logger.warning(
            "TEST.RERANK or TEST.AQE is on: a dump holds descriptors, which are ranked as they are"
        )
    trained = load_trained(cfg)
    description = describe_test_set(cfg, dataset_name, progress, trained)
    labels = (description.pids.tolist(), description.camids.tolist())
    items = list(zip(description.paths, *labels, strict=True))
    splits = items[: description.num_query], items[description.num_query :]
    card = describe_evaluation(
        *(cfg, dataset_name, *splits),
        rerank=OFF,
        query_expansion=OFF,
        **fields_of_training(cfg, trained),
    )
    names = [unique_names([path for path, _, _ in split]) for split in splits]
    return description.to_dump(
        {
            "dataset": card.dataset,
            "weights_sha256": trained.weights_sha256,
            "seed": card.seed,
            "epoch": card.epoch,
            "distance": card.distance,
            "million_parameters": description.num_parameters / 1e6,
            **about,
            "folders": _folders(description),
            OWN_PHOTOS: [[names[0][q], names[1][g]] for q, g in same_photos(*splits)],
            "card": card.to_json(),
        }
    )


def _folders(description: Description) -> dict[str, str]:
    """Return the folder that the names of a dump are relative to, by split; none for several."""
    count, folders = description.num_query, {}
    for split, part in (("query", slice(0, count)), ("gallery", slice(count, None))):
        paths = [os.path.abspath(path) for path in description.paths[part]]
        names = unique_names(paths)
        roots = {path[: -len(name) - 1] for path, name in zip(paths, names, strict=True)}
        if len(roots) == 1:
            folders[split] = roots.pop()
    return folders


def fields_of_training(cfg: Any, trained: TrainedModel) -> dict[str, Any]:
    """Return the fields of a protocol card that follow from the origin of the weights.

    Args:
        cfg: config of the model; empty ``MODEL.WEIGHTS`` means random weights without training.
        trained: model of the config.
    """
    weights = cfg.MODEL.WEIGHTS
    known = {"epoch": trained.epoch, "epoch_choice": trained.epoch_choice}
    if names_weights(weights):
        seed = seed_of_training(weights)
    else:
        seed, known = cfg.get("SEED", -1), {"epoch": 0, **dict.fromkeys(LEARNT)}
    return {"seed": None if seed is None or seed < 0 else seed, **known}


def seed_of_training(weights: str) -> int | None:
    """Return ``SEED`` of the ``config.yaml`` beside a checkpoint, None if there is none."""
    file = Path(weights).with_name("config.yaml")
    if not file.is_file():
        return None
    try:
        return int(read_config(str(file), []).get("SEED", -1))
    except (KeyError, ValueError, AssertionError) as error:
        logger.warning("%s: the seed of the training cannot be read (%s)", file, error)
        return None


def with_the_trainings_seed(cfg: Any) -> Any:
    """Return a config without a seed with the seed of the training, so that drawn lists agree."""
    seed = seed_of_training(cfg.MODEL.WEIGHTS) if names_weights(cfg.MODEL.WEIGHTS) else None
    if cfg.get("SEED", -1) >= 0 or seed is None:
        return cfg
    seeded = cfg.clone()
    seeded.defrost()
    seeded.SEED = seed
    return seeded


def only_test_set(names: tuple[str, ...]) -> str:
    """Return the name in ``DATASETS.TESTS``.

    Raises:
        ValueError: ``DATASETS.TESTS`` has several names, or none.
    """
    if len(names) != 1:
        raise ValueError(
            f"--dataset: expected a name, as DATASETS.TESTS has {len(names)}: {', '.join(names)}"
        )
    return names[0]
