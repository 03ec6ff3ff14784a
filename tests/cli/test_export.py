from __future__ import annotations

import pytest

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter import exporting
from fed_plugin.fastreid_adapter.exporting import ExportedFile

LEAF = "synthocc_vit_tiny"


@pytest.fixture
def command(tmp_path):
    tiny = ["MODEL.FED.VIT.NUM_LAYERS", "1", "DATALOADER.NUM_WORKERS", "0", "SEED", "0"]

    def run(*words, weights="untrained", out="a.pt", format="torchscript", overrides=()):
        return main(
            [
                *("export", "--config-file", LEAF, "--weights", str(weights)),
                *("--format", format, "-o", str(tmp_path / out)),
                *(*words, *tiny, *overrides),
            ]
        )

    return run


def test_it_writes_a_checked_file_and_says_how_near_it_is(command, tmp_path, capsys):
    assert command() == 0
    said = capsys.readouterr().out
    for kind in ("random", "drawn"):
        assert f"float32, {kind} images in batches of 1, 3 and 8: greatest difference " in said
    assert "images: uint8 RGB, (batch, 96, 48, 3) -> descriptor (512,), visibility (4,)" in said
    about = ExportedFile(tmp_path / "a.pt", "torchscript").about
    assert about["config"] == "synthocc_vit_tiny.yml" and about["weights_sha256"] == "untrained"
    assert about["overrides"].startswith("MODEL.FED.VIT.NUM_LAYERS 1")


def test_what_int8_costs_is_measured_when_asked(command, on_synthocc, capsys, monkeypatch):
    pytest.importorskip("onnx")
    made, export_model = [], exporting.export_model
    monkeypatch.setattr(
        exporting,
        "export_model",
        lambda *args, **kw: made.append(export_model(*args, **kw)) or made[0],
    )
    assert command("--int8", "--dataset", "SynthOcc", format="onnx") == 0
    said = capsys.readouterr().out
    assert "int8, drawn images" in said and "; int8, " in said
    assert "Rank-1 on SynthOcc: model " in said and "difference " in said
    monkeypatch.setattr(exporting, "export_model", lambda *args, **kw: made[0])
    assert command("--int8", "--force", format="onnx") == 0
    assert "cost of int8 in Rank-1 was not measured; try --dataset" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], {"weights": "gone.pth"}, "--weights gone.pth: no such file; expected a check"),
        ([], {"out": "gone/a.pt"}, "expected a file in an existing folder"),
        ([], {"format": "pickle"}, "--format pickle: expected one of onnx, torchscript"),
        (
            ["--int8"],
            {"format": "torch-export"},
            "--int8: expected --format onnx, got torch-export",
        ),
        (["--dataset", "Gone"], {}, "Gone"),
        ([], {"overrides": ["MODEL.NO_KEY", "1"]}, "overrides: Non-existent key: MODEL.NO_KEY"),
        ([], {"overrides": ["SEED"]}, "overrides: expected KEY VALUE pairs, got "),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    command, tmp_path, capsys, words, options, message
):
    assert command(*words, **options) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_the_checkpoint_is_not_written_over(command, tmp_path, capsys):
    for name in ("weights.pth", "link.pth"):
        (tmp_path / "weights.pth").write_text("mine")
        (tmp_path / "link.pth").unlink(missing_ok=True)
        (tmp_path / "link.pth").symlink_to("weights.pth")
        assert command("--force", weights=tmp_path / name, out="weights.pth") == 1
        assert "weights.pth: is read here" in capsys.readouterr().err
        assert (tmp_path / "weights.pth").read_text() == "mine"


def test_a_missing_package_is_named_with_what_installs_it(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(exporting, "find_spec", lambda name: None if name == "onnxscript" else name)
    assert command(format="onnx") == 1
    error = capsys.readouterr().err
    assert "--format onnx needs the packages onnx, onnxscript, onnxruntime" in error
    assert "and onnxscript is not installed; try pip install 'fed_plugin[onnx]'" in error


def test_a_file_above_the_limit_leaves_what_was_there(command, tmp_path, capsys, monkeypatch):
    (tmp_path / "a.pt").write_text("mine")
    assert command() == 1
    assert "exists already; try another name, or --force" in capsys.readouterr().err
    monkeypatch.setattr(exporting, "LIMIT", -1.0)
    assert command("--force") == 1
    assert "differs from the model" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
    assert (tmp_path / "a.pt").read_text() == "mine"
    monkeypatch.undo()
    assert command("--force") == 0
    assert ExportedFile(tmp_path / "a.pt", "torchscript").about["precision"] == "float32"
