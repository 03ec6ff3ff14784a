"""Short forms of ``tests/soak``: what ``make soak`` does for minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "tests" / "soak"


@pytest.fixture
def break_things(run_python, tmp_path):
    """Run a script of the soak, which has to end well; return its record."""

    def run(name, *words):
        run_python(SCRIPTS / f"{name}.py", *words, "--out", tmp_path, root=tmp_path, timeout=400)
        return json.loads((tmp_path / f"{name}.json").read_text())

    return run


def test_killed_trainings_end_bit_identical(break_things):
    record = break_things("kills", "--kills", 8, "--seed", 4)
    kills = {row[0]: row[1] for row in record["rows"]}
    assert sum(kills.values()) == 8 and min(kills.values()) >= 1
    assert record["lost"] == record["differing"] == []


@pytest.mark.parametrize("scene", ["dies", "uneven"])
def test_ranks_that_die_or_get_nothing_to_do(break_things, scene):
    assert break_things("ranks", "--scenes", scene, "--short")["failed"] == []


def test_links_and_writers_at_once(break_things):
    record = break_things("machines", "--only", "planted", "one index")
    assert record["failures"] == [] and [row[1] for row in record["rows"]] == [6, 6]


def test_a_long_run_keeps_its_memory_flat(break_things, tmp_path):
    picture = tmp_path / "long.svg"
    words = ("--steps", 240, "--workers", 1, "--picture", picture)
    assert set(break_things("long_run", *words)["left"].values()) == {0}
    assert picture.stat().st_size > 2000


def test_the_page_shows_what_was_measured():
    subprocess.run([sys.executable, str(SCRIPTS / "page.py"), "--check"], check=True)
