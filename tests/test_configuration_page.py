"""docs/configuration.md holds every key that is declared, with the words beside its declaration."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from fed_plugin.fastreid_adapter.config import KINDS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location(
        "configuration_page", ROOT / "benchmarks" / "configuration_page.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(page, capsys):
    assert page.main(["--check"]) == 0, capsys.readouterr().out


def test_every_key_that_is_checked_has_one_row(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert {key: text.count(f"\n| `{key}` |") for key in KINDS} == dict.fromkeys(KINDS, 1)


def test_an_older_page_is_told_and_written_anew(page, tmp_path, monkeypatch, capsys):
    current = page.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", tmp_path / "configuration.md")
    page.PAGE.write_text(current.replace("| `4` |", "| `5` |", 1), encoding="utf-8")
    assert page.main(["--check"]) == 1
    assert "try `python benchmarks/configuration_page.py`" in capsys.readouterr().out
    assert page.main([]) == 0
    assert page.PAGE.read_text(encoding="utf-8") == current


def test_a_key_without_words_is_refused(page):
    source = ["# The seed.", "cfg.SEED = 1", "cfg.OTHER = 2"]
    assert page.meaning(2, source) == "The seed."
    with pytest.raises(ValueError, match=r"config.py:3: expected a comment above 'cfg.OTHER = 2'"):
        page.meaning(3, source)


def test_words_values_and_leaves_are_those_of_the_source(page):
    rows = page.table("MODEL.FED").splitlines()
    (row,) = [row for row in rows if row.startswith("| `MODEL.FED.OEM.TARGET` |")]
    assert "| `'reference'` | one of 'reference', 'coverage' | Visibility target: " in row
    assert row.endswith("| `coverage` in `*_fed_plus` |")
