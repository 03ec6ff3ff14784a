"""Descriptors of a data set, computed by the stock test loader and predictor.

Shape shorthand: ``N`` images (queries first), ``D`` numbers, ``P`` parts, ``C`` channels.
"""

from __future__ import annotations

import logging
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

from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.meta_arch import FED
from fed_plugin.fastreid_adapter.run_cards import describe_evaluation, evaluated_epoch
from fed_plugin.retrieval.feature_dump import FeatureDump, unique_names
from fed_plugin.retrieval.protocol_card import OFF

# A model as a checkpoint left it, or an error: the host only logs weights that do not fit.


class FittingCheckpointer(Checkpointer):
    """Load a checkpoint, and refuse one that leaves weights random which evaluation needs.

    Args:
        model: to load into.
        num_classes: rows of its classifiers, which evaluation does not need.
    """

    def __init__(self, model: nn.Module, num_classes: int) -> None:
        super().__init__(model)
        self.num_classes = num_classes
        self.path = ""

    def load(self, path: str, checkpointables: Any = None) -> Any:
        """Load the weights.

        Raises:
            ValueError: The file is of another model.
        """
        self.path = path
        return super().load(path, checkpointables)

    def _log_incompatible_keys(self, incompatible: Any) -> None:
        if isinstance(self.model, FED):
            return  # it knows which of its weights evaluation needs, and has refused others
        shapes = [name for name, *_ in incompatible.incorrect_shapes]
        random = [name for name in (*incompatible.missing_keys, *shapes) if self._is_needed(name)]
        if random:
            raise ValueError(
                f"MODEL.WEIGHTS={self.path}: not a checkpoint of this config's model: "
                f"{len(set(random))} of its weights are missing or have another shape, first "
                f"{random[0]!r}; expected a file that this config trained"
            )

    def _is_needed(self, name: str) -> bool:
        shape = self.model.state_dict()[name].shape
        classifier = len(shape) == 2 and shape[0] == self.num_classes
        return not (classifier or name.endswith("num_batches_tracked"))


def load_trained(cfg: Any) -> nn.Module:
    """Build a config's model for evaluation and load ``MODEL.WEIGHTS``.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` leaves random weights, drawn from ``SEED`` if that is
            0 or more.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: The checkpoint is of another model.
    """
    unloaded = cfg.clone()
    unloaded.defrost()
    unloaded.MODEL.WEIGHTS = ""
    if cfg.get("SEED", -1) >= 0:
        torch.manual_seed(cfg.SEED)
    model = DefaultPredictor(unloaded).model
    if cfg.MODEL.WEIGHTS:
        FittingCheckpointer(model, cfg.MODEL.HEADS.NUM_CLASSES).load(cfg.MODEL.WEIGHTS)
    return model


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


# A feature dump of a data set by a config's model, with a protocol card in it.

logger = logging.getLogger(__name__)


def dump_test_set(
    cfg: Any,
    dataset_name: str,
    about: dict[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> FeatureDump:
    """Describe a data set's queries and gallery with a config's model, and say how.

    Args:
        cfg: config; ``MODEL.WEIGHTS`` names the checkpoint, empty takes random weights.
        dataset_name: name in the host's ``DATASET_REGISTRY``.
        about: what else to say, such as ``method`` and ``config``.
        progress: called with images done and images in all.

    Raises:
        ValueError: As :func:`describe_test_set` and ``FeatureDump``.
    """
    if cfg.TEST.RERANK.ENABLED or cfg.TEST.AQE.ENABLED:
        logger.warning(
            "TEST.RERANK or TEST.AQE is on: a dump holds descriptors, which are ranked as they are"
        )
    description = describe_test_set(cfg, dataset_name, progress)
    weights = cfg.MODEL.WEIGHTS
    card = describe_evaluation(
        cfg,
        dataset_name,
        *_items(description),
        rerank=OFF,
        query_expansion=OFF,
        **known_of_weights(cfg, description.epoch, description.epoch_choice),
    )
    return description.to_dump(
        {
            "dataset": card.dataset,
            "weights_sha256": content_hash(weights) if weights else None,
            "seed": card.seed,
            "epoch": card.epoch,
            "distance": card.distance,
            "million_parameters": description.num_parameters / 1e6,
            **about,
            "card": card.to_json(),
        }
    )


def known_of_weights(cfg: Any, epoch: int | None, epoch_choice: str | None) -> dict[str, Any]:
    """Return the fields of a card that follow from where a model's weights come from.

    Args:
        cfg: config; empty ``MODEL.WEIGHTS`` took random weights, which learnt from nothing.
        epoch: of the checkpoint, None if not known.
        epoch_choice: who chose it, as on a card.
    """
    weights = cfg.MODEL.WEIGHTS
    seed = seed_of_training(weights) if weights else cfg.get("SEED", -1)
    known = {"epoch": epoch, "epoch_choice": epoch_choice}
    if not weights:
        known = {"epoch": 0, **dict.fromkeys(("training_sets", "supervision", "combineall"))}
    return {"seed": None if seed is None or seed < 0 else seed, **known}


def seed_of_training(weights: str) -> int | None:
    """Return the ``SEED`` of the run that left a checkpoint, by the ``config.yaml`` beside it."""
    file = Path(weights).with_name("config.yaml")
    if not file.is_file():
        return None
    try:
        return int(read_config(str(file), []).get("SEED", -1))
    except (KeyError, ValueError, AssertionError) as error:
        logger.warning("%s: does not say the seed (%s)", file, error)
        return None


def _items(description: Description) -> tuple[list[Any], list[Any]]:
    items = list(
        zip(
            description.paths,
            description.pids.tolist(),
            description.camids.tolist(),
            strict=True,
        )
    )
    return items[: description.num_query], items[description.num_query :]


def only_test_set(names: tuple[str, ...]) -> str:
    """Return the name in ``DATASETS.TESTS``.

    Raises:
        ValueError: there are several, or none.
    """
    if len(names) != 1:
        raise ValueError(
            f"--dataset: expected a name, as DATASETS.TESTS has {len(names)}: {', '.join(names)}"
        )
    return names[0]
