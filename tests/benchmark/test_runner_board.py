"""The time left follows from what finished cells took."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fed_plugin.benchmark.runner import Board
from fed_plugin.benchmark.training_process import TrainingProgress, TrainingWatch


def write_progress(folder, iteration, eta):
    """Write what the host's log and metrics hold in a training of 4 epochs x 25 iterations."""
    (folder / "train.log").write_text("... INFO: Training 4 epochs x 25 iterations\n")
    line = {"iteration": iteration, "eta_seconds": eta, "time": 0.5, "total_loss": 3.25}
    (folder / "metrics.json").write_text(json.dumps(line) + "\n")


def test_the_total_is_known_from_the_start_and_never_changes(tmp_path):
    watch = TrainingWatch(tmp_path)
    assert watch.look() is None
    totals = []
    for iteration, eta in ((0, 290.0), (39, 14.0), (59, 1.5), (99, 0.0)):
        write_progress(tmp_path, iteration, eta)  # the host's ETA follows the speed of the machine
        at = watch.look()
        assert at.done == iteration + 1
        totals.append(at.total)
    assert totals == [100] * 4
    (tmp_path / "metrics.json").write_text('{"iteration": 9')  # the host is writing
    assert watch.look() == at


ON_A_TERMINAL = """
from pathlib import Path
from fed_plugin.benchmark import runner
from fed_plugin.benchmark.cells import Cell

runner.SECONDS_BETWEEN_LINES = {True: 0}
cells = [Cell("Set", f"method {k}", 0, "dump", "", "", {}, Path("gone")) for k in range(5)]
board = runner.Board(5, 0, {})
board.show([(cell, 1.0) for cell in cells], [])
board.end(cells[0], None, 2.0, "broken")
board.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_one_line_as_wide_as_the_window():
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", ON_A_TERMINAL]
    subprocess.run(command, stderr=theirs, env=environment, check=True, timeout=120)
    printed = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    progress = [line for line in re.split(r"[\r\n]+", printed) if "method 0/Set" in line]
    assert progress and all(len(line) < 60 for line in progress)
    lines = printed.splitlines()
    assert "0/5 cells, 1 failed  FAILED: Set / method 0 / seed 0: broken" in lines
    assert lines[-1].strip() == ""  # nothing stays of the progress line


def test_nothing_is_known_at_first(make_cell):
    board = Board(3, 0, {})
    assert board.seconds_left([(make_cell(), 5.0)], [None], [make_cell()]) is None


def test_cells_take_what_finished_ones_of_their_method_took(make_cell):
    board = Board(4, 2, {"A": [100.0, 200.0], "B": [30.0]})
    running = [(make_cell("A"), 50.0)]
    waiting = [make_cell("B"), make_cell("unknown")]
    usual = (100 + 200 + 30) / 3
    assert board.seconds_left(running, [None], waiting) == pytest.approx(100 + 30 + usual)


def test_jobs_share_the_work_but_no_cell_is_shared(make_cell):
    board = Board(3, 0, {"A": [100.0]})
    running = [(make_cell("A"), 0.0), (make_cell("A", 1), 0.0)]
    assert board.seconds_left(running, [None, None], [make_cell("A", 2)]) == pytest.approx(150)
    assert board.seconds_left(running[:1] * 2, [None] * 2, []) == pytest.approx(100)


def test_before_the_first_is_finished_a_running_one_tells(make_cell):
    board = Board(2, 0, {})
    running, early, later = [(make_cell(), 30.0)], (1, 100), (25, 100)
    for (done, total), expected in {early: None, later: 90 + 120}.items():
        at = [TrainingProgress(done, total, 1.0)]
        left = board.seconds_left(running, at, [make_cell(seed=1)])
        assert left == (None if expected is None else pytest.approx(expected))


def test_a_running_cell_knows_better_than_finished_ones(make_cell):
    board = Board(2, 1, {"A": [10.0]})
    left = board.seconds_left([(make_cell(seed=1), 60.0)], [TrainingProgress(50, 100, 1.0)], [])
    assert left == pytest.approx(60)


def test_progress_lines_say_cells_time_and_loss(make_cell, make_result, capsys, monkeypatch):
    cell = make_cell()
    cell.folder.mkdir(parents=True)
    write_progress(cell.folder, 39, eta=30.0)
    monkeypatch.setattr("fed_plugin.benchmark.runner.SECONDS_BETWEEN_LINES", {False: 0})
    board = Board(3, 1, {"A": [60.0]})
    board.begin(cell)
    board.show([(cell, 20.0)], [])
    board.end(cell, make_result(37.5), 61.0, "")
    board.end(make_cell("B"), None, 2.0, "broken")
    begun, shown, done, failed = capsys.readouterr().err.splitlines()
    assert begun == "1/3 cells  begins: Set / A / seed 0"
    assert re.fullmatch(r"1/3 cells  0:00:\d\d, ETA 0:00:30  A/Set/seed0 40/100 loss 3\.25", shown)
    assert done == "2/3 cells  done: Set / A / seed 0: Rank-1 37.5, mAP 37.5 (0:01:01)"
    assert failed == "2/3 cells, 1 failed  FAILED: Set / B / seed 0: broken"
