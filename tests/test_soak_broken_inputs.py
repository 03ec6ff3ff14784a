"""A few of the broken inputs of ``tests/soak``, some of every category."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tests" / "soak"
SAMPLE = 33


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    monkeypatch.syspath_prepend(str(FOLDER))
    from corpus import all_cases

    yield all_cases()
    for name in [name for name in sys.modules if name.partition(".")[0] == "corpus"]:
        del sys.modules[name]


def test_there_are_at_least_300_of_them_and_each_has_a_name_of_its_own(cases):
    names = [case.name for case in cases]
    assert len(names) >= 300 and len(set(names)) == len(names)


def test_every_one_that_must_be_refused_says_what_the_sentence_has_to_name(cases):
    assert [case.name for case in cases if case.ends == "refused" and not case.says] == []


def test_a_sample_of_every_category_ends_in_a_run_or_a_sentence(run_python, tmp_path):
    script = FOLDER / "broken_inputs.py"
    result = run_python(script, "--sample", SAMPLE, root=tmp_path, check=False, timeout=240)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert result.stdout.splitlines()[-1].startswith("all\t")
