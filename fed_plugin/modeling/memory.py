"""The identity memory: one slot per training identity, read by the FDM, written once a step.

Shape shorthand: ``B`` samples, ``M`` slots, ``D`` channels of a slot, ``K`` neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class IdentityMemory(nn.Module):
    """Bank of one feature per identity that survives a checkpoint.

    Args:
        num_slots: identities M.
        dim: channels D of a slot.
        momentum: share of the **old** value that an update keeps, in [0, 1].
    """

    features: Tensor
    initialized: Tensor
    loaded: bool
    """Whether the features came from a file and were not filled since."""

    def __init__(self, num_slots: int, dim: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.loaded = False
        self._filled = False
        self.register_buffer("features", torch.zeros(num_slots, dim))
        # Not bool: checkpoints of earlier versions hold uint8.
        self.register_buffer("initialized", torch.zeros((), dtype=torch.uint8))

    @property
    def filled(self) -> bool:
        """Whether the slots hold features; a device is asked until the answer is yes once."""
        self._filled = self._filled or bool(self.initialized)
        return self._filled

    @torch.no_grad()
    def fill(self, features: Tensor) -> None:
        """Set every slot at once.

        Args:
            features: (M, D), un-normalised.

        Raises:
            ValueError: another shape than (M, D).
        """
        if features.shape != self.features.shape:
            raise ValueError(
                f"memory is {tuple(self.features.shape)}, got {tuple(features.shape)} to fill it"
            )
        self.features.copy_(features)
        self.initialized.fill_(1)
        self.loaded, self._filled = False, True

    @torch.no_grad()
    def update(self, features: Tensor, targets: Tensor) -> None:
        """Move the slots of ``targets``: ``m <- momentum m + (1 - momentum) q``, sample by sample.

        Several samples of one identity act in batch order; done in closed form, without a loop. An
        identity with a sample that is not finite keeps its slot.

        Args:
            features: (B, D), un-normalised.
            targets: (B,) int64 in [0, M).
        """
        slots = self.features
        same = targets[:, None] == targets[None, :]  # (B, B)
        finite = (features * 0).sum(dim=1) == 0  # (B,); ten times as fast as isfinite() on a CPU
        spoiled = (same & ~finite).any(dim=1, keepdim=True)  # (B, 1)
        later = same.triu(diagonal=1).sum(dim=1, keepdim=True)  # samples of its identity behind it
        share = (1 - self.momentum) * torch.pow(self.momentum, later.to(slots.dtype))
        kept = torch.pow(self.momentum, same.sum(dim=1, keepdim=True).to(slots.dtype))
        added = (features * share).masked_fill_(spoiled, 0)  # (B, D)
        old = slots.index_select(0, targets).mul_(kept.masked_fill(spoiled, 1))
        write = write_by_product if slots.is_cuda else write_row_by_row
        write(slots, targets, old, added)

    @torch.no_grad()
    def normalized(self) -> Tensor:
        """Return a copy of all slots at unit length (M, D), which later updates leave alone."""
        return F.normalize(self.features, dim=1)

    @torch.no_grad()
    def nearest_identities(
        self, queries: Tensor, targets: Tensor, num_neighbors: int
    ) -> tuple[Tensor, Tensor]:
        """Return the slots of *other* identities that are most similar to the queries.

        Args:
            queries: (B, D).
            targets: (B,) int64 in [0, M).
            num_neighbors: K, at most M - 1.

        Returns:
            Identities (B, K) int64 in [0, M), most similar first, and their cosines (B, K).
        """
        similarity = cosines(queries, self.normalized())
        nearest = nearest_others(similarity, targets, num_neighbors)
        return nearest, similarity.gather(1, nearest)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # A file without a memory (converted, or from before FED) leaves the memory as it is: the
        # first training step fills the memory, evaluation does not read it.
        self.loaded = prefix + "features" in state_dict
        self._filled = False
        if not self.loaded:  # the host drops what is of another shape, not the flag beside it
            state_dict.pop(prefix + "initialized", None)
        for name, buffer in (("features", self.features), ("initialized", self.initialized)):
            state_dict.setdefault(prefix + name, buffer)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def write_row_by_row(slots: Tensor, targets: Tensor, old: Tensor, added: Tensor) -> None:
    """Write ``old`` into the slots of ``targets``, then add every sample's part, in place.

    Args:
        slots: (M, D).
        targets: (B,) int64 in [0, M).
        old: (B, D), equal where targets are.
        added: (B, D).
    """
    slots.index_copy_(0, targets, old).index_add_(0, targets, added)


def write_by_product(slots: Tensor, targets: Tensor, old: Tensor, added: Tensor) -> None:
    """Write what :func:`write_row_by_row` writes, in an order that never changes.

    On a GPU ``index_add_`` adds in another order each time. The product is in float64, which no
    autocast and no TF32 shortens.
    """
    same = targets[:, None] == targets[None, :]  # (B, B)
    first = same.int().argmax(dim=1)  # each sample's first one of its identity
    sums = (same.double() @ added.double()).to(slots.dtype)
    slots[targets] = (old + sums)[first]  # one value per slot


def cosines(features: Tensor, slots: Tensor) -> Tensor:
    """Compare features with all slots.

    Args:
        features: (..., D); gradients flow into them.
        slots: (M, D) of unit length, no gradient.

    Returns:
        (..., M) in [-1, 1], in the type of the slots under any autocast.
    """
    with torch.autocast(features.device.type, enabled=False):
        return F.normalize(features.to(slots.dtype), dim=-1) @ slots.t()


def nearest_others(similarity: Tensor, targets: Tensor, num_neighbors: int) -> Tensor:
    """Return the slots of *other* identities that are most similar to each sample.

    Args:
        similarity: (..., B, M).
        targets: (B,) int64 in [0, M).
        num_neighbors: K, at most M - 1.

    Returns:
        (..., B, K) slots, most similar first: the K + 1 most similar slots without the query's own
        identity, or without the last slot if the own identity is not among them.
    """
    nearest = similarity.topk(num_neighbors + 1, dim=-1).indices  # (..., B, K + 1)
    dropped = nearest == targets[:, None]
    dropped[..., -1] |= ~dropped.any(dim=-1)
    kept = dropped.long().argsort(dim=-1, stable=True)[..., :num_neighbors]
    return nearest.gather(-1, kept)
