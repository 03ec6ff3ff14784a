"""Who runs when, and what a machine that changes its speed does to the ratios."""

from __future__ import annotations

import pytest

from fed_plugin.costs.measure import ratios, spread, time_in_turns


class Machine:
    """A clock that work moves on, by more and more: the machine gets slower."""

    def __init__(self, slower=1.0):
        self.now, self.slower, self.speed, self.ran = 0.0, slower, 1.0, []

    def step(self, name, seconds):
        def run():
            self.ran.append(name)
            self.now += seconds * self.speed
            if len(self.ran) % 3 == 0:
                self.speed *= self.slower

        return run


def timed(machine, rounds):
    steps = {
        name: machine.step(name, seconds) for name, seconds in {"a": 1, "b": 2, "c": 5}.items()
    }
    said = []
    seconds = time_in_turns(steps, rounds, said.append, clock=lambda: machine.now)
    assert said == machine.ran
    return seconds


def test_methods_take_turns_and_every_second_round_runs_backwards():
    machine = Machine()
    seconds = timed(machine, 3)
    assert "".join(machine.ran) == "abc" + "cba" + "abc"
    assert seconds == {"a": [1] * 3, "b": [2] * 3, "c": [5] * 3}


def test_a_machine_that_slows_down_changes_no_ratio():
    seconds = timed(Machine(slower=1.7), 5)
    assert seconds["a"][-1] > 8 * seconds["a"][0]
    found = ratios(seconds["c"], seconds["a"])
    assert found == pytest.approx({"median": 5.0, "min": 5.0, "max": 5.0})


def test_the_baseline_beside_itself_is_one():
    assert ratios([0.3, 0.1], [0.3, 0.1]) == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_ratios_are_of_the_same_rounds():
    assert ratios([2.0, 9.0, 4.0], [1.0, 3.0, 1.0]) == {"median": 3.0, "min": 2.0, "max": 4.0}
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}
