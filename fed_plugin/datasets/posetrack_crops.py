"""Cut Occluded-PoseTrack-ReID's crops out of PoseTrack21's frames.

As the authors' code does: a box is clipped to its frame and cut to whole pixels; a crop higher than
384 or wider than 128 pixels becomes 384 x 128. Pixels differ from theirs in the last levels, as
resizing and JPEG are PIL's here and OpenCV's there.

Source: VlSomers/keypoint_promptable_reidentification@8db8263
torchreid/data/datasets/image/occluded_posetrack21.py.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from fed_plugin.datasets.posetrack import CROPS
from fed_plugin.datasets.posetrack_lists import Detection, listed_detections

MAX_HEIGHT, MAX_WIDTH = 384, 128
UNFINISHED = ".part"
_QUALITY = 95


@dataclass(frozen=True)
class CutCrops:
    """Count what was done.

    Attributes:
        cut: crops written now.
        there: crops that were there before, left as they are.
        splits: crops of train, query and gallery.
        identities: persons of train, query and gallery.
    """

    cut: int
    there: int
    splits: dict[str, int]
    identities: dict[str, int]


def cut_crops(
    posetrack: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> CutCrops:
    """Cut the crops that the published lists name into PoseTrack21's folder.

    They go to ``occluded_posetrack_reid/images/{train,val}/``. A crop that is there is kept, so
    that a run that was stopped goes on where it was.

    Args:
        posetrack: PoseTrack21's folder, with ``images``, ``posetrack_data`` and
            ``occluded_posetrack_reid/{train,val}_dataset_sampling.json``.
        progress: called with the number of crops done and their total.

    Raises:
        FileNotFoundError: A list, an annotation or a frame is missing.
        ValueError: A list or an annotation is not what its format says, a box lies outside of its
            frame, or a frame cannot be decoded.
    """
    listed = {which: listed_detections(posetrack, which) for which in ("train", "val")}
    total = sum(map(len, listed.values()))
    done = cut = 0
    for which, detections in listed.items():
        target = os.path.join(posetrack, CROPS, which)
        for frame, its in _by_frame(detections).items():
            missing = [
                found for found in its if not os.path.exists(os.path.join(target, found.crop))
            ]
            if missing:
                _cut_frame(os.path.join(posetrack, frame), missing, target)
            cut, done = cut + len(missing), done + len(its)
            progress(done, total)
    splits: dict[str, int] = defaultdict(int)
    people: dict[str, set[int]] = defaultdict(set)
    for detections in listed.values():
        for found, split in detections.items():
            splits[split] += 1
            people[split].add(found.pid)
    identities = {split: len(pids) for split, pids in people.items()}
    return CutCrops(cut, total - cut, dict(splits), identities)


def _by_frame(detections: dict[Detection, str]) -> dict[str, list[Detection]]:
    frames: dict[str, list[Detection]] = defaultdict(list)
    for found in detections:
        frames[found.file_name].append(found)
    return dict(sorted(frames.items()))


def _cut_frame(path: str, detections: list[Detection], target: str) -> None:
    """Cut all wanted crops of one frame."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path}: expected a frame of PoseTrack21, got no such file; try unpacking its images"
        )
    try:
        with Image.open(path) as opened:
            frame = opened.convert("RGB")
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f"{path}: cannot be decoded ({error}); try unpacking the frame again"
        ) from error
    for found in detections:
        crop = frame.crop(_clipped(found, frame.size, path))
        if crop.height > MAX_HEIGHT or crop.width > MAX_WIDTH:
            crop = crop.resize((MAX_WIDTH, MAX_HEIGHT), Image.Resampling.BICUBIC)
        file = os.path.join(target, found.crop)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        crop.save(file + UNFINISHED, format="JPEG", quality=_QUALITY)
        os.replace(file + UNFINISHED, file)


def _clipped(found: Detection, size: tuple[int, int], path: str) -> tuple[int, int, int, int]:
    """Return the box's left, upper, right and lower edge within the frame."""
    left, top, width, height = found.box
    frame_width, frame_height = size
    left, top = min(max(left, 0), frame_width - 1), min(max(top, 0), frame_height - 1)
    width = min(max(width, 0), frame_width - 1 - left)
    height = min(max(height, 0), frame_height - 1 - top)
    left, top, width, height = int(left), int(top), int(width), int(height)
    if not width or not height:
        raise ValueError(
            f"{path}: expected person {found.pid} within {frame_width} x {frame_height} pixels, "
            f"got the box {found.box}; try PoseTrack21's annotations of the same release"
        )
    return left, top, left + width, top + height
