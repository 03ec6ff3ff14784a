"""The command line: help, conversion, and one sentence for every mistake."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fed_plugin.cli import COMMANDS, main
from fed_plugin.fastreid_adapter.config_files import find_config
from fed_plugin.files import OutputFile, OutputFileInNewFolder, OutputFolder

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
    target.parent.mkdir()
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
    os.mkfifo(tmp_path / "pipe")
    assert main(["convert", "--force", str(released), str(tmp_path / "pipe")]) == 1
    assert "pipe: is a device or a pipe" in capsys.readouterr().err
    assert (tmp_path / "pipe").is_fifo()


def test_data_synth_draws_where_it_is_told(tmp_path, capsys):
    folder = tmp_path / "SynthOcc"
    assert main(["data", "synth", "--size", "tiny", "--out", str(folder), "--workers", "1"]) == 0
    assert (folder / "synthocc.json").is_file() and str(folder) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["synthocc_vit_tiny", "configs/FED/Base-FED.yml", "Base-FED.yml"])
def test_installed_configs_are_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(find_config(name)).is_file()


TINY = [
    *("SOLVER.IMS_PER_BATCH", "8", "SOLVER.WARMUP_ITERS", "2", "SOLVER.MAX_EPOCH", "2"),
    *("SOLVER.CHECKPOINT_PERIOD", "1", "TEST.EVAL_PERIOD", "1", "MODEL.FED.VIT.NUM_LAYERS", "1"),
    *("MODEL.FED.FDM.NUM_NEIGHBORS", "3"),
]


@pytest.fixture
def run_train(run_python):
    """Run ``train`` in a process of its own."""

    def run(*words, root):
        command = ("-m", "fed_plugin", "train", *words)
        return run_python(*command, root=root, check=False, timeout=120)

    return run


def assert_one_sentence(result, message, folder):
    assert result.returncode == 1, result.stdout[-500:] + result.stderr[-500:]
    assert message in result.stderr, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert not list(folder.rglob("*.pth"))


def test_a_missing_data_set_is_explained_with_status_1(run_train, tmp_path):
    words = ["--config-file", "synthocc_vit_tiny", "OUTPUT_DIR", str(tmp_path / "run")]
    assert_one_sentence(run_train(*words, root=tmp_path), "bounding_box_train", tmp_path)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["MODEL.FED.NUM_PART", "3"], "MODEL.FED.NUM_PART"),
        (["SOLVER.IMS_PER_BATCH", "6"], "DATALOADER.NUM_INSTANCE"),
        (["MODEL.FED.NUM_PARTS", "3"], "MODEL.FED.NUM_PARTS=3: expected a divisor of the 8 rows"),
        (["MODEL.FED.FDM.NUM_NEIGHBORS", "8"], "NUM_NEIGHBORS=8: expected fewer than the 8"),
        (["MODEL.WEIGHTS", "gone.pth"], "gone.pth"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_key(
    on_synthocc, tmp_path, overrides, message, capfd
):
    # Handlers write to the captured streams of an earlier test.
    logging.getLogger("fastreid").handlers.clear()
    words = ["train", "--config-file", "synthocc_vit_tiny", *TINY, *overrides]
    status = main([*words, "OUTPUT_DIR", str(tmp_path / "run")])
    output = capfd.readouterr()
    result = SimpleNamespace(returncode=status, stdout=output.out, stderr=output.err)
    assert_one_sentence(result, message, tmp_path)


def test_an_unknown_config_says_where_the_installed_ones_are_and_which_is_similar(capsys):
    assert main(["train", "--config-file", "occluded_duke_lite.yml"]) == 1
    message = capsys.readouterr().err
    assert "installed configs in " in message and "try occluded_duke_lite0" in message
    assert main(["train", "--config-file", "nowhere.yml"]) == 1
    assert "try synthocc_vit_tiny_fed_plus" in capsys.readouterr().err


def test_an_unreadable_image_in_a_worker_is_named_and_ends_the_run(
    synthocc_root, run_train, tmp_path
):
    folder = tmp_path / "datasets"
    shutil.copytree(synthocc_root, folder)
    broken = sorted((folder / "SynthOcc" / "bounding_box_train").iterdir())[3]
    broken.write_bytes(b"not a picture")
    words = ["--config-file", "synthocc_vit_tiny", *TINY, "OUTPUT_DIR", str(tmp_path / "run")]
    assert_one_sentence(run_train(*words, root=folder), f"cannot read image {broken}", tmp_path)


SRUN = {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "h", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("variables", "words", "message"),
    [
        (SRUN, ["train", "--config-file", "x"], "try --num-gpus, or torchrun --nproc-per-node 2"),
        (SRUN, ["data", "check"], "error: data check: srun started 2 processes"),
        (
            TORCHRUN,
            ["dump", "--config-file", "x", "--weights", "untrained", "-o", "x"],
            "dump: tor",
        ),
        (TORCHRUN, ["benchmark", "plan.yml"], "expected one process, try benchmark without torchr"),
    ],
)
def test_a_command_that_a_launcher_started_twice_is_refused_at_once(
    monkeypatch, capsys, variables, words, message
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(words) == 1
    assert message in capsys.readouterr().err


INPUTS = {
    *("config_file", "weights", "source", "files", "index", "photos", "gallery", "dump", "plan"),
    *("results", "benchmark", "occluders", "from_crops", "mine", "leaks_in", "folder", "duke"),
    *("lists", "dataset", "posetrack", "runs", "a", "b", "card", "file", "remove"),
}
"""Arguments of files and folders that are read; ``posetrack`` and ``weights`` are written into."""
NO_FILES = {None, "METHOD", "NAME", "KEY VALUE", "N", "K", "P", "V", "SHARE", "TEXT", "CONFIG"}


def arguments(parser, words=()):
    """Yield (words of the command, parser, argument) for all commands below."""
    for one in parser._actions:
        if isinstance(one, argparse._SubParsersAction):
            for word, below in one.choices.items():
                yield from arguments(below, (*words, word))
        else:
            yield words, parser, one


def all_arguments():
    for name, command in COMMANDS.items():
        if name != "train":  # fast-reid's own
            parser = argparse.ArgumentParser()
            command.arguments()(parser)
            yield from arguments(parser, tuple(name.split()))


OF_OUTPUTS = (OutputFile, OutputFileInNewFolder, OutputFolder)
OUTPUTS = [
    (*words, one.option_strings[-1] if one.option_strings else one.dest, one.type)
    for words, _, one in all_arguments()
    if one.type in OF_OUTPUTS
]


def test_every_argument_of_a_file_is_an_input_or_an_output():
    for words, _, one in all_arguments():
        if one.nargs == 0 or one.type in (int, float, *OF_OUTPUTS) or one.choices:
            continue
        assert one.dest in INPUTS or (one.metavar in NO_FILES and "out" not in one.dest), words
    assert len(OUTPUTS) > 25


def command_line(output, path, read="nothing_here"):
    *words, name, _ = output
    line, flags, groups = list(words), [], []
    for at, parser, one in all_arguments():
        if at != tuple(words) or one.nargs == 0:
            continue
        own = name in (*one.option_strings, one.dest)
        group = next(
            (g for g in parser._mutually_exclusive_groups if one in g._group_actions), None
        )
        alone = group is not None and group.required and group not in groups
        if own or one.required or alone or (one.nargs == "?" and not one.option_strings):
            groups += [group] if alone else []
            value = "1" if one.type is int else next(iter(one.choices or [str(read)]))
            value = str(path) if own else value
            if one.type in (OutputFile, OutputFileInNewFolder) and not own:
                value = str(path) + ".other"
            if one.option_strings:
                flags += [one.option_strings[-1], value]
            elif one.nargs != "...":
                line.append(value)
    return [*line, *flags]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: " ".join(output[:-1]))
def test_an_output_that_cannot_be_written_is_refused_and_stays(output, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "read").write_text("read")
    wrong = {"pipe": ("pipe", "no folder"), "null": ("device", "no folder")}
    wrong |= {"/dev/stdout": ("device", "no folder"), "read/below": ("folder", "no folder")}
    if output[-1] is not OutputFolder:
        wrong |= {"folder.png": ("is a folder", ""), "read": ("is read here", "exists already")}
    if output[-1] is OutputFile:
        wrong |= {"none/a.png": ("existing folder", "")}
    if output[-1] is OutputFileInNewFolder:
        wrong |= {"read/none/a.png": ("no folder", "")}
    for name, messages in wrong.items():
        assert main(command_line(output, tmp_path / name, tmp_path / "read")) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and any(one and one in error for one in messages), error
    assert (tmp_path / "pipe").is_fifo() and (tmp_path / "null").readlink() == Path("/dev/null")
    assert (tmp_path / "read").read_text() == "read" and not (tmp_path / "none").exists()
