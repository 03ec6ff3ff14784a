from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from fed_plugin.benchmark.cells import CONFIG, RECORD, RESULT
from fed_plugin.cli import main
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.result import METRICS, Queries, Result
from fed_plugin.robustness.curve import RobustnessCurve

TINY = {
    "MODEL.FED.VIT.NUM_LAYERS": 1,
    "INPUT.SIZE_TEST": [48, 24],
    "INPUT.SIZE_TRAIN": [48, 24],
    "DATALOADER.NUM_WORKERS": 0,
}
QUICK = ("--visible", "0.5", "--queries", "4")


@pytest.fixture
def make_cell(tmp_path, on_synthocc):
    """Make a finished cell: ``make_cell(method="A", seed=0, kind="untrained", config=...)``."""

    def make(method="A", seed=0, kind="untrained", config="synthocc_vit_tiny_baseline", **keys):
        from fed_plugin.fastreid_adapter.config_files import find_config, read_config

        folder = tmp_path / "out" / "SynthOcc" / method / f"seed{seed}"
        folder.mkdir(parents=True)
        overrides = {**TINY, "SEED": seed, **keys}
        cfg = read_config(
            find_config(config), [word for pair in overrides.items() for word in pair]
        )
        if kind != "dump":
            (folder / CONFIG).write_text(cfg.dump())
        record = {"dataset": "SynthOcc", "method": method, "seed": seed, "kind": kind}
        (folder / RECORD).write_text(json.dumps({"format": "fed_plugin.cell/1", **record}))
        queries = Queries(("a.jpg",), np.array([1]), np.array([0.5]), np.array([0.5]))
        metrics = {name: Estimate(1.0, 0.0, 2.0) for name in METRICS}
        Result(method, metrics, queries, {}).save(folder / RESULT)
        return folder

    return make


def test_every_cell_with_a_model_is_measured_once(make_cell, tmp_path, capsys):
    folders = [make_cell("A", 0), make_cell("A", 1), make_cell("B", config="synthocc_vit_tiny")]
    left_out = make_cell("colours", kind="dump")
    words = ["robustness", "--benchmark", str(tmp_path / "out"), *QUICK]
    assert main(words) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert "| A        | 2" in said.out and "| B        | 1" in said.out
    assert f"left out, because the cell has no model: {left_out}" in said.out
    assert "3/3 SynthOcc / B / seed 0" in said.err
    written = {folder / "robustness.json" for folder in folders}
    assert set(tmp_path.rglob("robustness.json")) == written
    before = {path: path.stat().st_mtime_ns for path in written}
    curve = RobustnessCurve.load(folders[1] / "robustness.json")
    assert (curve.method, curve.card["seed"], curve.card["epoch"]) == ("A", 1, 0)

    assert main(words) == 0
    assert "3 of 3 cells were measured before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == before

    assert main([*words, "--seed", "1", "--only", "B"]) == 0  # other settings
    after = {path: path.stat().st_mtime_ns for path in written}
    assert {path for path in written if after[path] != before[path]} == {
        folders[2] / "robustness.json"
    }


def test_jobs_find_the_same_and_a_failure_is_not_fatal_to_the_rest(
    make_cell, tmp_path, on_synthocc, monkeypatch, capsys
):
    monkeypatch.setenv("FASTREID_DATASETS", str(on_synthocc))
    first = make_cell("A")
    words = ["robustness", "--benchmark", str(tmp_path / "out"), *QUICK]
    assert main(words) == 0
    alone = RobustnessCurve.load(first / "robustness.json")
    (first / "robustness.json").unlink()
    broken = make_cell("broken", kind="trained")
    (broken / "model_final.pth").write_bytes(b"no checkpoint")
    assert main([*words, "--jobs", "2"]) == 1
    beside = RobustnessCurve.load(first / "robustness.json")
    assert beside.settings == alone.settings and beside.per_query.names == alone.per_query.names
    assert beside.area["mAP"].value == pytest.approx(alone.area["mAP"].value, abs=0.01)
    assert not (broken / "robustness.json").exists()
    said = capsys.readouterr()
    assert "FAILED: SynthOcc / broken / seed 0:" in said.err and "| A        |" in said.out


