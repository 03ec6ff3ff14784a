"""Two trainings in one folder: the second one is refused, and a killed one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fastreid.engine import DefaultTrainer

from fed_plugin.fastreid_adapter.resuming.training_loop import held
from fed_plugin.files import FolderInUseError

HOLD = """
import sys, time
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
