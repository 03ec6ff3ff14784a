"""All ranks of a run: tensors gathered or added up, and the folder that they hold."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from fastreid.utils import comm
from torch import Tensor, distributed

from fed_plugin.files import FolderInUseError, FolderLock
from fed_plugin.pool import only_training


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


# One process at a time trains, or evaluates, into an ``OUTPUT_DIR``: two would mix their files.

_RUNS: dict[tuple[int, str], FolderLock] = {}
"""Locks of this process, by its number and folder: a forked process holds none."""


def hold_folder(folder: str) -> None:
    """Hold a folder in every rank, until `free_folder` or the end of the process.

    Raises:
        FolderInUseError: Another process trains into the folder; nothing was written.
        OSError: The folder cannot be written to.
    """
    error: Exception | None = None
    if folder and comm.is_main_process() and not holds(folder):
        try:
            _RUNS[_key(folder)] = only_training(folder).__enter__()
        except (FolderInUseError, OSError) as refused:
            error = refused
    errors = comm.all_gather(error) if comm.get_world_size() > 1 else [error]
    for refused in filter(None, errors):
        raise refused


@atexit.register
def free_folder(folder: str = "") -> None:
    """Let other processes use a folder of this process, or all of them."""
    for key in [key for key in _RUNS if not folder or key == _key(folder)]:
        lock = _RUNS.pop(key)
        if key[0] == os.getpid():
            lock.__exit__(None, None, None)


def holds(folder: str) -> bool:
    """Return whether this process holds a folder."""
    return _key(folder) in _RUNS


def _key(folder: str) -> tuple[int, str]:
    return os.getpid(), os.path.realpath(folder)


@contextmanager
def held_while_training(folder: str) -> Iterator[None]:
    """Hold a folder, or go on holding it, until the block ends."""
    if not holds(folder):
        _RUNS[_key(folder)] = only_training(folder).__enter__()
    try:
        yield
    finally:
        free_folder(folder)
