from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from fed_plugin.robustness import command
from fed_plugin.robustness.command import cell_progress

PARENT = """
import os, signal, time
from fed_plugin.robustness.command import _workers

signal.signal(signal.SIGINT, signal.default_int_handler)
if __name__ == "__main__":
    try:
        with _workers(1) as pool:
            print(pool.submit(os.getpid).result(), flush=True)
            pool.submit(time.sleep, 100).result()
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
def test_a_worker_ends_with_its_parent_however_that_ends(tmp_path, how):
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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


def test_progress_says_when_all_cells_are_done(monkeypatch):
    calls, clock = [], iter([0.0, 30.0])
    line = nullcontext(lambda *words: calls.append(words))
    monkeypatch.setattr(command, "ProgressLine", lambda what: line)
    monkeypatch.setattr(command.time, "perf_counter", lambda: next(clock))
    with cell_progress(1, 4, "SynthOcc / A / seed 0") as progress:
        progress(50, 100)
    # half a minute of this one, a minute of each other
    assert calls == [(50, 100, "all cells: ETA 0:02:30")]
