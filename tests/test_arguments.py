"""Wrong words end a command at once: no PyTorch, no fast-reid, one sentence; every help renders."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from fed_plugin.arguments import key_value_pairs, name_of_method, similar
from fed_plugin.cli import COMMANDS, GROUPS, main

ROOT = Path(__file__).parents[1]
CONFIG = ["--config-file", "synthocc_vit_tiny"]
MODEL = [*CONFIG, "--weights", "untrained"]
NO_CONFIG = ["--config-file", "gone.yml", "--weights", "here.pth"]
NO_WEIGHTS = [*CONFIG, "--weights", "gone.pth"]
REFUSED = {
    "train": [
        ["--config-file", "gone.yml"],
        [*CONFIG, "SEED"],
        [*CONFIG, "--weights", "gone.pth"],
        [*CONFIG, "--num-gpus", "1", "--eval-only", "MODEL.WEIGHTS", "gone.pth"],
        [*CONFIG, "SEED=1", "--resume"],
    ],
    "convert": [["gone.pth", "out.pth"], ["--weights", "gone.pth", "-o", "out.pth"], ["here.pth"]],
    "dump": [
        [*NO_CONFIG, "-o", "x.npz"],
        [*NO_WEIGHTS, "-o", "x.npz"],
        [*CONFIG, "-o", "x.npz"],
        [*MODEL, "-o", "gone/x.npz"],
        [*MODEL, "-o", "x.npz", "SEED"],
        [*MODEL, "-o", "x.npz", "MODEL.WEIGHTS=here.pth"],
    ],
    "evaluate": [["here.npz", "gone.json"], ["gone.npz"], ["here.npz", "--compare"]],
    "index": [
        ["gone", "-o", "x.npz", *MODEL],
        [".", "-o", "x.npz", *NO_CONFIG],
        [".", "-o", "x.npz", *NO_WEIGHTS],
        [".", "-o", "x.npz", "--add"],
        ["-o", "x.npz", "--remove", "a"],
    ],
    "search": [["gone.npz", "here.jpg"], ["here.npz", "here.jpg", "--top", "0"]],
    "calibrate": [["gone.npz", "--weights", "here.pth"], ["here.npz", "--weights", "gone.pth"]],
    "benchmark": [["gone.yml"], ["plan.yml", "--jobs", "0"], ["plan.yml", "--only", "nobody"]],
    "export": [
        [*NO_CONFIG, "--format", "onnx", "-o", "x"],
        [*NO_WEIGHTS, "--format", "onnx", "-o", "x"],
        [*MODEL, "--format", "keras", "-o", "x"],
        [*MODEL, "--format", "torchscript", "--int8", "-o", "x"],
    ],
    "costs": [["gone.yml"], ["plan.yml", "--rounds", "0"], ["plan.yml", "--baseline", "nobody"]],
    "report": [["gone"]],
    "robustness": [
        ["--config-file", "gone.yml"],
        NO_WEIGHTS,
        [*CONFIG, "MODEL.WEIGHTS", "gone.pth"],
        ["--benchmark", "gone"],
        [*MODEL, "--visible", "3"],
        [*MODEL, "--figure", "x.gif"],
    ],
    "data synth": [["--out", "gone/SynthOcc", "--workers", "0"]],
    "data occluders": [["check", "gone"], ["preview", "gone"]],
    "data build-occluded-duke": [["--duke", "gone", "--lists", "gone", "--out", "x"]],
    "data build-occluded-posetrack": [["--posetrack", "gone"]],
    "data check": [["gone"]],
    "show augment": [["--config-file", "gone.yml"], [*CONFIG, "--images", "0"], [*CONFIG, "SEED"]],
    "show ranking": [["gone.npz", "--folder", "."], ["here.npz", "--out", "x.gif"]],
    "show visibility": [
        ["gone.jpg", *CONFIG, "--weights", "here.pth"],
        ["here.jpg", *NO_CONFIG],
        ["here.jpg", *NO_WEIGHTS],
    ],
    "show neighbors": [NO_CONFIG, NO_WEIGHTS, [*CONFIG, "--weights", "here.pth", "--images", "0"]],
    "show curves": [["gone"], ["gone", "--out", "x.gif"]],
    "cards diff": [["gone", "gone"]],
    "cards show": [["gone"]],
    "weights inspect": [["gone.pth"], ["here.pth", "--for", "gone.yml"]],
    "weights list": [],
    "weights fetch": [["mae_b", "--out", "here.pth"]],
    "demo": [["--size", "huge"], ["--out", "here.pth"], ["SEED"]],
}
HEAVY = ("torch", "fastreid", "timm")
SCRIPT = f"""
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY}:
            raise SystemExit(f"{{name}} was imported")
