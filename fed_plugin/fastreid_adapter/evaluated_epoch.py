"""Which epoch of training a model under evaluation has behind it, and who chose that epoch."""

from __future__ import annotations

import logging
import os
from typing import Any, NamedTuple

import torch
from fastreid.utils.checkpoint import Checkpointer
from fastreid.utils.events import get_event_storage

from fed_plugin.retrieval.protocol_card import BEST_ON_TEST, LAST

logger = logging.getLogger("fastreid.fed_plugin.cards")

_CHOICES = {"model_final": LAST, "model_best": BEST_ON_TEST}  # names the host's checkpointer gives


class EvaluatedEpoch(NamedTuple):
    """Say where the weights of an evaluated model come from.

    Args:
        epoch: epochs of training, None if not known.
        choice: ``"last"``, ``"best on test"`` or None, as on a protocol card.
        label: what tells this evaluation from others of a run: that number, or the name of the
            checkpoint; empty if there is neither.
    """

    epoch: int | None
    choice: str | None
    label: str


def evaluated_epoch(cfg: Any, model: Any) -> EvaluatedEpoch:
    """Find out which epoch is evaluated.

    Within a training it is the one that just ended, and it was chosen if it is the last. Outside,
    it is what the checkpoint ``MODEL.WEIGHTS`` says, if the model really holds its weights.

    Args:
        cfg: host config.
        model: in evaluation.
    """
    try:
        index = getattr(get_event_storage(), "epoch", None)  # set by the trainer, counted from 0
    except AssertionError:  # the host's way to say that nothing is being trained
        return _of_checkpoint(cfg.MODEL.WEIGHTS, model)
    if index is None:
        return EvaluatedEpoch(None, None, "")
    epoch = int(index) + 1
    return EvaluatedEpoch(epoch, LAST if epoch == cfg.SOLVER.MAX_EPOCH else None, str(epoch))


def _of_checkpoint(path: str, model: Any) -> EvaluatedEpoch:
    unknown = EvaluatedEpoch(None, None, "")
    if not path:
        return unknown
    try:
        content = Checkpointer(torch.nn.Module())._load_file(path)
    except (OSError, ValueError) as error:
        logger.warning("MODEL.WEIGHTS=%s: the card will not name its epoch: %s", path, error)
        return unknown
    if not holds(model, content["model"]):
        return unknown
    index = content.get("epoch")
    stem = os.path.splitext(os.path.basename(path))[0]
    return EvaluatedEpoch(None if index is None else int(index) + 1, _CHOICES.get(stem), stem)


@torch.no_grad()
def holds(model: Any, state: dict[str, Any]) -> bool:
    """Tell whether a model has the values of a checkpoint, wherever both have a tensor of a shape.

    Args:
        model: bare, or wrapped for distributed training.
        state: of the checkpoint, values by name.
    """
    own = getattr(model, "module", model).state_dict()
    theirs = {name: torch.as_tensor(state[name]) for name in own if name in state}
    same_shape = [
        name
        for name in theirs
        # whether a memory is filled is not taken over where its identities are others
        if own[name].shape == theirs[name].shape and not name.endswith(".initialized")
    ]
    return bool(same_shape) and all(
        torch.equal(own[name].cpu(), theirs[name].to(own[name].dtype)) for name in same_shape
    )
