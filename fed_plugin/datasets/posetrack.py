"""The crops of Occluded-PoseTrack-ReID, and which split each belongs to.

Crops lie in ``occluded_posetrack_reid/images/{train,val}/<video>/``, cut by ``posetrack_crops`` or
by the authors' own code; the published lists (``posetrack_lists``) say which split has them.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from PIL import Image

from fed_plugin.datasets.listing import printable

# Which of PoseTrack21's detections make Occluded-PoseTrack-ReID, by its two published lists.
#
# PoseTrack21 says where people are: ``posetrack_data/{train,val}/*.json``, a file per video, with
# ``images`` (``id``, ``vid_id``, ``file_name``) and ``annotations`` (``id``, ``image_id``,
# ``person_id``, ``bbox`` as left, top, width, height). The lists say which of these detections
# count: ``occluded_posetrack_reid/{train,val}_dataset_sampling.json``, a table written column by
# column, ``{"id": {row: detection}, "split": {row: split}}``, where a split is ``train``,
# ``query``, ``gallery`` or ``none``. The crops lie in
# ``occluded_posetrack_reid/images/{train,val}/<video>/`` as ``<person>_<video>_<frame>.jpg``, cut
# by ``posetrack_crops`` or by the authors' own code.
#
# Source: VlSomers/keypoint_promptable_reidentification@8db8263 README.md and
# torchreid/data/datasets/image/occluded_posetrack21.py; anDoer/PoseTrack21@3e61960
# doc/dataset_structure.md. Nobody here has seen the lists themselves, which are on a file host:
# their format follows from the code that writes and reads them. The authors' code reads ``val``'s
# list and then ranks each person's detections by occlusion once more; the list is taken as it is
# here.

LISTS = "occluded_posetrack_reid"
_SPLITS = {"train": ("train",), "val": ("query", "gallery")}
_NAMED = 3


@dataclass(frozen=True)
class Detection:
    """Hold what PoseTrack21 says of one person in one frame.

    Attributes:
        pid: the person, the same in all videos.
        video: of the frame.
        frame: the frame's number in PoseTrack21.
        file_name: the frame's file, below PoseTrack21's folder.
        box: left, top, width, height in pixels; may reach over the frame's edge.
    """

    pid: int
    video: str
    frame: int
    file_name: str
    box: tuple[float, float, float, float]

    @property
    def crop(self) -> str:
        """Path of the crop below ``images/train`` or ``images/val``."""
        return os.path.join(self.video, f"{self.pid}_{self.video}_{self.frame}.jpg")


def listed_detections(posetrack: str, which: str) -> dict[Detection, str]:
    """Read which detections a published list takes, and for which split.

    Args:
        posetrack: PoseTrack21's folder.
        which: "train" or "val".

    Raises:
        FileNotFoundError: The list or the annotations are missing.
        ValueError: One of them is not what its format says, or they do not belong together.
    """
    path = list_path(posetrack, which)
    split_of = _read_list(path, _SPLITS[which])
    folder = os.path.join(posetrack, "posetrack_data", which)
    detections = _read_detections(folder, split_of)
    unknown = sorted(split_of.keys() - detections.keys())
    if unknown:
        raise ValueError(
            f"{path}: names {len(unknown)} detections that {folder} does not have, such as "
            f"{', '.join(map(str, unknown[:_NAMED]))}; try PoseTrack21's annotations of the same "
            "release"
        )
    return {detections[number]: split for number, split in split_of.items()}


def list_path(posetrack: str, which: str) -> str:
    """Return where a published list lies: "train" or "val"."""
    return os.path.join(posetrack, LISTS, f"{which}_dataset_sampling.json")


def _read_list(path: str, splits: tuple[str, ...]) -> dict[int, str]:
    """Read ``{detection: split}`` from a published list, without those of no split."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path}: expected the published list of Occluded-PoseTrack-ReID, got no such file; "
            "try putting it there (the repository VlSomers/keypoint_promptable_reidentification "
            "says where it is published)"
        )
    table = _read_json(path)
    try:
        numbers, column = table["id"], table["split"]
        chosen = {int(numbers[row]): split for row, split in column.items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f'{path}: expected {{"id": {{row: number}}, "split": {{row: name}}}}, got another '
            f"table ({type(error).__name__}: {error}); try the published file"
        ) from error
    chosen = {number: split for number, split in chosen.items() if split not in ("none", None)}
    others = sorted({str(split) for split in chosen.values()} - set(splits))
    if others or not chosen:
        raise ValueError(
            f"{path}: expected the splits {', '.join(splits)} or none, got "
            f"{', '.join(others) or 'none alone'}; try the published file"
        )
    return chosen


def _read_detections(folder: str, wanted: dict[int, str]) -> dict[int, Detection]:
    """Read the wanted detections from PoseTrack21's annotations, a file per video."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [name for name in names if name.endswith(".json")]
    if not names:
        raise FileNotFoundError(
            f"{folder}: expected PoseTrack21's annotations, such as 000001_bonn_train.json, got "
            "none; try unpacking PoseTrack21's posetrack_data there"
        )
    found = {}
    for name in names:
        path = os.path.join(folder, name)
        video = _read_json(path)
        try:
            frames = {int(frame["id"]): frame for frame in video["images"]}
            for annotation in video["annotations"]:
                if int(annotation["id"]) in wanted:
                    frame = frames[int(annotation["image_id"])]
                    found[int(annotation["id"])] = _detection(annotation, frame)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{path}: expected PoseTrack21's images and annotations, got a file without them "
                f"({type(error).__name__}: {error}); try unpacking PoseTrack21 again"
            ) from error
    return found


def _detection(annotation: dict[str, Any], frame: dict[str, Any]) -> Detection:
    left, top, width, height = map(float, annotation["bbox"])
    video = str(frame["vid_id"])
    if not video.isalnum():  # it becomes a folder's name
        raise ValueError(f"vid_id {video!r}")
    return Detection(
        pid=int(annotation["person_id"]),
        video=video,
        frame=int(frame["id"]),
        file_name=str(frame["file_name"]),
        box=(left, top, width, height),
    )


def _read_json(path: str) -> Any:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{printable(path)}: expected JSON, got {error}; try downloading the file again"
        ) from error


CROPS = f"{LISTS}/images"


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
            "them: fed-plugin data build-occluded-posetrack --posetrack "
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


# Cut Occluded-PoseTrack-ReID's crops out of PoseTrack21's frames.
#
# As the authors' code does: a box is clipped to its frame and cut to whole pixels; a crop higher
# than 384 or wider than 128 pixels becomes 384 x 128. Pixels differ from theirs in the last levels,
# as resizing and JPEG are PIL's here and OpenCV's there.
#
# Source: VlSomers/keypoint_promptable_reidentification@8db8263
# torchreid/data/datasets/image/occluded_posetrack21.py.

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
