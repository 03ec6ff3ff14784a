"""Every command refuses a config by the name of its key, before it looks for data."""

from __future__ import annotations

import pytest
import yaml
from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY

from fed_plugin.cli import main

CONFIG = ("--config-file", "synthocc_vit_tiny")
WRONG = {"MODEL.FED.MEMORY.MOMENTUM": 1.5}
WORDS = [str(word) for pair in WRONG.items() for word in pair]


@pytest.fixture
def plan(tmp_path):
    plan = {
        "out": str(tmp_path / "out"),
        "seeds": [0],
        "datasets": ["SynthOcc"],
        "methods": {"FED": {"config": "synthocc_vit_tiny"}},
        "overrides": WRONG,
    }
    (tmp_path / "plan.yml").write_text(yaml.safe_dump(plan))
    return str(tmp_path / "plan.yml")


@pytest.mark.parametrize("command", ["train", "evaluate", "dump", "robustness", "costs", "bench"])
def test_a_wrong_key_is_named_and_no_data_set_is_looked_for(
    command, plan, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(DATASET_REGISTRY, "get", lambda name: pytest.fail(f"looked for {name}"))
    monkeypatch.setattr(build, "_root", "/nowhere")
    out = ["OUTPUT_DIR", str(tmp_path / "run")]
    words = {
        "train": ["train", *CONFIG, *WORDS, *out],
        "evaluate": ["train", *CONFIG, "--eval-only", *WORDS, *out],
        "dump": ["dump", *CONFIG, "--weights", "untrained", "-o", f"{tmp_path}/it.npz", *WORDS],
        "robustness": ["robustness", *CONFIG, "--out", f"{tmp_path}/it.json", *WORDS],
        "costs": ["costs", plan],
        "bench": ["benchmark", plan],
    }
    assert main(words[command]) == 1
    said = capsys.readouterr().err
    assert "MODEL.FED.MEMORY.MOMENTUM=1.5: expected a share in [0, 1]; try 0.2" in said
    assert not list(tmp_path.glob("run")) and "Traceback" not in said
