"""Checkpoints that are cut off, of something else, or not what their name says."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from corpus.cases import EITHER, REFUSED, Case, Put, change, nothing, write
from corpus.images import flip
from corpus.material import CHECKPOINT, CONFIG

CATEGORY = "checkpoints"
BAD = "bad.pth"
_TRAIN = ("train", "--config-file", CONFIG)
_PRETRAINED = ("MODEL.BACKBONE.PRETRAIN", "True", "MODEL.BACKBONE.PRETRAIN_PATH")
COMMANDS = {
    "evaluation": (*_TRAIN, "--eval-only", "MODEL.WEIGHTS", BAD),
    "fine-tuning": (*_TRAIN, "MODEL.WEIGHTS", BAD),
    "dump": ("dump", "--config-file", CONFIG, "--weights", BAD, "-o", "new.npz"),
    "pretrained": (*_TRAIN, *_PRETRAINED, BAD),
    "convert": ("convert", BAD, "new.pth"),
}


def make_cases() -> Iterator[Case]:
    """Yield every broken checkpoint wherever one is read."""
    for what, content in _files().items():
        for where, words in COMMANDS.items():
            if where == "fine-tuning":
                continue  # it reads as evaluation does
            yield _case(f"{what}, {where}", content, words)
    for what, how in _contents().items():
        for where in ("evaluation", "fine-tuning", "dump", "convert"):
            yield _case(f"{what}, {where}", changed(how), COMMANDS[where])
    for number in range(12):
        how = _flipped(number)
        yield _case(f"wrong bytes {number}, dump", how, COMMANDS["dump"], EITHER)
    for where, words in COMMANDS.items():
        yield _case(f"not there, {where}", nothing, words)
        yield _case(f"a folder, {where}", lambda folder: (folder / BAD).mkdir(), words)
    for what, content in {"empty": b"", "noise": bytes(range(256))}.items():
        for where, words in COMMANDS.items():
            name = BAD.replace(".pth", ".safetensors")
            full = tuple(name if word == BAD else word for word in words)
            named = (name, "MODEL.WEIGHTS")
            case = f"{CATEGORY}: safetensors, {what}, {where}"
            yield Case(case, write(name, content), full, named)
    yield from _resumed()


def _case(what: str, put: Put, words: tuple[str, ...], ends: str = REFUSED) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (BAD, "MODEL.WEIGHTS"), ends)


def _whole(folder: Path) -> bytes:
    return (folder / CHECKPOINT).read_bytes()


def _from_whole(how: Callable[[bytes], bytes]) -> Put:
    return lambda folder: write(BAD, how(_whole(folder)))(folder)


def _files() -> dict[str, Put]:
    import torch

    def saved(content: Any, **options: Any) -> bytes:
        target = io.BytesIO()
        torch.save(content, target, **options)
        return target.getvalue()

    page = b"<!DOCTYPE html><html>Sign in to download</html>"
    old = {"_use_new_zipfile_serialization": False}
    return {
        "empty": write(BAD, b""),
        "an error page": write(BAD, page),
        "a Git LFS pointer": write(BAD, b"version https://git-lfs.github.com/spec/v1\n"),
        "zeros": write(BAD, bytes(2048)),
        "random bytes": write(BAD, random.Random(2).randbytes(2048)),
        "the first half": _from_whole(lambda data: data[: len(data) // 2]),
        "without the last 100 bytes": _from_whole(lambda data: data[:-100]),
        "the second half": _from_whole(lambda data: data[len(data) // 2 :]),
        "a feature dump": lambda folder: write(BAD, (folder / "whole.npz").read_bytes())(folder),
        "JSON": write(BAD, json.dumps({"model": {}})),
        "a number": write(BAD, saved(7)),
        "a list": write(BAD, saved([torch.zeros(2)])),
        "a tensor": write(BAD, saved(torch.zeros(2))),
        "an old format, cut": write(BAD, saved({"model": {"a": torch.zeros(99)}}, **old)[:-50]),
    }


def changed(how: Callable[[dict[str, Any]], Any]) -> Put:
    """Return what writes a checkpoint with other content than the whole one's."""
    import torch

    def put(folder: Path) -> None:
        content = torch.load(folder / CHECKPOINT, weights_only=False)
        replaced = how(content)
        torch.save(content if replaced is None else replaced, folder / BAD)

    return put


def _contents() -> dict[str, Callable[[dict[str, Any]], Any]]:
    import torch

    def renamed(content: dict[str, Any]) -> None:
        content["model"] = {f"net.{name}": value for name, value in content["model"].items()}

    def reshaped(content: dict[str, Any]) -> None:
        name = next(iter(content["model"]))
        content["model"][name] = torch.zeros(3)

    def shortened(content: dict[str, Any]) -> None:
        for name in list(content["model"])[:5]:
            del content["model"][name]

    return {
        "without a model": lambda content: content.pop("model") is None or None,
        "the model is None": lambda content: content.update(model=None),
        "the model is a list": lambda content: content.update(model=[1, 2]),
        "the model is empty": lambda content: content.update(model={}),
        "other names": renamed,
        "another shape": reshaped,
        "names that are missing": shortened,
        "text for a weight": lambda content: content["model"].update({"cls_token": "text"}),
        "names that are numbers": lambda content: content.update(model={1: torch.zeros(1)}),
    }


def _flipped(seed: int) -> Put:
    return _from_whole(lambda data: flip(data, seed, most=40))


def _resumed() -> Iterator[Case]:
    """Yield trainings that are to go on from what cannot be gone on from."""
    words = ("train", "--config-file", CONFIG, "--resume", "SOLVER.MAX_EPOCH", "2")
    tags = {
        "a tag on nothing": "model_0007.pth",
        "an empty tag": "",
        "a tag on a folder": "../people",
        "a tag of many lines": "a\nb\nc",
        "a tag out of the folder": "../../../etc/passwd",
    }
    for what, tag in tags.items():
        named = ("last_checkpoint", tag.strip() or "last_checkpoint", tag.partition("\n")[0])
        put = write("run/last_checkpoint", tag)
        lines = "\n" in tag  # the name's own
        yield Case(f"{CATEGORY}: {what}", put, words, named, EITHER, drawing=lines)
    for what, data in {"cut": b"PK\x03\x04", "empty": b"", "text": b"text"}.items():

        def put(folder: Path, data: bytes = data) -> None:
            write("run/last_checkpoint", "model_0000.pth")(folder)
            write("run/model_0000.pth", data)(folder)

        name = f"{CATEGORY}: the newest one is {what}"
        yield Case(name, put, words, ("model_0000.pth",))
    put = change(CHECKPOINT, lambda data: data[:1000])
    words = ("robustness", "--config-file", CONFIG, "--queries", "4", "MODEL.WEIGHTS", CHECKPOINT)
    yield Case(f"{CATEGORY}: cut, robustness", put, words, (CHECKPOINT,))
