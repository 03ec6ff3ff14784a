"""The command, once, for real: FED and a stock ResNet of two epochs each."""

from __future__ import annotations

import json

import pytest
import yaml

from fed_plugin.cli import main
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.result import Result

RESNET = {
    "MODEL": {
        "META_ARCHITECTURE": "Baseline",
        "BACKBONE": {"NAME": "build_resnet_backbone", "DEPTH": "18x", "FEAT_DIM": 512},
        "HEADS": {"NAME": "EmbeddingHead", "WITH_BNNECK": True, "POOL_LAYER": "GlobalAvgPool"},
        "LOSSES": {"NAME": '("CrossEntropyLoss", "TripletLoss")'},
    },
    "INPUT": {"SIZE_TRAIN": [48, 24], "SIZE_TEST": [48, 24]},
    "SOLVER": {"OPT": "Adam"},
}
FED = {
    **{"MODEL.FED.VIT.NUM_LAYERS": 1, "MODEL.FED.FDM.NUM_NEIGHBORS": 3},
    **{"INPUT.SIZE_TRAIN": [48, 24], "INPUT.SIZE_TEST": [48, 24]},
}
SHORT = {
    "MODEL.BACKBONE.PRETRAIN": False,
    "SOLVER": {"IMS_PER_BATCH": 8, "WARMUP_ITERS": 1, "MAX_EPOCH": 2, "CHECKPOINT_PERIOD": 2},
    "TEST.EVAL_PERIOD": 2,
    "DATALOADER": {"NUM_WORKERS": 0, "NUM_INSTANCE": 4},
}


@pytest.fixture
def plan_file(tmp_path, on_synthocc, monkeypatch):
    """A plan of FED and ResNet-18 on SynthOcc tiny; returns its path."""
    monkeypatch.setenv("FASTREID_DATASETS", str(on_synthocc))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "resnet.yml").write_text(yaml.safe_dump(RESNET))
    plan = {
        "name": "two methods",
        "datasets": ["SynthOcc"],
        "methods": {
            "FED": {"config": "synthocc_vit_tiny", "overrides": FED},
            "ResNet-18": {"config": "resnet.yml"},
        },
        "overrides": SHORT,
        "out": str(tmp_path / "out"),
    }
    path = tmp_path / "plan.yml"
    path.write_text(yaml.safe_dump(plan))
    return path


def test_two_methods_are_trained_scored_and_not_repeated(plan_file, tmp_path, capsys):
    words = ["benchmark", str(plan_file), "--jobs", "2"]
    assert main(words) == 0, capsys.readouterr()
    table = capsys.readouterr().out
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["cells"]
    assert [row["method"] for row in rows] == ["FED", "ResNet-18"]
    for row in rows:
        assert f"| {row['method']}" in table
        folder = tmp_path / "out" / "SynthOcc" / row["method"] / "seed0"
        result = Result.load(folder / "result.json")
        assert result.method == row["method"] and len(result.queries.names) == 6
        assert result.card["dataset"] == "SynthOcc" and result.card["input_size"] == [48, 24]
        assert (result.card["seed"], result.card["epoch"]) == (0, 2)
        assert result.card["epoch_choice"] == "last"
        dump = FeatureDump.load(folder / "dump.npz")
        assert dump.part_features is None and len(dump.query) == 6
        assert evaluate_dump(dump).metrics == result.metrics
        stock = json.loads((folder / "stock_evaluation.json").read_text())
        assert stock["mAP"] == pytest.approx(result.metrics["mAP"].value, abs=0.1)
    trained = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("model_*.pth")}
    assert len(trained) >= 2

    assert main(words) == 0
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("| finished |") == 2

    (tmp_path / "resnet.yml").write_text(yaml.safe_dump({**RESNET, "SOLVER": {"OPT": "SGD"}}))
    assert main(words) == 1
    message = (
        "SynthOcc / ResNet-18 / seed 0: SOLVER.OPT was the host's default, the plan says 'SGD'"
    )
    assert message in capsys.readouterr().err
    assert main([*words, "--only", "FED"]) == 0  # that one did not change
    assert trained == {path: path.stat().st_mtime_ns for path in trained}


def test_jobs_are_counted_from_one(plan_file, capsys):
    assert main(["benchmark", str(plan_file), "--jobs", "0"]) == 1
    assert "--jobs 0: expected 1 or more" in capsys.readouterr().err
