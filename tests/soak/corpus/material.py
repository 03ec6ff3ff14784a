"""Whole inputs, small, made once: every case breaks one thing in a copy of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from corpus.forks import run_forked

PEOPLE = "people"
CONFIG = "tiny.yml"
CHECKPOINT = "whole.pth"
DUMP, OTHER_DUMP = "whole.npz", "other.npz"
RESULT = "result.json"
OCCLUDERS = "occluders"
INDEX = "gallery.npz"
BENCHMARK = "bench"
QUERY = f"{PEOPLE}/query/0101_c1s1_000000_00.jpg"
TRAIN = f"{PEOPLE}/train/0001_c1s1_000000_00.jpg"

_CONFIG = """\
_BASE_: {base}
MODEL:
  DEVICE: cpu
  BACKBONE: {{FEAT_DIM: 32, STRIDE_SIZE: "(8, 8)"}}
  FED:
    VIT: {{NUM_LAYERS: 1, EMBED_DIM: 32, NUM_HEADS: 2, PATCH_SIZE: 8}}
    FDM: {{NUM_NEIGHBORS: 2, NUM_HEADS: 4}}
INPUT: {{SIZE_TRAIN: [64, 32], SIZE_TEST: [64, 32]}}
DATASETS:
  NAMES: ("FolderReID",)
  TESTS: ("FolderReID",)
  FOLDER_REID: {{ROOT: people}}
DATALOADER: {{NUM_WORKERS: 0, NUM_INSTANCE: 2}}
SOLVER: {{IMS_PER_BATCH: 4, MAX_EPOCH: 1, WARMUP_ITERS: 0, CHECKPOINT_PERIOD: 1}}
TEST: {{EVAL_PERIOD: 1, IMS_PER_BATCH: 8}}
OUTPUT_DIR: run
"""


def make_material(folder: Path) -> None:
    """Fill a folder; commands of the plugin make what they can make."""
    from fed_plugin.fastreid_adapter.config_files import find_config

    folder.mkdir(parents=True, exist_ok=True)
    draw_people(folder / PEOPLE)
    base = find_config("synthocc_vit_tiny")
    (folder / CONFIG).write_text(_CONFIG.format(base=Path(base).resolve()))
    _command(folder, "train", "--config-file", CONFIG)
    shutil.copy(folder / "run" / "model_final.pth", folder / CHECKPOINT)
    shutil.rmtree(folder / "run")
    for name, method in ((DUMP, "A"), (OTHER_DUMP, "B")):
        words = ("--weights", CHECKPOINT if name == DUMP else "untrained", "-o", name)
        _command(folder, "dump", "--config-file", CONFIG, *words, "--method", method)
    words = ("--config-file", CONFIG, "--weights", CHECKPOINT, "--device", "cpu")
    _command(folder, "index", f"{PEOPLE}/gallery", "-o", INDEX, *words)
    _command(folder, "evaluate", DUMP, "--json", RESULT)
    words = ("--drawn", "4", "--out", OCCLUDERS, "--draws", "50")
    _command(folder, "data", "occluders", "build", *words)
    _benchmark(folder)
    (folder / "plan.yml").write_text(
        "name: small\ndatasets: {FolderReID: {overrides: {DATASETS.FOLDER_REID.ROOT: people}}}\n"
        f"methods: {{FED: {{config: {CONFIG}}}, other: {{dump: {DUMP}}}}}\nout: bench_new\n"
    )
    for path in folder.glob(".std*"):
        path.unlink()


def draw_people(folder: Path) -> None:
    """Draw a data set in Market-1501's names: 4 people to train on, 3 to test on, 2 cameras."""
    noise = np.random.default_rng(0)
    for pid in (1, 2, 3, 4, 101, 102, 103):
        shirt = noise.integers(0, 256, 3)
        for camera in (1, 2):
            for frame in range(2):
                split = "train" if pid < 100 else ("query" if camera == 1 else "gallery")
                path = folder / split / f"{pid:04d}_c{camera}s1_{frame:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = noise.integers(-20, 20, (64, 32, 3)) + shirt
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def _benchmark(folder: Path) -> None:
    """Write what a benchmark of one finished cell leaves."""
    result = json.loads((folder / RESULT).read_text())
    about = {"dataset": "FolderReID", "method": "FED", "seed": 0, "kind": "trained"}
    about |= {"source": CONFIG, "settings": {"SEED": 0}}
    cell = folder / BENCHMARK / "FolderReID" / "FED" / "seed0"
    cell.mkdir(parents=True)
    record = {"format": "fed_plugin.cell/1", **about, "state": "finished", "seconds": 1.0}
    (cell / "cell.json").write_text(json.dumps(record))
    shutil.copy(folder / DUMP, cell / "dump.npz")
    shutil.copy(folder / RESULT, cell / "result.json")
    row = {**about, "seconds": 1.0, "resumed": False, "result": result}
    content = {"format": "fed_plugin.results/1", "plan": "small", "cells": [row]}
    (folder / BENCHMARK / "results.json").write_text(json.dumps(content))


def _command(folder: Path, *words: str) -> None:
    ended = run_forked(words, folder, seconds=300)
    if ended.status != 0:
        raise RuntimeError(f"{' '.join(words)}: ended with {ended.status}: {ended.err[-2000:]}")
