"""Tensors of all ranks: gathered in rank order, or added up."""

from __future__ import annotations

import torch
from fastreid.utils import comm
from torch import Tensor, distributed


def gather_across_ranks(tensor: Tensor) -> Tensor:
    """Concatenate equal-sized tensors (B, ...) of all ranks in rank order -> (ranks * B, ...).

    Every rank gets the same bits. With one process the tensor itself is returned.
    """
    if comm.get_world_size() == 1:
        return tensor
    tensor = tensor.contiguous()
    gathered = [torch.empty_like(tensor) for _ in range(comm.get_world_size())]
    distributed.all_gather(gathered, tensor)
    return torch.cat(gathered)


def sum_across_ranks(tensor: Tensor) -> Tensor:
    """Add up tensors of all ranks, in place; every rank gets rank 0's bits."""
    if comm.get_world_size() > 1:
        distributed.all_reduce(tensor)
        distributed.broadcast(tensor, src=0)
    return tensor
