"""Ctrl-C ends every command with status 130 and says what it leaves behind."""

from __future__ import annotations

from importlib import import_module

import pytest

from fed_plugin.cli import COMMANDS, GROUPS, main

WORDS = {
    "convert": ["a.pth", "b.pth"],
    "dump": ["--config-file", "synthocc_vit_tiny", "--weights", "a.pth", "-o", "a.npz"],
    "evaluate": ["a.npz"],
    "benchmark": ["plan.yml"],
    "costs": ["plan.yml"],
    "report": ["results"],
    "robustness": ["--benchmark", "results"],
    "cards.diff": ["a.json", "b.json"],
    "cards.show": ["a.json"],
    "data.synth": ["--out", "x"],
    "data.build_occluded_duke": ["--duke", "a", "--lists", "b", "--out", "c"],
    "data.build_occluded_posetrack": ["--posetrack", "a"],
    "data.occluders": ["preview", "a"],
    "show.augment": ["--config-file", "synthocc_vit_tiny"],
    "show.ranking": ["a.npz", "--folder", "b"],
    "show.visibility": ["a.jpg", "--config-file", "b", "--weights", "c"],
    "show.neighbors": ["--config-file", "b", "--weights", "c"],
    "show.curves": ["a"],
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
    "data.synth",
    "data.check",
    "data.build_occluded_duke",
    "data.occluders",
}


def commands():
    for name in COMMANDS:
        if name in GROUPS:
            yield from (f"{name}.{action}".replace("-", "_") for action in GROUPS[name])
        elif name != "train":  # the host's parser reads its flags
            yield name


@pytest.mark.parametrize("command", commands())
def test_ctrl_c_ends_with_130_and_a_sentence(command, monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    module = import_module(f"fed_plugin.cli.{command}")
    monkeypatch.setattr(module, "run", interrupt)
    words = [word.replace("_", "-") for word in command.split(".")]
    assert main([*words, *WORDS.get(command, [])]) == 130
    said = getattr(module, "INTERRUPTED", "")
    assert capsys.readouterr().err.strip() == ("interrupted; " + said).rstrip("; ")
    assert said or command not in LONG
