"""YAML that stands for more than it holds is refused before anything is built from it."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).parents[2]))
from fuzzing import BOMBS

from fed_plugin.benchmark.plan import read_plan
from fed_plugin.cli import main
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.files import load_yaml

MORE = {
    **BOMBS,
    "depth of brackets": "[" * 100_000,
    "depth of dashes": "- " * 100_000 + "x",
    "depth of keys": "? " * 50_000 + "x",
    "a list of itself": "a: &a [*a]\n",
    "a map that merges itself": "a: &a {<<: *a}\n",
    "many values": f"a: [{'[],' * 300_000}]",
    "many letters": "x" * 3_000_000,
    "digits": f"SEED: {'9' * 5000}\n",
    "hexadecimal digits": f"SEED: 0x{'f' * 500_000}\n",
    "sixties": f"SEED: {':'.join(['1'] * 100_000)}\n",
    "a tag without its value": "SEED: !!timestamp x\n",
    "an empty number": "SEED: !!int ''\n",
}


@pytest.fixture(autouse=True)
def _little_memory():
    """Let the tests fail, and not the machine, where something grows."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def bad(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(content, name="bad.yml"):
        (tmp_path / name).write_text(content)
        return name

    return write


@pytest.mark.parametrize("content", MORE.values(), ids=MORE)
def test_a_bomb_is_one_short_sentence_for_plans_configs_and_bases(bad, content):
    bad("_BASE_: bad.yml\n", "child.yml")
    name = bad(content)
    for read in (read_plan, lambda path: read_config(path, [])):
        with pytest.raises(ValueError, match=r"^bad\.yml: expected YAML") as caught:
            read(name)
        assert len(str(caught.value)) < 500 and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^child\.yml: expected YAML"):
        read_config("child.yml", [])


def test_a_bomb_ends_every_command_with_status_1(bad, capsys):
    name = bad(BOMBS["maps"])
    for words in (["benchmark", name], ["train", "--config-file", name]):
        assert main(words) == 1
        assert capsys.readouterr().err.startswith("error: bad.yml: expected YAML")


def test_the_host_s_own_reader_is_bounded_too(bad):
    from fastreid.config import CfgNode, get_cfg

    with pytest.raises(yaml.YAMLError, match="more than 20000 values"):
        get_cfg().merge_from_file(bad(BOMBS["lists"]))
    with pytest.raises(yaml.YAMLError, match="part of itself"):
        CfgNode.load_yaml_with_base(bad(MORE["a list of itself"]))


def test_bases_on_each_other_and_pipes_are_refused_at_once(bad):
    bad("_BASE_: b.yml\n", "a.yml")
    bad("_BASE_: ./a.yml\n", "b.yml")
    with pytest.raises(ValueError, match=r"^a\.yml: .*2 files stand on each other with _BASE_"):
        read_config("a.yml", [])
    os.mkfifo("pipe.yml")
    with pytest.raises(ValueError, match=r"got a folder, a pipe or a device, pipe\.yml"):
        read_config(bad("_BASE_: pipe.yml\n"), [])


def test_values_that_no_parser_ends_with_are_refused(bad):
    name = bad("SEED: 1\n")
    for value in ("-" * 100_000 + "1", "(" * 5000, "9" * 5000, "[1]," * 100_000):
        with pytest.raises(ValueError, match=r"^overrides: ") as caught:
            read_config(name, ["SEED", value])
        assert len(str(caught.value)) < 300


def test_usual_yaml_reads_as_before(bad):
    text = "a: &a {x: 1, y: [1, 2.5, yes, ~, 2024-01-02]}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n"
    assert load_yaml(text) == yaml.safe_load(text)
    wide = "\n".join(f"k{i}: {i}" for i in range(9000))
    assert len(load_yaml(wide)) == 9000
    with pytest.raises(yaml.YAMLError, match="'a' stands there twice"):
        load_yaml("a: 1\na: 2\n", refuses_twins=True)
    assert load_yaml("a: 1\na: 2\n") == {"a": 2}
