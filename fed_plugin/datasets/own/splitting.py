"""Which identities are tested on and which of their images are queries, decided by hashes.

Nothing is shuffled: each decision hangs on the seed and on the names it is about, so that neither
the order of files nor the platform matters, and a new identity moves no other.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from fed_plugin.datasets.own.records import Record, canonical, in_order

_KEYS = "DATASETS.FOLDER_REID"


@dataclass(frozen=True)
class SplitRule:
    """Say how data without a split are divided.

    Attributes:
        test_share: share of the identities that are tested on, in (0, 1).
        queries: queries of a test identity in each camera, or in all where there are no cameras.
        seed: chooses another split; 0 or more.

    Raises:
        ValueError: A value is not that, with the config key that sets it.
    """

    test_share: float = 0.5
    queries: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        share = self.test_share
        if not _is(share, numbers.Real) or not math.isfinite(share) or not 0 < share < 1:
            _refuse("TEST_SHARE", share, "a share of the identities, above 0 and below 1", 0.5)
        if not _is(self.queries, numbers.Integral) or self.queries < 1:
            _refuse("QUERIES", self.queries, "a number of images, 1 or more", 1)
        if not _is(self.seed, numbers.Integral) or self.seed < 0:
            _refuse("SPLIT_SEED", self.seed, "a whole number, 0 or more", 0)


def identities_to_test(eligible: Collection[str], everybody: int, rule: SplitRule) -> set[str]:
    """Choose the identities that are tested on; the rest is for training.

    Each is drawn by itself, so that their share is about ``rule.test_share``. Where chance would
    leave one side empty, the identity nearest to that side goes there.

    Args:
        eligible: identities that can be tested on.
        everybody: number of all identities; those not eligible are for training anyway.
        rule: share and seed.
    """
    places = {identity: _draw(rule.seed, "identity", identity) for identity in eligible}
    ascending = sorted(places, key=lambda identity: (places[identity], identity))
    chosen = {identity for identity in ascending if places[identity] < rule.test_share}
    if ascending and not chosen:
        chosen = {ascending[0]}
    if len(chosen) == everybody > 1:
        chosen.remove(ascending[-1])
    return chosen


def queries_of(records: Iterable[Record], rule: SplitRule) -> list[Record]:
    """Choose the queries among one identity's test images; the rest is its gallery.

    Every query keeps a right answer: an image in the gallery, of another camera where there are
    cameras. So an identity with one image, or with one camera of several, has no query.

    Args:
        records: the images of one identity; the camera of all of them is told, or of none.
        rule: number of queries per camera, and seed.
    """

    def place(record: Record) -> float:
        name = canonical(os.path.basename(record.path))
        return _draw(rule.seed, "image", record.identity, name)

    by_camera: dict[str | None, list[Record]] = {}
    for record in sorted(in_order(records), key=place):
        by_camera.setdefault(record.camera, []).append(record)
    left = {camera: len(images) for camera, images in by_camera.items()}
    queries: list[Record] = []
    for camera in sorted(by_camera, key=str):
        for record in by_camera[camera][: rule.queries]:
            left[camera] -= 1
            if all(_answers(left, seen) for seen in {camera, *(q.camera for q in queries)}):
                queries.append(record)
            else:
                left[camera] += 1
    return queries


def _answers(left: dict[str | None, int], camera: str | None) -> int:
    """Count the gallery images that answer a query of ``camera``."""
    return sum(count for other, count in left.items() if camera is None or other != camera)


def _draw(seed: int, *words: str) -> float:
    """Return a number in [0, 1) that hangs on nothing but seed and words."""
    text = "\0".join((str(int(seed)), *words))
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48  # exact in a float


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _refuse(key: str, value: Any, expected: str, default: float) -> None:
    raise ValueError(f"{_KEYS}.{key}={value!r}: expected {expected}; try {default}")
