"""Scalars for the host's event storage, which is open only inside training."""

from __future__ import annotations

import torch
from fastreid.utils.events import get_event_storage
from torch import Tensor

from fed_plugin.modeling import HeadOutputs


def iteration() -> int | None:
    """Return the iteration of the run in progress, None outside a trainer."""
    storage = _open_storage()
    return None if storage is None else storage.iter


@torch.no_grad()
def log_step(outputs: HeadOutputs, targets: Tensor, visibility_target: Tensor) -> None:
    """Log how visible the parts look, how visible they should, and who is recognised.

    Args:
        outputs: of the head in training.
        targets: (B,) int64.
        visibility_target: (B, P) for the occluded view.
    """
    storage = _open_storage()
    if storage is None:
        return
    holistic, occluded = outputs.visibility
    correct = outputs.erased_logits.argmax(dim=-1) == targets  # (V, B)
    scalars = {
        "visibility_holistic": holistic.float().mean(),
        "visibility_occluded": occluded.float().mean(),
        "visibility_target": visibility_target.mean(),
        "accuracy_holistic": correct[0].float().mean(),
        "accuracy_occluded": correct[1].float().mean(),
    }
    values = torch.stack([value.float() for value in scalars.values()]).tolist()
    storage.put_scalars(**dict(zip(scalars, values, strict=True)))


def _open_storage():
    try:
        return get_event_storage()
    except AssertionError:  # the host's way to say that none is open
        return None
