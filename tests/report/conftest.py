"""A small benchmark that nobody ran: methods of three seeds, two protocols, failures, dumps."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets.layouts import LAYOUTS
from fed_plugin.datasets.splits import read_splits
from fed_plugin.report.tables import read_benchmark
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import ProtocolCard, SplitCard
from fed_plugin.synthocc.build import Row, write_visibility

HOSTILE = "<script>alert('FED')</script> & Co"
AREAS = ("Rank-1", "mAP")
PEOPLE, CAMERAS = 8, 2
SKILL = {"ViT baseline": 0.5, "FED": 1.5, HOSTILE: 0.5, "large": 1.0}


def _name(pid, camid, frame=0):
    return f"{pid:04d}_c{camid + 1}s1_{frame:06d}_00.jpg"


def _dump(method, seed):
    """Describe queries of camera 1 and a gallery of both; skill pulls a person's rows together."""
    noise = np.random.default_rng([seed, *method.encode()])
    people = np.random.default_rng(0).normal(size=(PEOPLE, 6))
    rows = [("query", p, 0, frame) for p in range(PEOPLE) for frame in (0, 1)]
    rows += [("gallery", p, c, 2 + c) for p in range(PEOPLE) for c in range(CAMERAS)]
    split, pids, camids, frames = zip(*rows, strict=True)
    features = SKILL[method] * people[list(pids)] + noise.normal(size=(len(rows), 6))
    names = [_name(p, c, f) for p, c, f in zip(pids, camids, frames, strict=True)]
    arrays = {"pids": np.array(pids), "camids": np.array(camids), "split": np.array(split)}
    if method == "FED":  # sees more of later queries, as the side file says there is
        arrays["visibility"] = np.linspace(0.2, 0.8, len(rows), dtype=np.float32)[:, None]
    return FeatureDump(features=features.astype(np.float32), names=np.array(names), **arrays)


def _card(method, seed):
    return ProtocolCard(
        dataset="SynthOcc",
        query=SplitCard(images=16, identities=8, cameras=1, list_sha256="ab" * 32),
        input_size=(256, 128) if method == "large" else (96, 48),
        epoch_choice="last",
        epoch=2,
        seed=seed,
        versions={"torch": "2.14.1"},
        commit="c0ffee",
    )


def _curves(method, seed):
    """Return lines of the host's metrics file, the last of them cut off by a kill."""
    losses = ["total_loss", *(["loss_id_erased", "loss_visibility_occluded"] * (method == "FED"))]
    lines = []
    for step in range(6):
        values = {name: 5 - 0.5 * step + 0.1 * place for place, name in enumerate(losses)}
        values["total_loss"] += 0.05 * seed
        lines.append(json.dumps({"iteration": 10 * step + 9, "lr": 0.001 / (step + 1), **values}))
    return "\n".join([*lines, '{"iteration": 69, "lr"'])


def _robustness(method, seed):
    """Return a curve of 6 queries, higher with more skill, as robustness.json has it."""
    noise = np.random.default_rng([seed, *method.encode()])
    hit = noise.uniform(20, 100, size=6) * SKILL[method] / max(SKILL.values())
    values = {m: [hit.tolist(), (0.7 * hit).tolist(), (0.3 * hit).tolist()] for m in AREAS}
    one = {name: dict.fromkeys(("value", "low", "high"), float(hit.mean())) for name in AREAS}
    queries = {"names": list("abcdef"), "visible_shares": [1.0, 0.75, 0.5]}
    queries["values"] = {kind: values for kind in ("objects", "people")}
    levels = [
        {"kind": kind, "side": "left", "visible_share": share, "metrics": one}
        for kind in queries["values"]
        for share in queries["visible_shares"][1:]
    ]
    return {
        **{"format": "fed_plugin.robustness/1", "method": method, "dataset": "SynthOcc"},
        **{"queries": "Drawn numbers.", "count": 6, "seed": 0, "settings": {}, "card": {}},
        **{"occluders": {"objects": "drawn", "people": "gallery images of others"}},
        **{"levels": levels, "whole": one, "area": one, "per_query": queries},
    }


