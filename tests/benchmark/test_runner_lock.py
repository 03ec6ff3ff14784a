"""Two runners never share a folder; the lock of a dead runner is free."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from fed_plugin.benchmark import runner
from fed_plugin.benchmark.runner import only_runner

HOLD = """
import subprocess, sys
from pathlib import Path
from fed_plugin.benchmark.runner import only_runner
with only_runner(Path(sys.argv[1])) as lock:
    if sys.argv[2] == "cell":
        subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(1.5)"], pass_fds=lock.descriptors
        )
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds the lock until it is killed."""
    started = []

    def hold(kind="alone"):
        command = [sys.executable, "-c", HOLD, str(tmp_path), kind]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
        )
        started.append(process)
        assert process.stdout.readline() == b"holds\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def environment():
    import os
    from pathlib import Path

    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_a_second_runner_is_refused_with_the_first_ones_number(holder, tmp_path):
    first = holder()
    with pytest.raises(RuntimeError) as refused, only_runner(tmp_path):
        pass
    assert f"process {first.pid} on {socket.gethostname()}" in str(refused.value)
    assert "--out" in str(refused.value)


def test_a_killed_runners_lock_is_taken_over(holder, tmp_path):
    first = holder()
    first.kill()
    first.wait()
    with only_runner(tmp_path):
        assert (tmp_path / ".lock.holder").read_text().split()[0] != str(first.pid)
        with pytest.raises(RuntimeError, match="one process at a time"), only_runner(tmp_path):
            pass
    with only_runner(tmp_path):
        pass


def test_cells_of_a_killed_runner_are_waited_for(holder, tmp_path, monkeypatch):
    first = holder("cell")
    first.kill()
    first.wait()
    monkeypatch.setattr(runner, "PATIENCE", 0.0)
    with pytest.raises(RuntimeError, match="one process at a time"), only_runner(tmp_path):
        pass
    monkeypatch.setattr(runner, "PATIENCE", 60.0)
    with only_runner(tmp_path):
        pass


def test_the_runner_imports_where_no_fcntl_exists(run_python, tmp_path):
    script = """
import sys
sys.modules["fcntl"] = None
import fed_plugin.benchmark.runner, fed_plugin.benchmark.command
"""
    run_python("-c", script, root=tmp_path)
