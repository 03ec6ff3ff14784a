"""``--resume`` lists the keys that changed, and refuses those that make another model."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fed_plugin.cli import main

SAME = "as if the run had never stopped"


@pytest.fixture
def said(caplog):
    log = logging.getLogger("fastreid.fed_plugin.resuming")
    log.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger=log.name)
    yield caplog
    log.removeHandler(caplog.handler)


@pytest.fixture
def stopped(run, stop_at):
    trainer = run("half", "SOLVER.CHECKPOINT_ITERS", 5, stop=stop_at(13))
    return Path(trainer.cfg.OUTPUT_DIR)


def test_an_unchanged_config_goes_on_as_if_nothing_had_happened(run, stopped, said):
    moved = stopped.with_name("moved")
    stopped.rename(moved)
    run("moved", "SOLVER.CHECKPOINT_ITERS", 4, "DATALOADER.NUM_WORKERS", 1, resume=True)
    assert SAME in said.text
    for key in ("OUTPUT_DIR", "SOLVER.CHECKPOINT_ITERS: 5 -> 4", "DATALOADER.NUM_WORKERS: 0 -> 1"):
        assert key in said.text


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("SOLVER.BASE_LR", 0.5, "SOLVER.BASE_LR: 0.00"),
        ("SOLVER.MAX_EPOCH", 3, "SOLVER.MAX_EPOCH: 2 -> 3"),
        ("INPUT.FLIP.PROB", 0.25, "INPUT.FLIP.PROB: 0.5 -> 0.25"),
        ("MODEL.FED.PRECISION", "bf16", "MODEL.FED.PRECISION: 'fp32' -> 'bf16'"),
        ("SEED", 8, "SEED: 7 -> 8"),
    ],
)
def test_other_keys_are_named_and_nothing_is_promised(run, stopped, said, key, value, words):
    run("half", "SOLVER.CHECKPOINT_ITERS", 5, key, value, resume=True)
    assert words in said.text and SAME not in said.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("MODEL.FED.NORMALIZE_OUTPUT", False),
        ("MODEL.FED.OEM.ERASURE", "after_norm"),
        ("MODEL.FED.GLOBAL_TOKEN", "cls"),
        ("MODEL.BACKBONE.DROP_PATH_RATIO", 0.0),
        ("MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0]),
        ("MODEL.LOSSES.NAME", ("TripletLoss",)),
        ("MODEL.FED.FDM.ENABLED", False),
        ("SOLVER.OPT", "SGD"),
        ("SOLVER.SCHED", "MultiStepLR"),
        ("DATASETS.COMBINEALL", True),
    ],
)
def test_keys_that_make_another_model_are_refused_and_the_folder_stays(run, stopped, key, value):
    files = {path.name: path.read_bytes() for path in stopped.glob("*.[py]*")}
    with pytest.raises(ValueError, match=rf"{key}: .* -> ") as caught:
        run("half", "SOLVER.CHECKPOINT_ITERS", 5, key, value, resume=True)
    assert "\n" not in str(caught.value) and str(stopped) in str(caught.value)
    assert {path.name: path.read_bytes() for path in stopped.glob("*.[py]*")} == files


def test_the_command_refuses_before_it_writes_or_builds(stopped, on_synthocc, capsys):
    config = str(stopped / "config.yaml")
    whole = Path(config).read_bytes()
    words = ["train", "--config-file", config, "--resume", "OUTPUT_DIR", str(stopped)]
    log = (stopped / "log.txt").read_bytes() if (stopped / "log.txt").exists() else b""
    assert main([*words, "MODEL.FED.GLOBAL_TOKEN", "cls"]) == 1
    error = capsys.readouterr().err
    assert "is of another model (MODEL.FED.GLOBAL_TOKEN: 'first_patch' -> 'cls')" in error
    assert "as they were; try them, another OUTPUT_DIR, or MODEL.WEIGHTS without --resume" in error
    assert Path(config).read_bytes() == whole
    assert log == ((stopped / "log.txt").read_bytes() if log else b"")


def test_an_unreadable_config_promises_nothing(run, stopped, said):
    (stopped / "config.yaml").write_text("a: &a [*a]\n")
    run("half", "SOLVER.CHECKPOINT_ITERS", 5, resume=True)
    assert "config.yaml: 'a file that cannot be read'" in said.text and SAME not in said.text


def test_a_fresh_run_in_the_folder_compares_nothing(run, stopped, said):
    run("half", "MODEL.FED.GLOBAL_TOKEN", "cls")
    assert "differs in" not in said.text
