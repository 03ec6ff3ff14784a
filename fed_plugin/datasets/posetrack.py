"""The crops of Occluded-PoseTrack-ReID, and which split each belongs to.

Crops lie in ``occluded_posetrack_reid/images/{train,val}/<video>/``, cut by ``posetrack_crops`` or
by the authors' own code; the published lists (``posetrack_lists``) say which split has them.
"""

from __future__ import annotations

import os
from functools import lru_cache

from fed_plugin.datasets.posetrack_lists import LISTS, list_path, listed_detections

CROPS = f"{LISTS}/images"
_NAMED = 3


def select_crops(folder: str, split: str, images: list[str]) -> tuple[list[str], list[str]]:
    """Divide the crops of a folder by the published list.

    Args:
        folder: ``.../PoseTrack21/occluded_posetrack_reid/images/train`` or ``.../val``.
        split: "train", "query" or "gallery".
        images: the crops found there.

    Returns:
        The crops of ``split``, and those of no split.

    Raises:
        FileNotFoundError: A list, an annotation or a crop that the list names is missing.
        ValueError: A list or an annotation is not what its format says.
    """
    split_of = _split_of_crops(folder)
    missing = sorted({path for path, its in split_of.items() if its == split} - set(images))
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected the crops that {_list_of(folder)} names, got none for "
            f"{len(missing)} of split {split}, such as {', '.join(missing[:_NAMED])}; try cutting "
            "them: python -m fed_plugin data build-occluded-posetrack --posetrack "
            f"{dataset_of(folder)}"
        )
    return (
        [path for path in images if split_of.get(path) == split],
        [path for path in images if path not in split_of],
    )


def dataset_of(folder: str) -> str:
    """Return PoseTrack21's folder, given that of the crops of one of its sets."""
    return os.path.normpath(os.path.join(folder, os.pardir, os.pardir, os.pardir))


def _split_of_crops(folder: str) -> dict[str, str]:
    """Map paths of crops to splits; read anew once the list or the annotations' folder changed."""
    annotations = os.path.join(dataset_of(folder), "posetrack_data", os.path.basename(folder))
    stamps = [os.path.getmtime(p) for p in (_list_of(folder), annotations) if os.path.exists(p)]
    return _read_split_of_crops(folder, *stamps)


@lru_cache(maxsize=4)  # query and gallery lie in one folder; the annotations take seconds to read
def _read_split_of_crops(folder: str, *_: float) -> dict[str, str]:
    detections = listed_detections(dataset_of(folder), os.path.basename(folder))
    return {os.path.join(folder, found.crop): split for found, split in detections.items()}


def _list_of(folder: str) -> str:
    return list_path(dataset_of(folder), os.path.basename(folder))
