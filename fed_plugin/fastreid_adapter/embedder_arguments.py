"""Arguments of ``Embedder``, refused in words before a model is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def checked_batch_size(batch_size: int) -> int:
    """Return how many photos are described at once.

    Raises:
        ValueError: No whole number of 1 or more.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size {batch_size!r}: expected a whole number, 1 or more")
    return batch_size


def checked_overrides(overrides: Sequence[Any]) -> list[Any]:
    """Return ``[KEY, VALUE, ...]`` as a list of its own.

    Raises:
        ValueError: It is something else.
    """
    if isinstance(overrides, (str, Mapping)) or len(overrides) % 2:
        raise ValueError(
            f"overrides {overrides!r}: expected [KEY, VALUE, ...], such as "
            '["TEST.FLIP.ENABLED", True]'
        )
    return list(overrides)


def checked_device(device: str | torch.device | None) -> torch.device:
    """Return a device that models run on; None takes CUDA where there is one.

    Raises:
        ValueError: This PyTorch cannot use it.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        checked = torch.device(device)
        if checked.type != "cuda":  # without CUDA the host goes to the CPU, and says so
            torch.zeros(1, device=checked).cpu()
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:
        raise ValueError(
            f"device {device!r}: expected one that this PyTorch can use, such as cpu or cuda:0 "
            f"({str(error).splitlines()[0]})"
        ) from error
    return checked
