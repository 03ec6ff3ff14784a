"""Whatever ends the runner ends its cells; the next call goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fed_plugin.benchmark.runner import only_runner, run_plan

CELL = """
from fed_plugin.benchmark.cells import end_with_the_runner
end_with_the_runner()
if folder.name == "seed1" and not (out / "go").exists():
    (folder / "result.json.part").write_text(result)
    (out / "pid").write_text(str(os.getpid()))
    time.sleep(120)
finish()
"""
RUNNER = """
import sys
from pathlib import Path
from fed_plugin.benchmark import command as benchmark
from fed_plugin.benchmark.cells import Cell
from fed_plugin.benchmark.runner import only_runner
from fed_plugin.benchmark.plan import Plan
from fed_plugin.benchmark.runner import run_plan
from fed_plugin.console import one_sentence_for_mistakes

out, script, result = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
settings = {"SOLVER.MAX_EPOCH": 2}
cells = [
    Cell("Set", "A", k, "trained", "config.yml", "0", settings, out / f"Set/A/seed{k}", "SEED: 0")
    for k in range(3)
]
with one_sentence_for_mistakes(benchmark.INTERRUPTED) as outcome, only_runner(out) as lock:
    run_plan(
        Plan(Path("plan.yml"), "plan", (), (), (0,), {}, out),
        cells,
        lock=lock,
        command=lambda cell, resume: [sys.executable, "-c", script, str(cell.folder), result],
    )
sys.exit(outcome.status)
"""


@pytest.fixture
def stopped_in_its_second_cell(plan, make_cell, fake):
    """Start a runner in a process, end it in its second cell by a signal; return how it ended."""
    processes = []

    def stop(signal_number):
        _, _, script, _, result = fake(CELL)(make_cell(), False)
        process = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(plan.out), script, result],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stderr=subprocess.PIPE,
            text=True,
            # a shell's background jobs, and all they start, ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        processes.append(process)
        pid = wait_for(lambda: (plan.out / "pid").read_text() or None)
        process.send_signal(signal_number)
        error = process.communicate(timeout=60)[1]
        return process.returncode, error, int(pid)

    yield stop
    for process in processes:
        process.kill()


def wait_for(look, seconds=60):
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            found = look()
        except OSError:
            found = None
        if found is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("waited too long")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_runner_takes_its_cells_along_and_nothing_finished_is_repeated(
    how, stopped_in_its_second_cell, plan, make_cell, fake, runs
):
    status, error, cell_pid = stopped_in_its_second_cell(how)
    if how == signal.SIGINT:
        assert status == 130 and "the same command goes on with the rest" in error
    else:
        assert status == -how
    with only_runner(plan.out):  # waits for the cell
        assert not is_running(cell_pid)
        assert runs() == ["A/seed0", "A/seed1"]
        assert not list(plan.out.glob("*/*/seed1/result.json"))
        (plan.out / "go").touch()
        cells = [make_cell(seed=seed) for seed in range(3)]
        assert run_plan(plan, cells, command=fake(CELL)) == 0
    assert runs() == ["A/seed0", "A/seed1", "A/seed1", "A/seed2"]
    assert not (cells[1].folder / "result.json.part").exists()  # it began afresh


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
