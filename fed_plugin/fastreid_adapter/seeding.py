"""Random streams of a process, and the item whose transforms run, with its own random numbers.

The host gives a transform the pixels alone, and seeds each loader worker once: the random numbers
of an image depend on the number of workers. Here a transform can ask for its item. A run with a
``SEED`` draws the same numbers for each place in the sampler's stream, in any worker.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from fed_plugin.fastreid_adapter.mends.mending import Call, host_step

# The random streams of a process: Python's, NumPy's, PyTorch's on the CPU and on each CUDA device.
#
# States are plain tuples, numbers and tensors: a checkpoint with them loads without executing
# anything.


def seed_streams(entropy: tuple[int, ...]) -> None:
    """Seed the three streams on the CPU from non-negative integers."""
    python, numpy, low, high = np.random.SeedSequence(entropy).generate_state(4).tolist()
    random.seed(python)
    np.random.seed(numpy)
    # not torch.manual_seed, which initialises the accelerator
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
    """Restore the three streams on the CPU when the block ends."""
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

    CUDA streams are set if the number of devices is the same.
    """
    kind, words, *rest = saved["numpy"]
    version, internal, gauss = saved["python"]
    numpy = (kind, words.numpy().astype(np.uint32), *rest)
    set_stream_states(((version, tuple(internal), gauss), numpy, saved["torch"]))
    if saved["cuda"] and torch.cuda.device_count() == len(saved["cuda"]):
        torch.cuda.set_rng_state_all(saved["cuda"])


# The draws of data sets: some shuffle their lists when they are constructed.

_drawn: dict[str, int] = {}  # seed of the draw by the name of the data set
_listing: ContextVar[bool] = ContextVar("listing", default=False)


@contextmanager
def lists_under_the_seed(name: str, seed: int) -> Iterator[None]:
    """Seed the streams while a data set lists its images, and restore the streams afterwards.

    A data set of this name that draws from a stream is noted for :func:`drawn_under`.
    """
    if _listing.get():
        yield
        return
    token = _listing.set(True)
    try:
        with restored_stream_states():
            seed_streams((seed,))
            before = repr(_whole(stream_states()))
            yield
            if repr(_whole(stream_states())) != before:
                _drawn[name] = seed
    finally:
        _listing.reset(token)


def _whole(states: tuple[Any, ...]) -> tuple[Any, ...]:
    python, numpy, pytorch = states
    return python, numpy[1].tolist(), numpy[2:], pytorch.tolist()


def drawn_under(name: str) -> int | None:
    """Return the seed with which a data set last drew its lists; None if it draws none."""
    return _drawn.get(name)


_CHUNK = 64  # indices drawn between two exchanges of the random states


@dataclass(frozen=True)
class CurrentItem:
    """Image whose transforms run, with identity and camera as the data set lists them.

    Both are strings in training, ints in tests.
    """

    path: str
    pid: int | str
    camid: int | str


_current: ContextVar[CurrentItem | None] = ContextVar("current_item", default=None)


def current_item() -> CurrentItem | None:
    """Return the item whose transforms run in this process; None if no transforms run."""
    return _current.get()


class SeededIndex(int):
    """Index into a data set, with integers that seed all random numbers of the item."""

    entropy: tuple[int, ...]

    def __new__(cls, index: int, entropy: tuple[int, ...]) -> SeededIndex:  # noqa: D102
        self = super().__new__(cls, index)
        self.entropy = entropy
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:
        return int(self), self.entropy


class SeededSampler(Sampler):
    """Sampler that adds to each index of another sampler a seed, made of the place in the stream.

    The other sampler draws from random states of its own, made of the same seed. Draws of other
    code do not change the order, and a resumed run finds its place again.

    Args:
        sampler: Sampler of the host, which may be endless.
        entropy: Seed and rank, which distinguish this stream from others.
    """

    def __init__(self, sampler: Iterable[int], entropy: tuple[int, ...]) -> None:
        self.sampler = sampler
        self.entropy = entropy
        self.first = 0

    def start_from(self, position: int) -> None:
        """Let the next iteration start at a place in the stream, as if all before were drawn."""
        self.first = position

    def __iter__(self) -> Iterator[SeededIndex]:
        for position, index in enumerate(self._indices()):
            if position >= self.first:
                yield SeededIndex(index, (*self.entropy, position))

    def _indices(self) -> Iterator[int]:
        stream = iter(self.sampler)
        with restored_stream_states():
            seed_streams(self.entropy)
            own = stream_states()
        while True:
            with restored_stream_states():
                set_stream_states(own)
                chunk = list(itertools.islice(stream, _CHUNK))
                own = stream_states()
            if not chunk:
                return
            yield from chunk

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type] - as the host's sampler has it


@host_step("fastreid.data.common", "CommDataset.__getitem__")
def note_the_item(call: Call) -> Iterator[None]:
    """Let ``CommDataset`` note the item whose transforms run, and honour a seeded index."""
    dataset, index = call.args
    token = _current.set(CurrentItem(*dataset.img_items[index][:3]))
    with restored_stream_states() if isinstance(index, SeededIndex) else nullcontext():
        if isinstance(index, SeededIndex):
            seed_streams(index.entropy)
        yield
    _current.reset(token)
