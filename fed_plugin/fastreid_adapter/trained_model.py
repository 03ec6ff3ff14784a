"""A model as a checkpoint left it, or an error: the host only logs weights that do not fit."""

from __future__ import annotations

from typing import Any

import torch
from fastreid.engine import DefaultPredictor
from fastreid.utils.checkpoint import Checkpointer
from torch import nn

from fed_plugin.fastreid_adapter.meta_arch import FED


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
