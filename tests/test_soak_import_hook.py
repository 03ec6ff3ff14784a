"""The import hook in the situations of ``tests/soak``, without its mounts and hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPTS = str(Path(__file__).parents[1] / "tests" / "soak")
sys.path.insert(0, SCRIPTS)
try:
    from hook_environment import Environment, build_wheel
    from hook_judge import Situation, judge
    from hook_places import read_only_mount
    from hook_situations import SITUATIONS
finally:
    sys.path.remove(SCRIPTS)

ELSEWHERE = ("multiprocessing", "python -I", "python -S", "no fast-reid", "is gone, its .pth")
"""Tested in test_packaging.py or test_projects_registry.py."""
HERE = [s for s in SITUATIONS if not any(words in s.name for words in ELSEWHERE)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize("situation", HERE, ids=lambda situation: situation.name)
def test_python_starts_and_the_user_reads_one_line(situation, wheel, tmp_path):
    assert judge(situation, Environment(tmp_path, wheel)).wrong == ()


def test_a_site_packages_that_cannot_be_written_to_is_no_matter(wheel, tmp_path):
    outcome = read_only_mount(tmp_path, wheel)
    if outcome is None:
        pytest.skip("this machine lets nobody mount")
    assert outcome.wrong == ()


def test_an_outcome_other_than_the_expected_is_reported(wheel, tmp_path):
    unexpected = Situation("a host that does load the project", prints="[]\n", reads="^a warning$")
    printed, said = judge(unexpected, Environment(tmp_path, wheel)).wrong
    assert printed.startswith("printed") and said.startswith("said")
