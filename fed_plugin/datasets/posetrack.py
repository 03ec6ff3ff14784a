"""Occluded-PoseTrack-ReID: its published lists, and its crops out of PoseTrack21's frames.

PoseTrack21 describes people in ``posetrack_data/{train,val}/*.json``, one file per video, with
``images`` (``id``, ``vid_id``, ``file_name``) and ``annotations`` (``id``, ``image_id``,
``person_id``, ``bbox`` as left, top, width, height). The published lists
``occluded_posetrack_reid/{train,val}_dataset_sampling.json`` choose detections. A list is a table
written column by column, ``{"id": {row: detection}, "split": {row: split}}``, where a split is
``train``, ``query``, ``gallery`` or ``none``. The crops lie in
``occluded_posetrack_reid/images/{train,val}/<video>/`` as ``<person>_<video>_<frame>.jpg``, cut by
`cut_crops` or by the authors' own code.

Source: VlSomers/keypoint_promptable_reidentification@8db8263 README.md and
torchreid/data/datasets/image/occluded_posetrack21.py; anDoer/PoseTrack21@3e61960
doc/dataset_structure.md. The lists lie on a file host and were not seen here: their format follows
from the code that writes and reads them. The authors' code reads the list of ``val`` and then ranks
each person's detections by occlusion once more; this module takes the list as it is.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from fed_plugin.datasets.listing import printable
from fed_plugin.files import open_regular, write_atomically
from fed_plugin.photos import read_rgb

LISTS = "occluded_posetrack_reid"
CROPS = f"{LISTS}/images"

_SPLITS = {"train": ("train",), "val": ("query", "gallery")}
_NAMED = 3


@dataclass(frozen=True)
class Detection:
    """One person, with the same pid in all videos, in one frame of PoseTrack21.

    ``file_name`` is the frame's file below PoseTrack21's folder. ``box`` is left, top, width and
    height in pixels, and may reach over the frame's edge.
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
    """Read the detections of a published list of PoseTrack21's folder, and the split of each.

    The list is "train" or "val".

    Raises:
        FileNotFoundError: the list or the annotations are missing.
        ValueError: a file has another format, or list and annotations do not belong together.
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
    """Return the path of a published list: "train" or "val"."""
    return os.path.join(posetrack, LISTS, f"{which}_dataset_sampling.json")


def _read_list(path: str, splits: tuple[str, ...]) -> dict[int, str]:
    """Read ``{detection: split}`` from a published list, without the detections of no split."""
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path}: expected the published list of Occluded-PoseTrack-ReID, got no such file; "
            "try putting it there (its address is in the repository "
            "VlSomers/keypoint_promptable_reidentification)"
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
    paths = sorted(map(str, Path(folder).glob("*.json")))
    if not paths:
        raise FileNotFoundError(
            f"{folder}: expected PoseTrack21's annotations, such as 000001_bonn_train.json, got "
            "none; try unpacking PoseTrack21's posetrack_data there"
        )
    detections = {}
    for path in paths:
        video = _read_json(path)
        try:  # files of others: what no list names may have any form
            frames = {int(frame["id"]): frame for frame in video["images"]}
            for annotation in video["annotations"]:
                if int(annotation["id"]) in wanted:
                    frame = frames[int(annotation["image_id"])]
                    left, top, width, height = map(float, annotation["bbox"])
                    pid, number = int(annotation["person_id"]), int(frame["id"])
                    name, of_video = str(frame["file_name"]), str(frame["vid_id"])
                    if not of_video.isalnum():  # the video's name becomes a folder
                        raise ValueError(f"vid_id {of_video!r}")
                    box = (left, top, width, height)
                    found = Detection(pid, of_video, number, name, box)
                    detections[int(annotation["id"])] = found
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{path}: expected PoseTrack21's images and annotations, got a file without them "
                f"({type(error).__name__}: {error}); try unpacking PoseTrack21 again"
            ) from error
    return detections


def _read_json(path: str) -> Any:
    try:
        with open_regular(path) as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{printable(path)}: expected JSON, got {error}; try downloading the file again"
        ) from error


# The split of each crop.


def select_crops(folder: str, split: str, images: list[str]) -> tuple[list[str], list[str]]:
    """Return the crops of a split by the published list, and the crops of no split.

    The folder is ``.../PoseTrack21/occluded_posetrack_reid/images/train`` or ``.../val``, with the
    crops ``images``. The split is "train", "query" or "gallery".

    Raises:
        FileNotFoundError: a list, an annotation or a listed crop is missing.
        ValueError: a list or an annotation has another format.
    """
    posetrack, which = _dataset_of(folder), os.path.basename(folder)
    path = list_path(posetrack, which)
    annotations = os.path.join(posetrack, "posetrack_data", which)
    stamps = [os.path.getmtime(p) for p in (path, annotations) if os.path.exists(p)]
    split_of = _split_of_crops(folder, *stamps)
    missing = sorted({path for path, its in split_of.items() if its == split} - set(images))
    if missing:
        raise FileNotFoundError(
            f"{folder}: expected the crops that {path} names, got none for {len(missing)} of "
            f"split {split}, such as {', '.join(missing[:_NAMED])}; try cutting them: fed-plugin "
            f"data build-occluded-posetrack --posetrack {posetrack}"
        )
    chosen = [path for path in images if split_of.get(path) == split]
    return chosen, [path for path in images if path not in split_of]


def _dataset_of(folder: str) -> str:
    return os.path.normpath(os.path.join(folder, os.pardir, os.pardir, os.pardir))


@lru_cache(maxsize=4)  # query and gallery lie in one folder; the annotations take seconds to read
def _split_of_crops(folder: str, *_: float) -> dict[str, str]:
    detections = listed_detections(_dataset_of(folder), os.path.basename(folder))
    return {os.path.join(folder, person.crop): split for person, split in detections.items()}


# Cutting, as the authors' code does: a box is clipped to its frame and cut to whole pixels; a crop
# higher than 384 or wider than 128 pixels becomes 384 x 128. Pixels differ from theirs in the last
# levels, because PIL resizes and encodes here and OpenCV there.

MAX_HEIGHT, MAX_WIDTH = 384, 128
_QUALITY = 95


@dataclass(frozen=True)
class CutCrops:
    """Numbers of crops and people.

    ``cut`` crops were written now, ``there`` existed before and stay as they are. ``splits`` counts
    the crops of train, query and gallery, ``identities`` their people.
    """

    cut: int
    there: int
    splits: dict[str, int]
    identities: dict[str, int]


def cut_crops(
    posetrack: str, progress: Callable[[int, int], None] = lambda done, total: None
) -> CutCrops:
    """Cut the listed crops into ``occluded_posetrack_reid/images/{train,val}/``.

    An existing crop is kept: a run continues where an earlier run was stopped. The folder of
    PoseTrack21 holds ``images``, ``posetrack_data`` and the lists. ``progress`` gets the number of
    crops done and their total.

    Raises:
        FileNotFoundError: a list, an annotation or a frame is missing.
        ValueError: a list or an annotation has another format, a box lies outside of its frame, or
            a frame cannot be decoded.
    """
    listed = {which: listed_detections(posetrack, which) for which in ("train", "val")}
    total = sum(map(len, listed.values()))
    done = cut = 0
    for which, detections in listed.items():
        target = os.path.join(posetrack, CROPS, which)
        frames: dict[str, list[Detection]] = defaultdict(list)
        for person in detections:
            frames[person.file_name].append(person)
        for frame, people in sorted(frames.items()):
            missing = [p for p in people if not _has_bytes(os.path.join(target, p.crop))]
            if missing:
                _cut_frame(os.path.join(posetrack, frame), missing, target)
            cut, done = cut + len(missing), done + len(people)
            progress(done, total)
    pids: dict[str, list[int]] = defaultdict(list)
    for detections in listed.values():
        for person, split in detections.items():
            pids[split].append(person.pid)
    splits = {split: len(crops) for split, crops in pids.items()}
    identities = {split: len(set(crops)) for split, crops in pids.items()}
    return CutCrops(cut, total - cut, splits, identities)


def _has_bytes(path: str) -> bool:
    """Return whether a file is more than the empty one that a power cut can leave."""
    return os.path.exists(path) and os.path.getsize(path) > 0


def _cut_frame(path: str, detections: list[Detection], target: str) -> None:
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path}: expected a frame of PoseTrack21, got no such file; try unpacking its images"
        )
    try:
        frame = Image.fromarray(read_rgb(path))
    except (OSError, SyntaxError, ValueError) as error:
        problem = f"cannot be decoded ({error}); try unpacking the frame again"
        raise ValueError(f"{path}: {problem}") from error
    for person in detections:
        crop = frame.crop(_clipped(person, frame.size, path))
        if crop.height > MAX_HEIGHT or crop.width > MAX_WIDTH:
            crop = crop.resize((MAX_WIDTH, MAX_HEIGHT), Image.Resampling.BICUBIC)
        file = os.path.join(target, person.crop)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with suppress(FileNotFoundError):  # of a version before this one
            os.unlink(f"{file}.part")
        with write_atomically(file, flush=False) as written:
            crop.save(written, format="JPEG", quality=_QUALITY)


def _clipped(person: Detection, size: tuple[int, int], path: str) -> tuple[int, int, int, int]:
    left, top, width, height = person.box
    last_x, last_y = size[0] - 1, size[1] - 1
    left, top = min(max(left, 0), last_x), min(max(top, 0), last_y)
    width, height = min(max(width, 0), last_x - left), min(max(height, 0), last_y - top)
    left, top, width, height = int(left), int(top), int(width), int(height)
    if not width or not height:
        raise ValueError(
            f"{path}: expected person {person.pid} within {size[0]} x {size[1]} pixels, got the "
            f"box {person.box}; try PoseTrack21's annotations of the same release"
        )
    return left, top, left + width, top + height