def _costs(methods):
    spread = {"median": 2.0, "min": 1.5, "max": 2.5}
    counts = ("parameters_training", "parameters_test", "macs_training", "macs_test")
    counts = dict.fromkeys((*counts, "peak_training_bytes", "peak_test_bytes"), 3_000_000)
    times = ("training_images_per_second", "training_ratio", "test_milliseconds_per_image")
    times = dict.fromkeys((*times, "test_ratio"), spread)
    rows = [{"method": m, **counts, **times, "descriptor_bytes": 512} for m in methods]
    about = {"machine": "a machine of <2> cores", "device": "cpu", "precision": "fp32"}
    about |= {"threads": 1, "torch": "2.14.1", "rounds": 5, "baseline": methods[0], "cores": 2}
    about |= {"training_batch": 32, "test_batch": 64, "identities": 8, "load_before": [0.1]}
    return {"format": "fed_plugin.costs/1", "about": about, "rows": rows}


def _write_cell(out, method, seed):
    """Write what a finished cell leaves, and return its line of results.json."""
    folder = out / "SynthOcc" / f"method{list(SKILL).index(method)}" / f"seed{seed}"
    folder.mkdir(parents=True)
    settings = {"SEED": seed, "SOLVER.MAX_EPOCH": 2, "MODEL.FED.NUM_PARTS": len(method)}
    about = {"dataset": "SynthOcc", "method": method, "seed": seed, "kind": "trained"}
    about = {**about, "source": "synthocc_vit_tiny", "settings": settings}
    dump = _dump(method, seed)
    result = evaluate_dump(dump, method=method, card=_card(method, seed).to_json())
    record = {"format": "fed_plugin.cell/1", **about, "state": "finished", "seconds": 61.5}
    (folder / "cell.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text(_curves(method, seed))
    if method != "large":
        (folder / "robustness.json").write_text(json.dumps(_robustness(method, seed)))
    dump.save(folder / "dump.npz")
    result.save(folder / "result.json")
    return {**about, "seconds": 61.5, "resumed": False, "result": result.to_json()}


@pytest.fixture(scope="session")
def finished_benchmark(tmp_path_factory):
    """A folder as ``benchmark`` leaves it; not to be written to."""
    out = tmp_path_factory.mktemp("benchmark")
    seeds = {"ViT baseline": (0, 1, 2), "FED": (0, 1, 2), HOSTILE: (0, 1), "large": (0,)}
    cells = [_write_cell(out, method, seed) for method in seeds for seed in seeds[method]]
    failed = out / "SynthOcc" / "method2" / "seed2"
    failed.mkdir()
    record = {"dataset": "SynthOcc", "method": HOSTILE, "seed": 2, "state": "failed"}
    (failed / "cell.json").write_text(json.dumps({"format": "fed_plugin.cell/1", **record}))
    words = {"error": "no memory left <img src=x onerror=alert(1)>\nand more"}
    (failed / "failed.json").write_text(json.dumps(words))
    (out / "costs.json").write_text(json.dumps(_costs(list(SKILL))))
    content = {"format": "fed_plugin.results/1", "plan": "A <b>small</b> plan", "cells": cells}
    (out / "results.json").write_text(json.dumps(content))
    return out


@pytest.fixture
def folder(finished_benchmark, tmp_path):
    """A copy of the benchmark, to be played with."""
    return shutil.copytree(finished_benchmark, tmp_path / "out")


@pytest.fixture(scope="session")
def hostile():
    """A method's name that must stay text."""
    return HOSTILE


@pytest.fixture(scope="session")
def benchmark(finished_benchmark):
    """What the folder says."""
    return read_benchmark(finished_benchmark)


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """A folder with the images that the dumps describe, as SynthOcc lays them out."""
    root = tmp_path_factory.mktemp("datasets")
    dump = _dump("FED", 0)
    folders = {"query": "query", "gallery": "bounding_box_test"}
    for name, split, pid in zip(dump.names, dump.split, dump.pids, strict=True):
        path = root / "SynthOcc" / folders[split] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 96), (30 * int(pid), 80, 200 - 20 * int(pid))).save(path)
    train = root / "SynthOcc" / "bounding_box_train"
    train.mkdir()
    Image.new("RGB", (48, 96)).save(train / _name(100, 0))
    rows = [
        Row(name, int(pid), 0, "object", "box", "left", (place / 20, place / 20))
        for place, (name, pid) in enumerate(
            zip(dump.names[dump.query], dump.pids[dump.query], strict=True)
        )
    ]
    write_visibility(root / "SynthOcc", rows)
    assert len(read_splits(LAYOUTS["SynthOcc"], str(root)).query) == 16
    return root
