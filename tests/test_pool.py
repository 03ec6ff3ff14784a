"""Work in several processes: every item once, also where processes cannot start or are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fed_plugin import pool


def doubled(number):
    return 2 * number, os.getpid()


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("workers", "others"), [(1, False), (2, True)])
def test_every_item_is_worked_on_once(workers, others):
    results = dict(pool.spread(doubled, range(20), workers))
    assert {item: number for item, (number, _) in results.items()} == {
        item: 2 * item for item in range(20)
    }
    assert ({pid for _, pid in results.values()} == {os.getpid()}) is not others


def test_this_process_does_what_killed_workers_leave(monkeypatch, caplog):
    monkeypatch.setattr(pool, "follow_parent", _die)
    assert sorted(item for item, _ in pool.spread(doubled, range(5), 2)) == [0, 1, 2, 3, 4]
    assert "worker processes ended early" in caplog.text


def test_an_error_of_the_work_is_the_callers():
    with pytest.raises(TypeError):
        list(pool.spread(len, range(3), 2))


def test_no_item_is_no_work():
    assert list(pool.spread(doubled, [], 2)) == []


PARENT = """
import os, signal, time
from fed_plugin.pool import spread

def work(number):
    if number:
        time.sleep(100)
    return os.getpid()

signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    try:
        for _, worker in spread(work, (0, 1, 2), 2, patient=False):
            print(worker, flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent_however_that_ends(tmp_path, how):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(how)
        give_up = time.monotonic() + 60
        while is_running(worker) and time.monotonic() < give_up:
            time.sleep(0.1)
        assert not is_running(worker)
        said, _ = parent.communicate(timeout=60)
        assert ("interrupted" in said) == (how == signal.SIGINT)
    finally:
        parent.kill()
        parent.wait()


RANK = {"RANK": "3", "WORLD_SIZE": "4", "MASTER_ADDR": "host", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({**RANK, "LOCAL_RANK": "3"}, (3, 4, 0)),
        ({**RANK, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, (1, 2, 1)),
        (RANK, (0, 1, 3)),  # one process of each machine, as Kubernetes starts them
        ({**RANK, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (0, 1, 3)),
    ],
)
def test_a_process_of_torchrun_knows_its_place(monkeypatch, variables, place):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert pool.started_rank().place() == place


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": "8"},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "8"},  # a batch script, outside of srun
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_a_process_alone_is_no_rank(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert pool.started_rank() is None


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({**RANK, "LOCAL_RANK": "1"}, "got rank 3, LOCAL_RANK 1"),
        ({**RANK, "RANK": "4", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, "got rank 4"),
        ({**RANK, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "0"}, "LOCAL_WORLD_SIZE 0"),
        ({**RANK, "LOCAL_RANK": "-1"}, "LOCAL_RANK='-1': expected a whole number"),
        ({**RANK, "WORLD_SIZE": "four"}, "WORLD_SIZE='four': expected a whole number"),
        ({**RANK, "MASTER_ADDR": ""}, "expected MASTER_ADDR, as torchrun"),
    ],
)
def test_an_environment_that_places_no_rank_is_refused(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        pool.started_rank().place()
