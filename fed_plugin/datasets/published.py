"""How many images and identities a complete copy of each benchmark has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Hold the published size of one split.

    Attributes:
        images: that belong to it, without detections of nobody.
        identities: None where only the images are published.
    """

    images: int
    identities: int | None = None


def _counts(**splits: tuple[int, int | None]) -> Mapping[str, Published]:
    return {split: Published(*numbers) for split, numbers in splits.items()}


# Source: Occluded-Duke counted from its published list files, as several papers print 708 training
# identities; all others from the datasets' own pages and loaders.
OCCLUDED_DUKE_COUNTS = _counts(train=(15618, 702), query=(2210, 519), gallery=(17661, 1110))
DUKE_COUNTS = _counts(train=(16522, 702), query=(2228, 702), gallery=(17661, 1110))
MARKET_COUNTS = _counts(train=(12936, 751), query=(3368, 750), gallery=(15913, None))
P_DUKE_COUNTS = _counts(train=(12927, 665), query=(2163, 634), gallery=(9053, 634))
OCCLUDED_REID_COUNTS = _counts(query=(1000, 200), gallery=(1000, 200))
PARTIAL_REID_COUNTS = _counts(query=(300, 60), gallery=(300, 60))
PARTIAL_ILIDS_COUNTS = _counts(query=(119, 119), gallery=(119, 119))
