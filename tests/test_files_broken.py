"""Every reader of the project, and bytes and values that no format foresees.

A reader may take what is broken, and otherwise ends in one sentence that names the file.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sqlite3
import sys
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parent))
from fuzzing import complaints, damaged, swapped

from fed_plugin.benchmark.cells import Cell, look, read_record, read_result
from fed_plugin.benchmark.plan import read_plan
from fed_plugin.benchmark.training_process import TrainingWatch
from fed_plugin.costs.command import load_costs
from fed_plugin.datasets.image_facts import Facts, FactsCache
from fed_plugin.datasets.occluded_duke_build import open_source, read_lists
from fed_plugin.datasets.occluder_sets import read_manifest
from fed_plugin.datasets.own_data import read_own_data
from fed_plugin.datasets.posetrack import listed_detections
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.resuming.run_state import _end_of_lines_before
from fed_plugin.modeling.checkpoints import load_pretrained
from fed_plugin.modeling.weight_files import read_weights
from fed_plugin.report.curves import read_training
from fed_plugin.report.tables import read_benchmark
from fed_plugin.retrieval.card_files import card_of_dump, read_card
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.result import Result
from fed_plugin.robustness.curve import RobustnessCurve
from fed_plugin.search.calibration import Calibration, fit_calibration
from fed_plugin.search.gallery_index import GalleryIndex
from fed_plugin.synthocc.build import read_visibility

MADE = Path(__file__).with_name("made_by_0_1_0")
ZIPS = {
    "stored": zipfile.ZIP_STORED,
    "zlib": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "LZMA": zipfile.ZIP_LZMA,
}


@pytest.fixture
def made(tmp_path):
    """A copy of files of an earlier version, and a calibration."""
    shutil.copytree(MADE, tmp_path / "made")
    fit_calibration([0.1, 0.2, 0.8, 0.9], [False, False, True, True]).save(
        tmp_path / "made" / "calibration.json"
    )
    return tmp_path / "made"


CELL = "results/SynthOcc/FED/seed0"
OF_JSON = {
    "card": ("card.json", read_card),
    "result": ("result.json", Result.load),
    "card in a result": ("result.json", read_card),
    "results": ("results/results.json", lambda path: read_benchmark(path.parent)),
    "costs": ("results/costs.json", load_costs),
    "occluder manifest": ("occluders/manifest.json", lambda path: read_manifest(path.parent)),
    "curve": (f"{CELL}/robustness.json", RobustnessCurve.load),
    "calibration": ("calibration.json", lambda path: Calibration.load(path)),
    "cell": (f"{CELL}/cell.json", lambda path: read_record(path.parent)),
    "state of a cell": (
        f"{CELL}/cell.json",
        lambda path: look(Cell("S", "A", 0, "trained", "s", "0", {"SEED": 1}, path.parent)),
    ),
    "result of a cell": (f"{CELL}/result.json", lambda path: read_result(path.parent)),
    "cells of a benchmark": (f"{CELL}/cell.json", lambda path: read_benchmark(path.parents[3])),
}


@pytest.mark.parametrize("what", OF_JSON)
def test_json(made, what):
    name, read = OF_JSON[what]
    path = made / name
    read(path)
    values = list(swapped(json.loads(path.read_text())))
    assert complaints(read, path, iter(values[:: max(1, len(values) // 400)])) == []
    assert complaints(read, path, damaged(path.read_bytes(), 40)) == []


def use_dump(path):
    dump = FeatureDump.load(path)
    try:
        return evaluate_dump(dump, card=card_of_dump(dump, "cosine").to_json())
    except ValueError as error:  # as the command does
        raise ValueError(f"{path}: {error}") from error


def packed(arrays, method=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{name}.npy", content.getvalue())
    return target.getvalue()


ARRAYS = (
    *(np.array(1), np.zeros(0), np.zeros((2, 2, 2)), np.array(["x"]), np.array([1 + 2j])),
    *(
        np.array([True]),
        np.zeros(3, [("a", "f4")]),
        np.array(["2020-01-01"], "M8"),
        np.array([b""]),
    ),
    *(np.full((28, 32), np.inf), np.full(28, 2**63, np.uint64), np.full(28, "\ud800")),
)


@pytest.mark.parametrize("name", ["dump.npz", "gallery.npz"])
def test_arrays(made, name):
    read = use_dump if name == "dump.npz" else GalleryIndex.load
    path = made / name
    with np.load(path) as content:
        arrays = dict(content)
    about = list(swapped(json.loads(str(arrays["about"]))))
    abouts = (packed({**arrays, "about": np.array(text)}) for text in about[::3])
    others = (packed({**arrays, one: odd}) for one in arrays for odd in ARRAYS)
    assert complaints(read, path, abouts) == [] and complaints(read, path, others) == []
    for method in ZIPS.values():
        assert complaints(read, path, damaged(packed(arrays, method), 60)) == []


def bomb(method):
    """Pack a gigabyte of zeros as an array, beside what a dump needs."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(target, "w", method) as archive,
        archive.open("features.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 28,)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(64):
            file.write(bytes(1 << 24))
    return target.getvalue()


def test_a_decompression_bomb_is_refused_unread(tmp_path):
    content = bomb(zipfile.ZIP_DEFLATED)
    for name, read in (("a.npz", FeatureDump.load), ("a.npz", GalleryIndex.load)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: .*take 1024 MB of memory"):
            read(tmp_path / name)
    with pytest.raises(ValueError, match="take 1024 MB of memory"):
        read_weights(tmp_path / "a.npz")


def use_archive(path):
    with open_source(path) as images:
        return [image.read() for image in images.values()]


@pytest.mark.parametrize("method", ZIPS.values(), ids=ZIPS)
def test_archives_of_duke(tmp_path, method):
    path, noise = tmp_path / "duke.zip", np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("README.txt", "at the top")
        for folder in ("bounding_box_train", "bounding_box_test", "query"):
            for number in range(3):
                name = f"DukeMTMC-reID/{folder}/000{number}_c1_f000000{number}.jpg"
                archive.writestr(name, noise.bytes(50) + b"x" * 300)
    assert len(use_archive(path)) == 9
    assert complaints(use_archive, path, damaged(path.read_bytes(), 150)) == []


def test_lists_of_duke(tmp_path):
    for name in ("train", "query", "gallery"):
        (tmp_path / f"{name}.list").write_text("0001_c1_f0000001.jpg\n" * 3)
    path = tmp_path / "train.list"
    assert complaints(lambda p: read_lists(p.parent), path, damaged(path.read_bytes(), 20)) == []


def test_lists_and_annotations_of_posetrack(tmp_path, draw_posetrack):
    root = draw_posetrack(tmp_path)
    for folder in ("occluded_posetrack_reid", "posetrack_data/val"):
        path = next(path for path in (root / folder).glob("*.json") if "train" not in path.name)

        def read(path):
            return listed_detections(str(root), "val")

        values = list(swapped(json.loads(path.read_text())))
        values = values[:: max(1, len(values) // 300)]
        assert complaints(read, path, iter(values), names=str(tmp_path)) == []
        assert complaints(read, path, damaged(path.read_bytes(), 40), names=str(tmp_path)) == []


TABLE = "path,pid,camid,split\na.jpg,1,0,query\nb.jpg,1,1,gallery\nc.jpg,2,0,train\n"


def test_tables(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(b"x")
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    odd = ("9" * 5000, "1e999", "", "\ud800", "nan", '"', "\0", "x" * 200_000, "-1")
    cells = ("a.jpg", "1", "0", "query", "path", ",", "\n")
    tables = [
        TABLE.replace(cell, one).encode("utf-8", "surrogatepass") for cell in cells for one in odd
    ]
    assert complaints(read_own_data, path, iter(tables)) == []
    assert complaints(read_own_data, path, damaged(path.read_bytes(), 60)) == []


def test_the_side_file_of_synthocc(synthocc_root, tmp_path):
    path = shutil.copy(synthocc_root / "SynthOcc" / "visibility.csv", tmp_path)
    path, content = Path(path), Path(path).read_bytes()
    assert complaints(lambda p: read_visibility(p.parent), path, damaged(content, 60)) == []


def test_the_cache_of_data_check(tmp_path):
    path, facts = tmp_path / "cache", Facts(sha256="ab" * 32, look=3, colors="00", width=3)
    rows = [(f"/x/{number}.jpg", (1, 2, number), facts) for number in range(50)]
    cache = FactsCache(path)
    cache.keep(rows)
    cache.close()

    def read(path):
        cache = FactsCache(path)
        cache.recall({name: stamp for name, stamp, _ in rows}, decoded=True)
        cache.keep(rows[:2])
        cache.close()

    def lines():
        for text in list(swapped(json.loads(msgspec.json.encode(facts))))[::3]:
            connection = sqlite3.connect(other)
            (table,) = connection.execute("SELECT name FROM sqlite_master").fetchone()
            connection.execute(f"UPDATE {table} SET facts=?", (text,))
            connection.commit()
            connection.close()
            yield other.read_bytes()

    other = Path(shutil.copy(path, tmp_path / "other"))
    assert complaints(read, path, damaged(path.read_bytes(), 100)) == []
    assert complaints(read, path, lines()) == []


def use_config(path):
    try:
        return read_config(str(path), [])
    except ValueError as error:
        if re.match(r"[A-Z_.]+=", str(error)):  # a value that the table refuses: the key is enough
            raise ValueError(f"{path}: {error}") from error
        raise


def test_configs_and_plans(made, tmp_path):
    plan = tmp_path / "plan.yml"
    plan.write_text(
        "datasets: {SynthOcc: {train: [Market1501], overrides: {SEED2: 1}}}\n"
        "methods: {A: {config: synthocc_vit_tiny}}\nseeds: [0, 2]\noverrides: {TEST: {A: 1}}\n"
    )
    for path, read in (
        (plan, read_plan),
        (made / "config.yaml", use_config),
    ):
        assert complaints(read, path, damaged(path.read_bytes(), 40)) == []
    config = {"SEED": 1, "MODEL": {"BACKBONE": {"DEPTH": "50x"}}, "DATASETS": {"NAMES": ["A"]}}
    methods = {"A": {"config": "synthocc_vit_tiny", "overrides": {"SEED2": 1}}}
    content = {"datasets": ["S"], "methods": methods, "seeds": [0], "name": "a", "out": "b"}
    assert complaints(read_plan, plan, swapped(content)) == []
    assert complaints(use_config, plan, swapped(config)) == []


LINE = {"iteration": 3, "total_loss": 1.5, "lr": 0.1}


def test_the_host_s_metrics(tmp_path):
    path, whole = tmp_path / "metrics.json", json.dumps(LINE)
    path.write_text(whole)
    (tmp_path / "train.log").write_text("Training 3 epochs x 4 iterations\n")

    def watch(path):
        at = TrainingWatch(path.parent).look()
        return at and f"{at.share:.0%} {at.loss:.2f} {at.done:d}"

    for read in (watch, read_training, lambda p: _end_of_lines_before(2, p.read_bytes())):
        broken = list(swapped(LINE))
        for lines in ((f"{whole}\n{one}" for one in broken), (f"{one}\n{whole}" for one in broken)):
            assert complaints(read, path, lines) == []
        assert complaints(read, path, damaged(path.read_bytes() * 3, 40)) == []


def test_weights(made, tiny_cfg):
    from fastreid.engine import DefaultTrainer

    path = made / "model_final.pth"
    model = torch.nn.Linear(2, 2)
    torch.save({"state_dict": model.state_dict()}, path)

    def read(path):
        try:
            return read_weights(path)
        except ValueError as error:  # whoever calls the reader adds the file
            raise ValueError(f"{path}: {error}") from error

    backbone = DefaultTrainer.build_model(tiny_cfg()).backbone
    assert complaints(read, path, damaged(path.read_bytes(), 60)) == []
    torch.save(backbone.state_dict(), path)
    pretrained = (lambda p: load_pretrained(backbone, str(p)), path)
    assert complaints(*pretrained, damaged(path.read_bytes(), 60)) == []


def test_the_fuzz_would_notice(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{}")
    assert len(complaints(lambda p: {}["x"], path, iter(["1"]))) == 1
    assert len(complaints(lambda p: int(p.read_text()), path, iter(["1", "x"]))) == 1
    assert complaints(lambda p: json.loads(p.read_text()) / 0, path, iter(["1"])) != []
    assert path.read_text() == "{}"
