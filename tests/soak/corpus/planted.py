"""Files that want to run something, or to write where they must not: nothing of them happens."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corpus.cases import MARKER, Case, Put, both, nothing, write
from corpus.material import CONFIG, DUMP, RESULT

CATEGORY = "planted code"
BAD, BAD_CONFIG = "bad.pth", "bad.yml"
_TRAIN = ("train", "--config-file", CONFIG)
_PRETRAINED = ("MODEL.BACKBONE.PRETRAIN", "True", "MODEL.BACKBONE.PRETRAIN_PATH", BAD)
_RESNET = (
    *("MODEL.META_ARCHITECTURE", "Baseline", "MODEL.HEADS.NAME", "EmbeddingHead"),
    *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
    *("MODEL.BACKBONE.FEAT_DIM", "512", "INPUT.EXTRA_TRANSFORMS", "()"),
)
CHECKPOINT_READERS = {
    "evaluation": (*_TRAIN, "--eval-only", "MODEL.WEIGHTS", BAD),
    "training": (*_TRAIN, "MODEL.WEIGHTS", BAD),
    "dump": ("dump", "--config-file", CONFIG, "--weights", BAD, "-o", "new.npz"),
    "convert": ("convert", BAD, "new.pth"),
    "pretrained": (*_TRAIN, *_PRETRAINED),
    "pretrained ResNet": (*_TRAIN, *_RESNET, *_PRETRAINED),
}
CONFIG_READERS = (
    ("train", "--config-file", BAD_CONFIG),
    ("show", "augment", "--config-file", BAD_CONFIG, "--out", "new.png"),
    ("benchmark", BAD_CONFIG, "--dry-run"),
)
_YAML = f"SEED: !!python/object/apply:os.system ['touch {MARKER}']\n"


class Payload:
    """What a pickle of it would run: it leaves the marker in the working directory."""

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return os.system, (f"touch {MARKER}",)


def make_cases() -> Iterator[Case]:
    """Yield planted checkpoints, dumps, configs, plans and archives."""
    for what, content in planted_checkpoints().items():
        for where, words in CHECKPOINT_READERS.items():
            yield _case(f"{what}, {where}", write(BAD, content), words, BAD)
    for what, put in _dumps().items():
        for words in (("evaluate", DUMP, "--json", "new.json"), ("cards", "show", DUMP)):
            yield _case(f"{what}, {words[0]}", put, words, DUMP)
    for what, text in _configs().items():
        for words in CONFIG_READERS:
            yield _case(f"{what}, {words[0]}", write(BAD_CONFIG, text), words, BAD_CONFIG)
    put = both(write(BAD_CONFIG, "_BASE_: inner.yml\nSEED: 1\n"), write("inner.yml", _YAML))
    yield _case("YAML of a base, train", put, CONFIG_READERS[0], BAD_CONFIG)
    value = f"__import__('os').system('touch {MARKER}')"
    yield Case(f"{CATEGORY}: an override", nothing, (*_TRAIN, "SEED", value), ("SEED",))
    yield _case("a result", write(RESULT, pickle.dumps(Payload())), ("evaluate", RESULT), RESULT)
    yield from _archives()
    newest = planted_checkpoints()["a checkpoint"]
    put = both(write("run/last_checkpoint", "model.pth"), write("run/model.pth", newest))
    yield _case("a checkpoint to resume", put, (*_TRAIN, "--resume"), "model.pth")


def _case(what: str, put: Put, words: tuple[str, ...], file: str) -> Case:
    return Case(f"{CATEGORY}: {what}", put, words, (file,))


def planted_checkpoints() -> dict[str, bytes]:
    """Return checkpoints with a payload, in every format that PyTorch ever wrote."""
    import torch

    def saved(content: Any, **options: Any) -> bytes:
        target = io.BytesIO()
        torch.save(content, target, **options)
        return target.getvalue()

    weights = {"cls_token": torch.zeros(1)}
    inside = np.array([Payload()], dtype=object)
    return {
        "a checkpoint": saved({"model": weights, "epoch": Payload()}),
        "an old checkpoint": saved(
            {"model": weights, "epoch": Payload()}, _use_new_zipfile_serialization=False
        ),
        "a bare pickle": pickle.dumps({"model": weights, "x": Payload()}),
        "an array of objects": saved({"model": {"cls_token": inside}}),
        "a payload alone": saved(Payload()),
    }


def _dumps() -> dict[str, Put]:
    def objects(folder: Path) -> None:
        with np.load(folder / DUMP) as file:
            arrays = dict(file)
        np.savez(folder / DUMP, **{**arrays, "names": np.array([Payload()], dtype=object)})

    def one_more(folder: Path) -> None:
        with np.load(folder / DUMP) as file:
            arrays = dict(file)
        np.savez(folder / DUMP, **arrays, extra=np.array([Payload()], dtype=object))

    def a_bare_array(folder: Path) -> None:
        with (folder / DUMP).open("wb") as file:
            np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)

    return {
        "names of objects": objects,
        "an array that nobody reads": one_more,
        "an array of objects alone": a_bare_array,
        "a pickle": write(DUMP, pickle.dumps(Payload())),
    }


def _configs() -> dict[str, str]:
    return {
        "YAML apply": _YAML,
        "YAML new": f"SEED: !!python/object/new:os.system ['touch {MARKER}']\n",
        "YAML name": "SEED: !!python/name:os.system\n",
        "YAML module": "SEED: !!python/module:os\n",
    }


def _archives() -> Iterator[Case]:
    """Yield archives of DukeMTMC-reID whose entries want to lie elsewhere."""
    words = ("data", "build-occluded-duke", "--duke", "evil.zip", "--lists", "lists", "--out", "O")
    for what, name in {
        "climbs": f"../{MARKER}",
        "climbs below a folder": f"D/bounding_box_test/../../../{MARKER}",
        "is absolute": f"/tmp/{MARKER}",
    }.items():

        def put(folder: Path, name: str = name) -> None:
            with zipfile.ZipFile(folder / "evil.zip", "w") as archive:
                archive.writestr(name, "evil")

        yield _case(f"an archive that {what}", put, words, "lists")