def test_a_cells_damaged_files_are_named(make_cell, tmp_path, on_synthocc, monkeypatch, capsys):
    monkeypatch.setenv("FASTREID_DATASETS", str(on_synthocc))
    whole, damaged = make_cell("A"), make_cell("B")
    (damaged / CONFIG).write_text("x")
    words = ["robustness", "--benchmark", str(tmp_path / "out"), *QUICK]
    assert main(words) == 1
    assert f"B / seed 0: {damaged / CONFIG}: expected YAML" in capsys.readouterr().err
    assert (whole / "robustness.json").is_file()
    (damaged / RECORD).write_text("{}")
    assert main(words) == 1
    assert f"{damaged / RECORD}: expected the record of a cell" in capsys.readouterr().err


def test_a_gallery_of_one_person_has_nobody_to_paste(tmp_path, capsys):
    lines = ["path,pid,camid,split"]
    for place, split in enumerate(("train", "query", "gallery")):
        Image.new("RGB", (24, 48), (90 * place, 0, 0)).save(tmp_path / f"{place}.png")
        lines.append(f"{place}.png,7,{place},{split}")
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    keys = {**TINY, "DATASETS.TESTS": ("FolderReID",), "DATASETS.NAMES": ("FolderReID",)}
    keys["DATASETS.FOLDER_REID.ROOT"] = str(tmp_path / "list.csv")
    words = [str(word) for pair in keys.items() for word in pair]
    command = ["robustness", "--config-file", "synthocc_vit_tiny_baseline", "--visible", "0.5"]
    assert main([*command, "--out", str(tmp_path / "a.json"), *words]) == 1
    assert "the gallery of FolderReID has one identity" in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()


def test_one_model_leaves_a_curve_a_figure_and_a_sheet(on_synthocc, tmp_path, capsys):
    words = [word for key, value in TINY.items() for word in (key, str(value))]
    paths = [str(tmp_path / name) for name in ("a.json", "a.svg", "sheet.png")]
    options = ["--out", paths[0], "--figure", paths[1], "--sheet", paths[2], "--method", "mine"]
    command = ["robustness", "--config-file", "synthocc_vit_tiny", *QUICK, *options]
    assert main([*command, *words]) == 0, capsys.readouterr().err
    assert "| mine     | 1" in capsys.readouterr().out
    curve = RobustnessCurve.load(paths[0])
    assert len(curve.per_query.names) == 4 and len(curve.levels) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.svg", "sheet.png"]


def test_ctrl_c_loses_only_the_cell_under_way(make_cell, tmp_path, monkeypatch, capsys):
    from fed_plugin.robustness import covered_search

    folders = [make_cell("A"), make_cell("B")]
    stock = covered_search.measure_robustness

    def interrupted(cfg, dataset, settings, method, progress):
        if method == "B":
            raise KeyboardInterrupt
        return stock(cfg, dataset, settings, method, progress)

    monkeypatch.setattr(covered_search, "measure_robustness", interrupted)
    assert main(["robustness", "--benchmark", str(tmp_path / "out"), *QUICK]) == 130
    assert "the same command goes on with the rest" in capsys.readouterr().err
    assert [(folder / "robustness.json").exists() for folder in folders] == [True, False]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--benchmark", "gone"], "--benchmark gone: no finished cell with a model"),
        (["--benchmark", "gone", "--out", "a.json"], "--out: not read with --benchmark"),
        (["--benchmark", "gone", "--jobs", "0"], "--jobs 0: expected 1 or more"),
        (["--config-file", "gone"], "--config-file 'gone': no such file"),
        (["--config-file", "gone", "--only", "A"], "--only: not read with --config-file"),
        (
            ["--config-file", "gone", "--figure", "a.jpg"],
            "--figure a.jpg: expected a file name that",
        ),
        (["--config-file", "gone", "--sheet", "a.svg"], "--sheet a.svg: expected a file name that"),
        (["--config-file", "gone", "--out", "gone/a.json"], "a file in an existing folder"),
        (["--config-file", "gone", "--visible", "0.5", "0.7"], "--visible 0.5 0.7: expected sh"),
        (
            ["--config-file", "synthocc_vit_tiny", "--occluders", "gone"],
            "--occluders=gone: no such folder",
        ),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    on_synthocc, tmp_path, monkeypatch, capsys, words, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["robustness", *words]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_method_is_named_with_those_that_are_there(make_cell, tmp_path, capsys):
    make_cell("A")
    command = ["robustness", "--benchmark", str(tmp_path / "out"), "--only", "C"]
    assert main(command) == 1
    assert "--only 'C': expected one of A" in capsys.readouterr().err
