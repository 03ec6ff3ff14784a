"""What a robustness curve is measured with: shares, kinds of occluders, and how many queries."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.datasets.whole_queries import AUTO
from fed_plugin.retrieval.robustness_summary import Condition
from fed_plugin.transforms import OccluderSet, drawn_occluders
from fed_plugin.transforms.covered_queries import KINDS, OBJECTS, PEOPLE
from fed_plugin.transforms.side_occlusion import SIDES

VISIBLE_SHARES = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)
"""Eighths, which are whole rows and columns of the usual input sizes."""

DRAWN_COUNT, DRAWN_SEED = 120, 90_210
"""Of the drawn occluders. Training draws its own with seed 0: no crop is in both sets."""


@dataclass(frozen=True)
class RobustnessSettings:
    """Say what is measured.

    Args:
        visible_shares: of the image's area, below 1 and falling.
        kinds: of occluders.
        queries: how many at most.
        per_identity: how many of one person at most.
        source: whether queries come from the set's ``"query"`` or ``"gallery"``; ``"auto"``: by
            what is known of the set.
        occluders: folder of crops; empty takes drawn ones.
        seed: chooses what is pasted where, 0 or more.

    Raises:
        ValueError: a value out of its range, named by the command's word.
    """

    visible_shares: tuple[float, ...] = VISIBLE_SHARES
    kinds: tuple[str, ...] = KINDS
    queries: int = 300
    per_identity: int = 2
    source: str = AUTO
    occluders: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        shares = np.asarray(self.visible_shares, dtype=np.float64)
        if not shares.size or not (np.diff([1.0, *shares, 0.0]) < 0).all():
            raise ValueError(
                f"--visible {' '.join(map(str, self.visible_shares))}: expected shares between 0 "
                "and 1 that fall, such as 0.75 0.5 0.25"
            )
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"--kinds {' '.join(self.kinds)}: expected some of {', '.join(KINDS)}")
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed}: expected 0 or more")

    @property
    def conditions(self) -> list[Condition]:
        """Every kind, side and visible share."""
        return [
            (kind, side, share)
            for kind in self.kinds
            for side in SIDES
            for share in self.visible_shares
        ]

    def load_occluders(self) -> OccluderSet:
        """Draw or decode the obstacles.

        Raises:
            FileNotFoundError: the folder is not there or holds no image.
            ValueError: a file in it cannot be decoded.
        """
        if self.occluders:
            return _decode(self.occluders)
        return drawn_occluders(DRAWN_COUNT, DRAWN_SEED + self.seed)

    def describe_occluders(self, occluders: OccluderSet) -> dict[str, str]:
        """Say by kind what is pasted, so that two sets are told apart wherever they lie."""
        digest = hashlib.sha256(b"".join(crop.tobytes() for crop in occluders)).hexdigest()[:12]
        said = {
            OBJECTS: f"{len(occluders)} crops of {Path(self.occluders).resolve().name}, sha256 "
            f"{digest}"
            if self.occluders
            else f"{len(occluders)} drawn crops, seed {DRAWN_SEED + self.seed}",
            PEOPLE: "gallery images of other identities",
        }
        return {kind: said[kind] for kind in self.kinds}

    def asked(self, weights: str) -> dict[str, Any]:
        """Return what tells one measurement from another, as JSON has it.

        Args:
            weights: file of the model's, empty for random ones.
        """
        return {
            **asdict(self),
            "visible_shares": list(self.visible_shares),
            "kinds": list(self.kinds),
            "occluders": self.describe_occluders(self.load_occluders()),
            "weights_sha256": content_hash(weights) if weights else None,
        }


@functools.lru_cache(maxsize=1)
def _decode(folder: str) -> OccluderSet:
    return OccluderSet.from_folder(folder, key="--occluders")
