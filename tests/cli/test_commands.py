"""The command line: help, conversion, and one sentence for every mistake."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fed_plugin.cli import main
from fed_plugin.cli.configs import find_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def released(tmp_path):
    """A file as the released code saves it: bare, with ``module.`` prefixes."""
    spec = importlib.util.spec_from_file_location("recipe", ROOT / "tests/golden/recipe.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    path = tmp_path / "released.pth"
    weights = recipe.reference_state_dict(5, depth=1)
    torch.save({f"module.{n}": torch.from_numpy(a) for n, a in weights.items()}, path)
    return path


def test_convert_writes_what_the_stock_checkpointer_loads(released, tmp_path, capsys):
    from fastreid.config import get_cfg
    from fastreid.modeling import build_model
    from fastreid.utils.checkpoint import Checkpointer

    target = tmp_path / "new" / "converted.pth"
    assert main(["convert", str(released), str(target)]) == 0
    assert "wrote" in capsys.readouterr().out
    cfg = get_cfg()
    cfg.merge_from_file(str(ROOT / "configs/FED/occluded_duke_vit_base.yml"))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.PRETRAIN", False])
    cfg.merge_from_list(["MODEL.FED.VIT.NUM_LAYERS", 1])
    model = build_model(cfg)
    Checkpointer(model).load(str(target))
    stored = torch.load(target)["model"]
    assert torch.equal(model.backbone.norm.weight, stored["backbone.norm.weight"])
    assert torch.equal(model.heads.oem.score.weight, stored["heads.oem.score.weight"])
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"noise", "expected a PyTorch checkpoint of tensors alone"),
        ({"fc.weight": torch.zeros(2)}, "unknown name 'fc.weight'"),
        ([1, 2], "holds a list, expected a state dict"),
    ],
)
def test_convert_refuses_other_files_in_one_sentence(tmp_path, capsys, content, message):
    source, target = tmp_path / "in.pth", tmp_path / "out.pth"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        torch.save(content, source)
    assert main(["convert", str(source), str(target)]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and str(source) in error
    assert not target.exists()


def test_convert_does_not_write_over_a_file_unasked(released, tmp_path, capsys):
    target = tmp_path / "mine.pth"
    target.write_text("mine")
    assert main(["convert", str(released), str(target)]) == 1
    assert "exists already" in capsys.readouterr().err and target.read_text() == "mine"
    assert main(["convert", "--force", str(released), str(target)]) == 0


def test_data_synth_draws_where_it_is_told(tmp_path, capsys):
    folder = tmp_path / "SynthOcc"
    assert main(["data", "synth", "--size", "tiny", "--out", str(folder), "--workers", "1"]) == 0
    assert (folder / "synthocc.json").is_file() and str(folder) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["synthocc_vit_tiny", "configs/FED/Base-FED.yml", "Base-FED.yml"])
def test_installed_configs_are_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(find_config(name)).is_file()


def run_train(*words, root="."):
    return subprocess.run(
        [sys.executable, "-m", "fed_plugin", "train", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "FASTREID_DATASETS": str(root)},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config-file", "nowhere.yml"], "installed configs: Base-FED"),
        (["--config-file", "synthocc_vit_tiny", "MODEL.FED.NUM_PART", "3"], "NUM_PART"),
        (["--config-file", "synthocc_vit_tiny"], "SynthOcc"),
    ],
)
def test_a_mistake_is_one_sentence_with_status_1(tmp_path, words, message):
    overrides = [] if "nowhere.yml" in words else ["OUTPUT_DIR", str(tmp_path / "run")]
    result = run_train(*words, *overrides, root=tmp_path)
    assert result.returncode == 1, result.stderr
    assert message in result.stderr and "Traceback" not in result.stdout + result.stderr
    assert not list(tmp_path.rglob("*.pth"))
