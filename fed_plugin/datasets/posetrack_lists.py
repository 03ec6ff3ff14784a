"""Which of PoseTrack21's detections make Occluded-PoseTrack-ReID, by its two published lists.

PoseTrack21 says where people are: ``posetrack_data/{train,val}/*.json``, a file per video, with
``images`` (``id``, ``vid_id``, ``file_name``) and ``annotations`` (``id``, ``image_id``,
``person_id``, ``bbox`` as left, top, width, height). The lists say which of these detections count:
``occluded_posetrack_reid/{train,val}_dataset_sampling.json``, a table written column by column,
``{"id": {row: detection}, "split": {row: split}}``, where a split is ``train``, ``query``,
``gallery`` or ``none``. The crops lie in ``occluded_posetrack_reid/images/{train,val}/<video>/`` as
``<person>_<video>_<frame>.jpg``, cut by ``posetrack_crops`` or by the authors' own code.

Source: VlSomers/keypoint_promptable_reidentification@8db8263 README.md and
torchreid/data/datasets/image/occluded_posetrack21.py; anDoer/PoseTrack21@3e61960
doc/dataset_structure.md. Nobody here has seen the lists themselves, which are on a file host: their
format follows from the code that writes and reads them. The authors' code reads ``val``'s list and
then ranks each person's detections by occlusion once more; the list is taken as it is here.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from fed_plugin.datasets.listing import printable

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
