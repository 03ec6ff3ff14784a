"""Ctrl-C ends every command with status 130 and a sentence about what is left."""

from __future__ import annotations

import pytest

from fed_plugin.cli import COMMANDS, Command, main

WORDS = {
    "convert": ["a.pth", "b.pth"],
    "dump": ["--config-file", "synthocc_vit_tiny", "--weights", "a.pth", "-o", "a.npz"],
    "evaluate": ["a.npz"],
    "benchmark": ["plan.yml"],
    "costs": ["plan.yml"],
    "report": ["results"],
    "robustness": ["--benchmark", "results"],
    "cards diff": ["a.json", "b.json"],
    "cards show": ["a.json"],
    "weights inspect": ["a.pth"],
    "weights fetch": ["deit_b"],
    "data synth": ["--out", "x"],
    "data build-occluded-duke": ["--duke", "a", "--lists", "b", "--out", "c"],
    "data build-occluded-posetrack": ["--posetrack", "a"],
    "data occluders": ["preview", "a"],
    "show augment": ["--config-file", "synthocc_vit_tiny"],
    "show ranking": ["a.npz", "--folder", "b"],
    "show visibility": ["a.jpg", "--config-file", "b", "--weights", "c"],
    "show neighbors": ["--config-file", "b", "--weights", "c"],
    "show curves": ["a"],
    "index": ["a", "-o", "b"],
    "search": ["a", "b.jpg"],
    "calibrate": ["a.npz", "--weights", "b"],
    "export": ["--config-file", "a", "--weights", "b", "--format", "onnx", "-o", "c"],
}
LONG = {
    "demo",
    "dump",
    "benchmark",
    "costs",
    "report",
    "robustness",
    "data synth",
    "data check",
    "data build-occluded-duke",
    "data occluders",
}


@pytest.mark.parametrize("words", [words for words in COMMANDS if words != "train"])
def test_ctrl_c_ends_with_130_and_a_sentence(words, monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(Command, "run", lambda command: interrupt)
    assert main([*words.split(), *WORDS.get(words, [])]) == 130
    left = COMMANDS[words].interrupted
    assert capsys.readouterr().err.strip() == ("interrupted; " + left).rstrip("; ")
    assert left or words not in LONG
