from __future__ import annotations

from contextlib import nullcontext

from fed_plugin.robustness import command
from fed_plugin.robustness.command import cell_progress


def test_progress_says_when_all_cells_are_done(monkeypatch):
    calls, clock = [], iter([0.0, 30.0])
    line = nullcontext(lambda *words: calls.append(words))
    monkeypatch.setattr(command, "ProgressLine", lambda what: line)
    monkeypatch.setattr(command.time, "perf_counter", lambda: next(clock))
    with cell_progress(1, 4, "SynthOcc / A / seed 0") as progress:
        progress(50, 100)
    # half a minute of this one, a minute of each other
    assert calls == [(50, 100, "all cells: ETA 0:02:30")]
