"""Config files: read, or refused in one line that names the file and the key."""

from __future__ import annotations

import os

import pytest

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter.config_files import read_config

PLANTED = "SEED: !!python/object/apply:os.system ['touch it_ran']\n"


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """Write ``bad.yml`` into the working directory; return its name."""
    monkeypatch.chdir(tmp_path)

    def write(content):
        (tmp_path / "bad.yml").write_bytes(content.encode("latin-1"))
        return "bad.yml"

    return write


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "# later\n",
            "- 1\n",
            "42\n",
            "MODEL:\n\tDEVICE: cpu\n",
            "A: {",
            "SEED: 1\n---\n{}\n",
        ),
        *("\0\0", "caf\xe9: 1\n", "[" * 5000, "SEED: !nobody 1\n", "? [a]\n: 1\n", "1: 2\n"),
        *("SEED: 2024-13-45\n", "_BASE_: 3\n", "_BASE_: [a]\n", "_BASE_:\n", "_BASE_: bad.yml\n"),
        *("_BASE_: .\n", PLANTED),
    ],
)
def test_a_file_that_is_no_config_is_named_in_one_line(bad, content):
    with pytest.raises(ValueError, match=r"^bad\.yml: expected YAML of KEY: VALUE") as caught:
        read_config(bad(content), [])
    assert "\n" not in str(caught.value) and not os.path.exists("it_ran")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        ("SEEED: 1\n", KeyError, r"bad\.yml: Non-existent config key: SEEED"),
        ("SEED: one\n", ValueError, r"bad\.yml: SEED=one: expected int, such as -1, got str"),
        ("MODEL: 3\n", ValueError, r"bad\.yml: MODEL: expected keys below it, got 3"),
        ("MODEL:\n", ValueError, r"bad\.yml: MODEL: expected keys below it, got None"),
        ("SEED:\n  A: 1\n", ValueError, r"bad\.yml: SEED: expected a value such as -1, got keys"),
        ("_BASE_: nowhere.yml\n", FileNotFoundError, r"bad\.yml: .*nowhere\.yml is not there"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(bad, content, kind, message):
    with pytest.raises(kind, match=message) as caught:
        read_config(bad(content), [])
    assert "\n" not in str(caught.value)


def test_a_wrong_override_is_named(bad):
    with pytest.raises(ValueError, match=r"^overrides: SEED=one: expected int, such as 1"):
        read_config(bad("SEED: 1\n"), ["SEED", "one"])
    with pytest.raises(ValueError, match=r"^overrides: .*BASE_LR=1: .* try 1\.0$"):
        read_config(bad("SEED: 1\n"), ["SOLVER.BASE_LR", "1"])


@pytest.mark.parametrize(
    "words", [["train", "--config-file"], ["show", "augment", "--config-file"]]
)
def test_planted_yaml_does_not_run_under_any_command(bad, capsys, words):
    assert main([*words, bad(PLANTED)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: bad.yml: expected YAML") and "Traceback" not in error
    assert not os.path.exists("it_ran")
