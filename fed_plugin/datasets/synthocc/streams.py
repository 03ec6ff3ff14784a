"""Random streams: every drawn thing has its own, so who draws it, and when, does not matter."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *key: int | str) -> np.random.Generator:
    """Return the random stream that belongs to ``key`` under ``seed``.

    Args:
        seed: non-negative seed of the whole drawing.
        *key: words and non-negative integers that name one thing, such as
            ``("query", pid, camid, index)``. Different keys give independent streams.
    """
    words = [_word(part) if isinstance(part, str) else part for part in key]
    sequence = np.random.SeedSequence(seed, spawn_key=tuple(words))
    return np.random.Generator(np.random.PCG64(sequence))


def _word(text: str) -> int:
    # Python's own hash() differs between processes.
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
