"""People as occluders: images of other identities, listed first and decoded when needed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fed_plugin.photos import read_rgb
from fed_plugin.transforms.occluders import shrink_to_side
from fed_plugin.transforms.placement import PersonPlacement

_KEPT = 32  # decoded images per process
_MAX_SIDE = 512


class PeopleSet:
    """Images of people with their identities, as occluders of other people.

    A pickle holds paths and identities alone. Each process keeps its last decoded images, which
    changes no result. The identities ``pids`` of the files are of one type, and at least two
    different ones. Error messages call the set ``key``.

    Raises:
        ValueError: fewer than two identities, or not one identity per path.
    """

    def __init__(self, paths: Sequence[str], pids: Sequence[Hashable], key: str = "people") -> None:
        if len(paths) != len(pids):
            raise ValueError(f"expected one pid per path, got {len(pids)} for {len(paths)}")
        by_pid: dict[Hashable, list[str]] = {}
        for path, pid in zip(paths, pids, strict=True):
            by_pid.setdefault(pid, []).append(path)
        if len(by_pid) < 2:
            raise ValueError(
                f"{key}: expected images of two identities or more, as people cover others only, "
                f"got {len(by_pid)}"
            )
        self._key = key
        self._paths: list[str] = []
        self._spans: dict[Hashable, tuple[int, int]] = {}
        for pid, own in by_pid.items():
            self._spans[pid] = (len(self._paths), len(own))
            self._paths += own
        self._read = lru_cache(maxsize=_KEPT)(self._decode)

    def __len__(self) -> int:
        return len(self._paths)

    def other_than(self, pid: Hashable, draw: float) -> int:
        """Turn a number in [0, 1) into the index of an image of another identity.

        All images of the others are equally likely.

        Raises:
            ValueError: ``pid`` is not in the set.
        """
        if pid not in self._spans:
            raise ValueError(
                f"{self._key}: expected an image of one of the {len(self._spans)} identities of "
                f"the people, got one of {pid!r}"
            )
        start, count = self._spans[pid]
        index = int(draw * (len(self._paths) - count))
        return index if index < start else index + count

    @property
    def pids(self) -> tuple[Hashable, ...]:
        """Return the identity of every image, in order."""
        return tuple(pid for pid, (_, count) in self._spans.items() for _ in range(count))

    def path(self, index: int) -> str:
        """Return the file of image ``index``."""
        return self._paths[index]

    def cut(self, placement: PersonPlacement) -> NDArray[np.uint8]:
        """Return the visible part of a person, (height, width, 3) uint8 RGB, resized bicubically.

        Raises:
            ValueError: the file cannot be decoded; the message names it.
        """
        person = self._read(placement.person)
        left = placement.frame_left
        if placement.flip:
            left = placement.frame_width - left - placement.width
        down = person.height / placement.frame_height
        across = person.width / placement.frame_width
        right, bottom = left + placement.width, placement.frame_top + placement.height
        ends = min(person.width, right * across), min(person.height, bottom * down)
        window = (left * across, placement.frame_top * down, *ends)
        size = placement.width, placement.height
        part = person.resize(size, Image.Resampling.BICUBIC, box=window)
        pixels: NDArray[np.uint8] = np.array(part, dtype=np.uint8)
        return pixels[:, ::-1].copy() if placement.flip else pixels

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} images of {len(self._spans)} identities)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._paths, self.pids, self._key)

    def _decode(self, index: int) -> Image.Image:
        path = self.path(index)
        try:
            return Image.fromarray(shrink_to_side(read_rgb(Path(path)), _MAX_SIDE))
        except Exception as error:  # every decoder raises its own kinds
            raise ValueError(
                f"{self._key}: cannot read {path} ({error}); expected an image of a person, try "
                "saving the image again as JPEG or PNG"
            ) from error
