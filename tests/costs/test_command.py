"""The command: a plan's methods, side by side, in a file and a table."""

from __future__ import annotations

import json
import os

import msgspec
import numpy as np
import pytest
import yaml

from fed_plugin.cli import main
from fed_plugin.costs import command as command_module
from fed_plugin.costs import measure as measuring
from fed_plugin.costs.command import COLUMNS, CostRow, load_costs
from fed_plugin.fastreid_adapter import loaders
from fed_plugin.files import convert
from fed_plugin.retrieval.estimates import as_text
from fed_plugin.retrieval.feature_dump import FeatureDump

SMALL = {
    "MODEL.DEVICE": "cpu",
    "MODEL.FED.VIT.NUM_LAYERS": 1,
    "MODEL.FED.FDM.NUM_NEIGHBORS": 3,
    "INPUT.SIZE_TRAIN": [48, 24],
    "INPUT.SIZE_TEST": [48, 24],
    "SOLVER.IMS_PER_BATCH": 8,
    "TEST.IMS_PER_BATCH": 4,
}
SIZE = {"descriptor_bytes": 512}
METHODS = {
    "untrained": {"untrained": True, "config": "synthocc_vit_tiny_baseline"},
    "the Baseline": {"config": "synthocc_vit_tiny_baseline"},
    "FED": {"config": "synthocc_vit_tiny"},
    "histogram": {"dump": "histogram.npz"},
}


@pytest.fixture
def command(on_synthocc, tmp_path):
    """Run ``costs`` on a plan of four methods, one round."""
    dump = FeatureDump(
        features=np.eye(4, 7, dtype=np.float16),
        pids=np.array([1, 2, 1, 2]),
        camids=np.array([0, 0, 1, 1]),
        split=np.array(["query", "query", "gallery", "gallery"]),
        names=np.array(["a", "b", "c", "d"]),
    )
    dump.save(tmp_path / "histogram.npz")
    plan = {"datasets": ["SynthOcc"], "methods": METHODS, "overrides": SMALL, "name": "small"}
    plan["out"] = str(tmp_path / "out")
    path = tmp_path / "plan.yml"

    def run(*words, **keys):
        path.write_text(yaml.safe_dump({**plan, **keys}, sort_keys=False))
        return main(["costs", str(path), "--rounds", "1", *words])

    return run


def test_one_identity_to_train_on_is_refused(command, monkeypatch, capsys):
    monkeypatch.setattr(loaders, "count_identities", lambda cfg: 1)
    assert command("--only", "FED") == 1
    assert "one identity to train on, expected two or more" in capsys.readouterr().err


def rows_of(path):
    content = json.loads(path.read_text())
    return content["about"], {row["method"]: row for row in content["rows"]}


