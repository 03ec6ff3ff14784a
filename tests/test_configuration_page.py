"""docs/configuration.md and docs/config.schema.json hold every row of the table of keys."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path

import pytest

from fed_plugin.fastreid_adapter.config import HOST, KEYS, OWN_KEYS, fits

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
    rows = Counter(key.path for key in KEYS)
    assert {path: text.count(f"\n| `{path}` |") for path in rows} == rows


def test_an_older_page_is_named_and_written_again(page, tmp_path, monkeypatch, capsys):
    current = page.PAGE.read_text(encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", tmp_path / "configuration.md")
    monkeypatch.setattr(page, "SCHEMA", tmp_path / "config.schema.json")
    page.PAGE.write_text(current.replace("| `4` |", "| `5` |", 1), encoding="utf-8")
    assert page.main(["--check"]) == 1
    output = capsys.readouterr().out
    assert output.count("try `python benchmarks/configuration_page.py`") == 2
    assert page.main([]) == 0
    assert page.PAGE.read_text(encoding="utf-8") == current
    assert page.SCHEMA.read_text(encoding="utf-8") == page.schema()


def described(schema, path):
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def test_an_editor_gets_words_default_and_range_of_every_key(page):
    schema = json.loads(page.SCHEMA.read_text(encoding="utf-8"))
    for path, key in OWN_KEYS.items():
        entry = described(schema, path)
        assert entry["description"].startswith(key.words), path
        assert fits(entry, key.default) and fits(entry, entry["default"]), path
        assert not fits(entry, None), path
    assert described(schema, "MODEL.FED.OEM.TARGET")["enum"] == ["reference", "coverage"]
    assert described(schema, "MODEL.FED")["additionalProperties"] is False
    assert "additionalProperties" not in described(schema, "MODEL")


def refusals(schema, content, place=""):
    for name, value in content.items():
        known = schema["properties"].get(name)
        if known is None:
            yield from [f"{place}{name}"] * ("additionalProperties" in schema)
        elif "properties" in known:
            yield from refusals(known, value, f"{place}{name}.")
        elif not fits(known, value):
            yield f"{place}{name}"


def test_the_leaves_pass_in_an_editor_and_a_misspelt_key_or_value_does_not(page):
    schema = json.loads(page.SCHEMA.read_text(encoding="utf-8"))
    for leaf in page._leaves().values():
        assert list(refusals(schema, leaf)) == []
    wrong = {"SEED": "one", "MODEL": {"FED": {"OEM": {"TARGETT": "coverage", "TARGET": "soft"}}}}
    assert sorted(refusals(schema, wrong)) == [
        "MODEL.FED.OEM.TARGET",
        "MODEL.FED.OEM.TARGETT",
        "SEED",
    ]


def test_rows_that_only_one_reader_checks_name_the_reader(page):
    rows = page.table("host")
    assert rows.count("\n| `") == sum(key.default is HOST for key in KEYS)
    assert "| `MODEL.HEADS.NAME` | 'FEDHead' | Head of FED. | META_ARCHITECTURE FED |" in rows


def test_words_values_and_leaves_are_those_of_the_source(page):
    rows = page.table("MODEL.FED").splitlines()
    (row,) = [row for row in rows if row.startswith("| `MODEL.FED.OEM.TARGET` |")]
    assert "| `'reference'` | one of 'reference', 'coverage' | Visibility target: " in row
    assert row.endswith("| `coverage` in `*_fed_plus` |")
