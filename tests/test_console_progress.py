"""Progress is a bar on a terminal, a line every 15 s elsewhere, and a clean line after Ctrl-C."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fed_plugin import console
from fed_plugin.console import ProgressLine

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "perf_counter", lambda: now[0])
    return now


def test_off_a_terminal_a_line_is_printed_every_15_seconds_and_at_the_end(clock, capsys):
    with ProgressLine("describing") as progress:
        for done in range(1, 41):
            clock[0] += 1
            progress(done, 40, "0001.jpg")
    output = capsys.readouterr()
    assert output.out == "" and "\r" not in output.err
    assert output.err.splitlines() == [
        "describing  15/40  00:15, ETA 00:25, 0001.jpg",
        "describing  30/40  00:30, ETA 00:10, 0001.jpg",
        "describing  40/40  00:40, ETA 00:00, 0001.jpg",
    ]


def test_short_work_is_one_line_and_the_end_is_printed_once(clock, capsys):
    progress = ProgressLine("ranking")
    for _ in range(3):
        progress(2, 2)
    assert capsys.readouterr().err == "ranking  2/2  00:00, ETA ?\n"


def test_nothing_done_has_no_eta(clock, capsys):
    progress = ProgressLine("ranking")
    clock[0] += 20
    progress(0, 10)
    assert capsys.readouterr().err == "ranking  0/10  00:20, ETA ?\n"


def on_a_terminal(code):
    """Return everything that a program writes to a terminal, and its exit status."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=follower, stdout=follower, env=ENVIRONMENT
    )
    os.close(follower)
    content = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:  # the last writer is gone
            break
        if not block:
            break
        content += block
    os.close(leader)
    return content.decode(), process.wait()


def test_on_a_terminal_a_bar_moves_on_one_line():
    code = """
import time
from fed_plugin.console import ProgressLine
with ProgressLine("drawing") as progress:
    for done in range(1, 6):
        time.sleep(0.25)
        progress(done, 5, "people")
print("after")
"""
    text, status = on_a_terminal(code)
    assert status == 0 and "\nafter" in text
    bars = text.partition("\nafter")[0]
    assert "\n" not in bars.strip() and bars.count("\r") > 3
    assert "drawing  5/5" in bars and "people" in bars.split("\r")[-2]


def test_ctrl_c_leaves_the_last_state_on_a_line_of_its_own():
    code = """
from fed_plugin.console import ProgressLine, one_sentence_for_mistakes
with one_sentence_for_mistakes("run it again") as outcome, ProgressLine("drawing") as progress:
    progress(1, 5)
    progress(2, 5)
    raise KeyboardInterrupt
raise SystemExit(outcome.status)
"""
    text, status = on_a_terminal(code)
    assert status == 130
    *_, state, message = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    assert state.split("\r")[-1].startswith("drawing  2/5")
    assert message == "interrupted; run it again"


def test_a_line_may_be_asked_for_again_and_again_at_little_cost(capsys):
    progress = ProgressLine("counting")
    start = time.perf_counter()
    for done in range(20_000):
        progress(done, 30_000)
    assert time.perf_counter() - start < 5
    assert capsys.readouterr().err == ""