def test_the_file_says_what_was_measured_and_on_what(command, tmp_path, capsys):
    assert command() == 0
    said = capsys.readouterr().out
    path = tmp_path / "out" / "costs.json"
    assert json.loads(path.read_text())["format"] == "fed_plugin.costs/1"
    assert str(path) in said and os.listdir(path.parent) == ["costs.json"]
    about, rows = rows_of(path)
    assert list(rows) == list(METHODS)
    assert about["baseline"] == "the Baseline" and about["dataset"] == "SynthOcc"
    assert about["identities"] == "8" and about["training_batch"] == "8" and about["rounds"] == 1
    assert about["device"] == "cpu" and about["precision"] == "fp32" and about["threads"] >= 1
    assert about["command"].endswith("plan.yml --rounds 1")
    assert rows["the Baseline"]["shares"] == "untrained"
    assert rows["the Baseline"]["training_ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert rows["histogram"]["descriptor_bytes"] == 28
    measured = [value for key, value in rows["histogram"].items() if key in measuring.MEASURED]
    assert measured.count(None) == len(measured) - 1
    parameters = rows["FED"]["parameters_training"] / 1e6
    assert f"| FED            | {parameters:.3g} / " in said
    assert "* the Baseline: measured once, with untrained" in said


def test_words_choose_methods_baseline_batch_identities_and_file(command, tmp_path):
    words = ["--only", "FED", "untrained", "--baseline", "FED", "--batch", "6", "--identities", "9"]
    assert command(*words, "--out", str(tmp_path / "mine.json"), datasets=["Market1501"]) == 0
    about, rows = rows_of(tmp_path / "mine.json")
    assert list(rows) == ["untrained", "FED"] and about["baseline"] == "FED"
    assert about["identities"] == "9" and about["test_batch"] == about["training_batch"] == "6"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "keys", "error"),
    [
        ([], {"datasets": ["Market1501"]}, "try --identities N"),
        (["--identities", "3"], {}, "MODEL.FED.FDM.NUM_NEIGHBORS=3"),
        (["--only", "Fed"], {}, "--only 'Fed': expected methods of"),
        (["--baseline", "histogram"], {}, "expected a method that is measured: untrained"),
        (["--only", "histogram"], {}, "all methods are dumps"),
        (["--dataset", "Market1501"], {}, "expected one of"),
        (["--batch", "1"], {}, "--batch 1: expected 2 or more"),
        (["--rounds", "0"], {}, "--rounds 0: expected 1 or more"),
        (
            ["--out", "nowhere/costs.json"],
            {},
            "nowhere/costs.json: expected a file in an existing folder",
        ),
        ([], {"overrides": {"MODEL.META_ARCHITECTURE": "Mystery"}}, "Mystery"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_measured(
    command, words, keys, error, tmp_path, capsys
):
    assert command(*words, **keys) == 1
    said = capsys.readouterr()
    assert error in said.err and "Traceback" not in said.err and said.out == ""
    assert not (tmp_path / "out" / "costs.json").exists()


def test_ctrl_c_leaves_the_old_file_as_it_was(command, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "measure_costs", interrupted)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "costs.json").write_text("old")
    assert command() == 130
    assert (tmp_path / "out" / "costs.json").read_text() == "old"
    assert command_module.INTERRUPTED in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["costs.json"]


def test_a_busy_machine_is_said(command, monkeypatch, capsys):
    for load, busy in ((0.0, False), (1000.0, True)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert command("--only", "untrained") == 0
        assert ("The machine was busy" in capsys.readouterr().out) is busy


def test_the_table_writes_numbers_out():
    spread = {"median": 1354.2, "min": 0.012345, "max": 1e5}
    row = dict.fromkeys(measuring.MEASURED, 123_456_789)
    row |= {name: spread for name in measuring.MEASURED if "ratio" in name or "_per_" in name}
    table = as_text(COLUMNS, [convert({"method": "big", **row}, CostRow)])
    assert "1350 (0.0123 to 100000)" in table and "123 / 123" in table and "e+" not in table


def test_a_file_of_an_older_version_is_read_and_a_wrong_value_is_named(tmp_path):
    spread = {"median": 1.0, "min": 0.5, "max": 2.0}
    row = {name: spread if "ratio" in name or "_per_" in name else 3 for name in measuring.MEASURED}
    about = {"machine": "a machine", "cores": 2, "load_before": [0.9, 2.2, 3.3], "baseline": "ViT"}
    about |= {"torch": "2.14.1", "threads": 2, "rounds": 10, "device": "cpu", "precision": "fp32"}
    about |= {"identities": "300", "training_batch": "32", "test_batch": "128", "gone": 1}
    rows = [{"method": "ViT", **row}, {"method": "a dump", **dict.fromkeys(row), **SIZE}]
    content = {"format": "fed_plugin.costs/1", "about": about, "rows": rows}
    path = tmp_path / "costs.json"
    path.write_text(json.dumps(content))
    assert [msgspec.to_builtins(one) for one in load_costs(path).rows] == rows
    rows[0]["macs_test"] = "many"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"costs\.json: .*rows\[0\]\.macs_test: expected .*'many'"):
        load_costs(path)
