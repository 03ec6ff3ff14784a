"""What the scripts of ``benchmarks/speed`` share: turns, ratios, drawn people. Nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = str(Path(__file__).parents[1] / "benchmarks" / "speed")


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import drawn_people
    import interleaved

    yield interleaved, drawn_people
    for name in ("drawn_people", "interleaved"):
        sys.modules.pop(name)


def test_steps_take_turns_and_ratios_are_of_the_same_rounds(scripts, monkeypatch):
    interleaved, _ = scripts
    now, order = [0.0], []
    monkeypatch.setattr(interleaved, "CLOCKS", {"wall": lambda: now[0], "cpu": lambda: now[0] / 2})

    def step(name, factor):
        order.append(name)
        now[0] += factor * len(order)  # a machine that becomes slower and slower

    steps = {"a": lambda: step("a", 1), "b": lambda: step("b", 2)}
    taken = interleaved.in_turns(steps, rounds=2, warm_up=1, progress=False)
    assert "".join(order) == "abbaab"
    assert taken["a"] == {"wall": [4, 5], "cpu": [2, 2.5]} and taken["b"]["wall"] == [6, 12]
    found = interleaved.compared(taken, "a")
    assert found["b"]["ratio"] == {"min": 1.5, "median": 1.95, "max": 2.4}
    assert found["b"]["ratio_of_minima"] == {"wall": 1.5}
    assert "1.950 (1.500-2.400)" in interleaved.print_table(found, "ms")


def test_a_record_says_command_and_machine_but_no_path(scripts, monkeypatch, tmp_path):
    interleaved, _ = scripts
    monkeypatch.setattr(sys, "argv", [f"{SCRIPTS}/ranking.py", "--rounds", "3"])
    path = interleaved.write_row("a", "target", "floor", {"x": 1}, tmp_path / "results")
    assert '"command": "python benchmarks/speed/ranking.py --rounds 3"' in path.read_text()
    assert interleaved.resident() <= interleaved.peak_resident()


def test_drawn_people_have_the_spread_that_was_measured(scripts):
    _, drawn_people = scripts
    crowd, pids = drawn_people.Crowd(300, width=1024), np.arange(300)
    one, another = (crowd.images(pids, np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-6)
    similar, other = one @ another.T, ~np.eye(300, dtype=bool)
    share = [float((x**2).sum()) for x in (crowd.mean, crowd.between, crowd.within)]
    same = (share[0] + share[1]) / sum(share)
    assert np.diag(similar).mean() == pytest.approx(same, abs=0.02)
    assert similar[other].mean() == pytest.approx(share[0] / sum(share), abs=0.02)
