"""Two trainings in one folder: the second one is refused, and a killed one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastreid.engine import DefaultTrainer, default_setup

from fed_plugin.fastreid_adapter.ranks import free_folder
from fed_plugin.fastreid_adapter.resuming.training_loop import held
from fed_plugin.files import FolderInUseError

HOLD = """
import sys, time
from fed_plugin.fastreid_adapter.ranks import free_folder
from fed_plugin.fastreid_adapter.resuming.training_loop import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that trains into ``tmp_path``, as far as the folder knows."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_is_held_by_one_process_until_it_is_gone(holder, tmp_path):
    message = f"process {holder.pid} on .* is training into it"
    with pytest.raises(FolderInUseError, match=message), held(str(tmp_path)):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with held(str(tmp_path)), held(str(tmp_path / "other")):
        pass


def test_an_error_in_the_block_lets_go(tmp_path):
    with pytest.raises(KeyError), held(str(tmp_path)):
        raise KeyError
    assert (
        subprocess.Popen(
            [sys.executable, "-c", HOLD.replace("time.sleep(100)", "pass"), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        ).wait()
        == 0
    )


def test_a_second_training_is_refused_and_removes_nothing(holder, tiny_cfg, on_synthocc, tmp_path):
    cfg = tiny_cfg("OUTPUT_DIR", str(tmp_path), "MODEL.HEADS.NUM_CLASSES", 8)
    unfinished = tmp_path / f".model_final.pth.{holder.pid}.part"
    unfinished.write_bytes(b"being written")
    with pytest.raises(FolderInUseError, match=r"OUTPUT_DIR=.*: process"):
        DefaultTrainer(cfg)
    assert unfinished.exists()
    holder.kill()
    holder.wait()
    time.sleep(0.1)
    DefaultTrainer(cfg)
    assert not unfinished.exists()


def contents(folder):
    """Bytes and times of all that is below a folder, but for the lock itself."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".training"
    }


WITH_STOCK_SCRIPT = """
import sys
from fastreid.config import get_cfg
from fastreid.engine import DefaultTrainer, default_argument_parser, default_setup, launch
def main(args):
    cfg = get_cfg()
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    default_setup(cfg, args)
    raise SystemExit("the folder of another training was taken")
if __name__ == "__main__":
    args = default_argument_parser().parse_args()
    launch(main, args.num_gpus, dist_url="auto", args=(args,))
"""


@pytest.mark.parametrize(
    ("words", "ranks"), [(("train",), 2), (("train", "--eval-only"), 1), (("script",), 1)]
)
def test_what_is_refused_has_written_nothing(
    holder, synthocc_root, run_python, tmp_path, words, ranks
):
    for name in ("config.yaml", "log.txt", "log.txt.rank1", "metrics.json", "last_checkpoint"):
        (tmp_path / name).write_text(f"{name} of the running one\n")
    before = contents(tmp_path)
    config = Path(__file__).parents[3] / "configs" / "FED" / "synthocc_vit_tiny.yml"
    start = ["-m", "fed_plugin", *words]
    if words == ("script",):
        script = tmp_path.parent / f"{tmp_path.name}_train_net.py"
        script.write_text(WITH_STOCK_SCRIPT)
        start = [script]
    result = run_python(
        *(*start, "--config-file", config, "--num-gpus", ranks, "OUTPUT_DIR", tmp_path),
        *("MODEL.WEIGHTS", "untrained" if "--eval-only" in words else ""),
        *("SOLVER.WARMUP_ITERS", 4, "MODEL.FED.FDM.NUM_NEIGHBORS", 4),
        root=synthocc_root,
        check=False,
    )
    assert result.returncode == 1
    assert f"OUTPUT_DIR={tmp_path}: process {holder.pid} on" in result.stderr
    if words != ("script",):
        assert "Traceback" not in result.stderr
    assert contents(tmp_path) == before


def test_setup_holds_the_folder_until_the_training_ends(tiny_cfg, tmp_path):
    cfg = tiny_cfg("OUTPUT_DIR", str(tmp_path / "run"))
    for _ in range(2):  # a process that sets up again goes on holding it
        default_setup(cfg, SimpleNamespace(config_file="", eval_only=False))
    with pytest.raises(FolderInUseError), held(cfg.OUTPUT_DIR):
        pass
    free_folder(cfg.OUTPUT_DIR)
    with held(cfg.OUTPUT_DIR):
        pass


def test_a_setup_that_fails_lets_go(tiny_cfg, tmp_path):
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(IsADirectoryError):
        default_setup(tiny_cfg("OUTPUT_DIR", str(tmp_path)), SimpleNamespace(config_file=""))
    with held(str(tmp_path)):
        pass
