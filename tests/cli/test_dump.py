from __future__ import annotations

import pytest

from fed_plugin.cli import main
from fed_plugin.retrieval.feature_dump import FeatureDump

LEAVES = ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"]


@pytest.fixture
def command(on_synthocc, tmp_path):
    tiny = ["MODEL.FED.VIT.NUM_LAYERS", "1", "DATALOADER.NUM_WORKERS", "0"]

    def run(*words, weights="untrained", out="a.npz", config=LEAVES[0], overrides=()):
        return main(
            [
                *("dump", "--config-file", config, "--weights", str(weights)),
                *("-o", str(tmp_path / out), *words, *tiny, *overrides),
            ]
        )

    return run


def test_it_writes_what_evaluate_reads(command, tmp_path, capsys):
    assert command("--dataset", "SynthOcc") == 0
    said = capsys.readouterr().out
    assert "a.npz: 6 query and 22 gallery images of SynthOcc, 512 numbers each, 4 parts" in said
    assert main(["evaluate", str(tmp_path / "a.npz")]) == 0
    assert "synthocc_vit_tiny, untrained" in capsys.readouterr().out


def test_the_only_test_set_and_a_name_are_taken(command, tmp_path):
    assert command("--method", "mine", config=LEAVES[1]) == 0
    about = FeatureDump.load(tmp_path / "a.npz").about
    assert about["method"] == "mine" and about["dataset"] == "SynthOcc"
    assert about["config"] == "synthocc_vit_tiny_baseline.yml"
    assert about["overrides"][:2] == ["MODEL.FED.VIT.NUM_LAYERS", "1"]


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        ([], {"weights": "gone.pth"}, "--weights gone.pth: no such file; expected a check"),
        ([], {"config": "gone"}, "--config-file 'gone': no such file"),
        ([], {"out": "gone/a.npz"}, "expected a file in an existing folder"),
        (["--dataset", "Gone"], {}, "Gone"),
        ([], {"overrides": ["DATASETS.TESTS", "()"]}, "--dataset: expected a name, as DATA"),
        ([], {"overrides": ["MODEL.NO_KEY", "1"]}, "MODEL.NO_KEY"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    command, tmp_path, capsys, words, options, message
):
    assert command(*words, **options) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_written_over_only_when_asked(command, tmp_path, capsys):
    (tmp_path / "a.npz").write_text("mine")
    assert command(config=LEAVES[1]) == 1
    assert "exists already; try another name, or --force" in capsys.readouterr().err
    assert (tmp_path / "a.npz").read_text() == "mine"
    assert command("--force", config=LEAVES[1]) == 0
    assert len(FeatureDump.load(tmp_path / "a.npz").names) == 28