sys.meta_path.insert(0, Refuse())
from fed_plugin.cli import main
sys.exit(max(main([*sys.argv[1].split(), *words]) != 1 for words in json.loads(sys.argv[2])))
"""


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_words_are_refused_before_anything_heavy_is_imported(command, tmp_path):
    import json

    for name in ("here.pth", "here.npz", "here.jpg"):
        (tmp_path / name).write_bytes(b"x")
    plan = "datasets: [SynthOcc]\nmethods: {FED: {config: synthocc_vit_tiny}}\n"
    (tmp_path / "plan.yml").write_text(plan)
    if not REFUSED[command]:
        return
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, command, json.dumps(REFUSED[command])],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "FASTREID_DATASETS": "gone"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(REFUSED[command]) and "Traceback" not in done.stderr
    assert not any("[Errno" in line for line in lines), lines


def parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from parsers(one)


@pytest.mark.parametrize("words", [*COMMANDS, *GROUPS, ""])
def test_every_help_text_is_shown_as_it_is_meant(words, monkeypatch, capsys):
    made = []
    stock = argparse.ArgumentParser.__init__
    monkeypatch.setattr(
        argparse.ArgumentParser,
        "__init__",
        lambda self, *args, **kwargs: (stock(self, *args, **kwargs), made.append(self))[0],
    )
    with pytest.raises(SystemExit) as ended:
        main([*words.split(), "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out + "".join(one.format_help() for one in made)
    assert "%%" not in shown and "%(" not in shown


def test_overrides_are_pairs_or_have_an_equals_sign():
    assert key_value_pairs(["SEED=1", "A.B", "x=y", "OUTPUT_DIR="]) == [
        *("SEED", "1", "A.B", "x=y"),
        *("OUTPUT_DIR", ""),
    ]
    assert key_value_pairs(["SEED", 1, "INPUT.SIZE_TEST", [1, 2]])[1::2] == [1, [1, 2]]
    with pytest.raises(ValueError, match=r"^overrides: --force: expected a config key, got a flag"):
        key_value_pairs(["SEED", "1", "--force"])
    with pytest.raises(ValueError, match=r"expected KEY VALUE pairs, .* try a value after SEED$"):
        key_value_pairs(["A=1", "SEED"])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("SEEED", "SEED"),
        ("seed", "SEED"),
        ("SOLVER.BASE_RL", "SOLVER.BASE_LR"),
        ("MODEL.MAX_EPOCH", "SOLVER.MAX_EPOCH"),
        ("MODEL.FED.NUM_PART", "MODEL.FED.NUM_PARTS"),
        ("MODEL.HEDS.NAME", "MODEL.HEADS"),
    ],
)
def test_an_unknown_key_is_answered_with_the_most_similar(wrong, right, tmp_path, capsys):
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.training import resolve_config

    file = tmp_path / "bad.yml"
    *sections, name = wrong.split(".")
    lines = [f"{'  ' * i}{section}:" for i, section in enumerate(sections)]
    file.write_text("\n".join([*lines, f"{'  ' * len(sections)}{name}: 1\n"]))
    empty = tmp_path / "empty.yml"
    empty.write_text("SEED: 1\n")
    with pytest.raises(KeyError, match=f"bad.yml: .*; try {right}"):
        read_config(str(file), [])
    with pytest.raises(KeyError, match=f"overrides: .*; try {right}"):
        read_config(str(empty), [f"{wrong}=1"])
    with pytest.raises(ValueError, match=f"; try {right}"):  # of a plan
        resolve_config(str(empty), {wrong: 1})


def test_nothing_is_proposed_for_a_word_like_no_key():
    assert similar("ZZZZZZZZ", ["SEED", "OUTPUT_DIR"]) == ""


def test_a_model_is_named_after_the_folder_of_its_training(tmp_path):
    run, cell = tmp_path / "logs" / "fed_long", tmp_path / "out" / "FED" / "seed0"
    for folder in (run, cell):
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("")
    assert name_of_method(str(run / "config.yaml"), str(run / "model_final.pth")) == "fed_long"
    assert name_of_method("synthocc_vit_tiny.yml", str(run / "model_best.pth")) == "fed_long"
    assert name_of_method(str(run / "config.yaml"), "untrained") == "fed_long"
    assert name_of_method("synthocc_vit_tiny.yml", str(cell / "model_final.pth")) == "FED/seed0"
    assert name_of_method("x/synthocc_vit_tiny.yml", "released.pth") == "synthocc_vit_tiny"


def test_an_unknown_key_of_a_plan_is_answered_with_the_most_similar(tmp_path):
    from fed_plugin.benchmark.plan import read_plan

    plan = tmp_path / "plan.yml"
    plan.write_text("dataset: [SynthOcc]\nmethods: {FED: {config: synthocc_vit_tiny}}\n")
    with pytest.raises(ValueError, match=r"no key 'dataset', only .*; try datasets$"):
        read_plan(plan)
    plan.write_text(
        "datasets: [SynthOcc]\nmethods: {FED: {config: synthocc_vit_tiny, override: {}}}"
    )
    with pytest.raises(ValueError, match=r"methods.FED: .* only .*; try overrides$"):
        read_plan(plan)


def test_convert_takes_weights_and_out_as_the_other_commands_do(tmp_path, capsys):
    (tmp_path / "a.pth").write_bytes(b"x")
    a, b = str(tmp_path / "a.pth"), str(tmp_path / "b.pth")
    for words in ([a, b], ["--weights", a, "-o", b], [a, "--out", b], ["--weights", a, b]):
        assert main(["convert", *words]) == 1
        assert "expected a PyTorch checkpoint" in capsys.readouterr().err
    for words in ([], [a], ["-o", b], [a, b, "-o", f"{b}2"], ["--weights", a, a, b]):
        assert main(["convert", *words]) == 1
        assert "expected IN.pth and OUT.pth" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("index", "photos", "--weights", "{}", "--config-file", "synthocc_vit_tiny", "-o", "i.npz"),
        ("train", "--config-file", "{}"),
        ("benchmark", "{}"),
        ("evaluate", "{}"),
        ("search", "{}", "photo.jpg"),
        ("convert", "{}", "out.pth"),
        ("weights", "inspect", "{}"),
    ],
    ids=lambda words: words[0],
)
def test_a_pipe_is_no_missing_file(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.npz")
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg"):
        Image.new("RGB", (8, 16)).save(name)
    assert main([word.format("pipe.npz") for word in words]) == 1
    message = capsys.readouterr().err
    assert "pipe.npz" in message and "not a regular file; expected" in message
