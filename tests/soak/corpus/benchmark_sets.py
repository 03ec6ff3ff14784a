"""PoseTrack21's annotations, DukeMTMC-reID's archive and the published lists, damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from corpus.cases import EITHER, Case, Put, both, nothing, write

CATEGORY = "benchmarks"
_TRACK = ("data", "build-occluded-posetrack", "--posetrack", "PoseTrack21")
_LIST = "PoseTrack21/occluded_posetrack_reid/val_dataset_sampling.json"
_VIDEO = "PoseTrack21/posetrack_data/val/000342_mpii_val.json"
_DUKE = ("data", "build-occluded-duke", "--duke", "duke", "--lists", "lists", "--out", "new")


def make_cases() -> Iterator[Case]:
    """Yield the builders' broken inputs, and names that are no data set."""
    broken = {"empty": "", "text": "none", "null": "null", "a list": "[1]", "zeros": "\0" * 50}
    broken |= {"columns as numbers": '{"id": 1, "split": 2}', "nested": "[" * 100_000}
    for what, content in broken.items():
        put = both(_posetrack, write(_LIST, content))
        yield _case(f"PoseTrack's list is {what}", put, _TRACK, Path(_LIST).name)
        put = both(_posetrack, write(_VIDEO, content))
        yield _case(f"PoseTrack's video is {what}", put, _TRACK, Path(_VIDEO).name)
    for what, content in {"empty": "", "text": "none", "zeros": "\0" * 99}.items():
        put = both(_lists, write("duke", content))
        yield _case(f"Duke's archive is {what}", put, _DUKE, "train.list")
        yield _case(f"a list is {what}", write("lists/train.list", content), _DUKE, ".list")
    yield _case("no list", nothing, _DUKE, "lists")
    for name in ("Occluded_Duke", "Market1501", "Nobody", "whole.npz", "tiny.yml", "\n", "/", "~"):
        ends = EITHER if name in ("/", "\n") else "refused"
        words = ("data", "check", name, "--no-cache", "--workers", "1")
        yield Case(
            f"{CATEGORY}: check {name!r}", nothing, words, (name, repr(name)), ends, drawing=True
        )
    check = ("data", "check", "people", "--workers", "1")
    for words in (
        (*check, "--no-cache", "--json", "nowhere/new.json"),
        (*check, "--no-cache", "--json", "people"),
        (*check[:3], "--no-cache", "--workers", "0"),
        (*check[:3], "--no-cache", "--workers", "-1"),
        ("data", "synth", "--size", "tiny", "--out", "whole.npz"),
        ("data", "synth", "--size", "tiny", "--out", "people"),
        ("data", "synth", "--size", "tiny", "--seed", "-1", "--out", "new"),
        ("data", "synth", "--size", "tiny", "--workers", "0", "--out", "new"),
    ):
        yield Case(f"{CATEGORY}: {' '.join(words)!r}", nothing, words, words)
    for what, content in {"text": "no cache", "zeros": "\0" * 99, "a list": "[]\n"}.items():
        words = (*check, "--cache", "cache.txt")
        yield _case(f"a cache is {what}", write("cache.txt", content), words, "cache.txt", EITHER)
    words = (*check, "--cache", "people")
    yield _case("a cache is a folder", nothing, words, "people", EITHER)


def _case(what: str, put: Put, words: tuple[str, ...], says: str, ends: str = "refused") -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (says,), ends)


def _lists(folder: Path) -> None:
    for name in ("train", "query", "gallery"):
        write(f"lists/{name}.list", "0001_c1_f0000001.jpg\n")(folder)


def _posetrack(folder: Path) -> None:
    """Write lists and annotations of a frame with a person each."""
    for which, video, split in (("train", "000001", "train"), ("val", "000342", "query")):
        image = {"id": 5, "vid_id": video, "file_name": f"images/{which}/0.jpg"}
        person = {"id": 50, "image_id": 5, "person_id": 1, "bbox": [0, 0, 9, 9]}
        content = {"images": [image], "annotations": [person]}
        path = f"PoseTrack21/posetrack_data/{which}/{video}_mpii_{which}.json"
        write(path, json.dumps(content))(folder)
        table = json.dumps({"id": {"0": 50}, "split": {"0": split}})
        path = f"PoseTrack21/occluded_posetrack_reid/{which}_dataset_sampling.json"
        write(path, table)(folder)
