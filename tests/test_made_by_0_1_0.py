"""Files that version 0.1.0 made are read as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fed_plugin.cli import main

MADE = Path(__file__).with_name("made_by_0_1_0")


@pytest.fixture
def made(tmp_path):
    return Path(shutil.copytree(MADE, tmp_path / "made"))


def test_a_checkpoint_gives_the_descriptors_that_it_gave(made, on_synthocc):
    model = ["--config-file", str(made / "config.yaml"), "--weights", str(made / "model_final.pth")]
    assert main(["dump", *model, "-o", str(made / "now.npz")]) == 0
    before, now = np.load(made / "dump.npz"), np.load(made / "now.npz")
    assert list(now["names"]) == list(before["names"])
    for name in ("features", "part_features", "visibility"):
        np.testing.assert_allclose(now[name], before[name], atol=1e-5)


def test_a_dump_has_the_numbers_of_its_result(made, capsys):
    assert main(["evaluate", str(made / "dump.npz"), "--json", str(made / "now.json")]) == 0
    before, now = (json.loads((made / name).read_text()) for name in ("result.json", "now.json"))
    assert now["queries"] == before["queries"]
    assert now["metrics"] == before["metrics"]


def test_a_result_and_a_card_follow_one_protocol(made, capsys):
    assert main(["cards", "show", str(made / "card.json")]) == 0
    assert "fed_plugin 0.1.0" in capsys.readouterr().out
    assert main(["cards", "diff", str(made / "result.json"), str(made / "dump.npz")]) == 0


def test_a_gallery_answers(made, synthocc_root, capsys):
    photo = sorted((synthocc_root / "SynthOcc" / "bounding_box_test").glob("*.jpg"))[0]
    found = made / "found.json"
    words = ["search", str(made / "gallery.npz"), str(photo), "--top", "1", "--json", str(found)]
    assert main([*words, "--weights", str(made / "model_final.pth")]) == 0
    assert photo.name in capsys.readouterr().out


def test_a_benchmark_becomes_a_report(made, capsys):
    assert main(["report", str(made / "results")]) == 0
    report = json.loads((made / "results" / "report" / "report.json").read_text())
    (table,) = report["tables"]
    assert [row["method"] for row in table["rows"]] == ["FED", "a dump"]
    assert table["robustness"]["rows"] and report["costs"]["rows"]


def test_an_occluder_set_agrees_with_its_manifest(made, capsys):
    assert main(["data", "occluders", "check", str(made / "occluders"), "--draws", "10"]) == 0
