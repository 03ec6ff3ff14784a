"""The random streams of a process: Python's, NumPy's, PyTorch's on the CPU and on each CUDA device.

States are plain tuples, numbers and tensors, so that a checkpoint holds them and is still loaded
without executing anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_streams(entropy: tuple[int, ...]) -> None:
    """Seed the three streams on the CPU.

    Args:
        entropy: non-negative integers, from which ``numpy.random.SeedSequence`` makes the seeds.
    """
    python, numpy, low, high = np.random.SeedSequence(entropy).generate_state(4).tolist()
    random.seed(python)
    np.random.seed(numpy)
    # not torch.manual_seed, which would reach for the accelerator
    torch.default_generator.manual_seed(low + (high << 32))


def stream_states() -> tuple[Any, ...]:
    """Return the states of the three streams on the CPU, for :func:`set_stream_states`."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_stream_states(states: tuple[Any, ...]) -> None:
    """Set the three streams on the CPU."""
    python, numpy, pytorch = states
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(pytorch)


@contextmanager
def restored_stream_states() -> Iterator[None]:
    """Leave the three streams as they were, whatever the block draws."""
    states = stream_states()
    try:
        yield
    finally:
        set_stream_states(states)


def saved_streams() -> dict[str, Any]:
    """Return the states of all streams, as a checkpoint holds them."""
    python, (kind, words, position, has_gauss, gauss), pytorch = stream_states()
    return {
        "python": python,
        "numpy": (kind, torch.from_numpy(words.astype(np.int64)), position, has_gauss, gauss),
        "torch": pytorch,
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_streams(saved: dict[str, Any]) -> None:
    """Set all streams to what :func:`saved_streams` returned.

    CUDA streams are set where there are as many devices as there were.
    """
    kind, words, *rest = saved["numpy"]
    version, internal, gauss = saved["python"]
    numpy = (kind, words.numpy().astype(np.uint32), *rest)
    set_stream_states(((version, tuple(internal), gauss), numpy, saved["torch"]))
    if saved["cuda"] and torch.cuda.device_count() == len(saved["cuda"]):
        torch.cuda.set_rng_state_all(saved["cuda"])
