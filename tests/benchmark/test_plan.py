"""Plans are checked to the last key before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_plugin.benchmark.plan import read_plan

WHOLE = """
name: ours
datasets: [SynthOcc]
methods:
  FED + NPO:
    config: synthocc_vit_tiny
    overrides: {SOLVER: {MAX_EPOCH: 2, OPT: Adam}, INPUT.SIZE_TRAIN: [96, 48]}
  random: {untrained: true, config: stock.yml}
  theirs: {dump: "{dataset}_{seed}.npz"}
seeds: [0, 2]
overrides: {TEST.EVAL_PERIOD: 1}
out: somewhere
"""


@pytest.fixture
def read(tmp_path):
    """Read a plan of this text, in a folder that holds ``stock.yml``."""
    (tmp_path / "stock.yml").write_text("SOLVER: {MAX_EPOCH: 1}\n")

    def read(text):
        path = tmp_path / "plan.yml"
        path.write_text(text)
        return read_plan(path)

    return read


def test_a_plan_says_methods_data_sets_and_seeds(read, tmp_path):
    plan = read(WHOLE)
    assert (plan.name, plan.seeds, plan.out) == ("ours", (0, 2), Path("somewhere"))
    assert plan.overrides == {"TEST.EVAL_PERIOD": 1}
    fed, random, theirs = plan.methods
    assert [method.kind for method in plan.methods] == ["trained", "untrained", "dump"]
    assert fed.folder == "FED_+_NPO" and fed.source.endswith("synthocc_vit_tiny.yml")
    assert fed.overrides == {
        "SOLVER.MAX_EPOCH": 2,
        "SOLVER.OPT": "Adam",
        "INPUT.SIZE_TRAIN": [96, 48],
    }
    assert random.source == str(tmp_path / "stock.yml")
    assert theirs.source.endswith("{dataset}_{seed}.npz")
    (dataset,) = plan.datasets
    assert (dataset.name, dataset.train) == ("SynthOcc", ("SynthOcc",))


def test_most_keys_have_defaults(read):
    plan = read("datasets: [SynthOcc]\nmethods: {FED: {config: synthocc_vit_tiny}}\n")
    assert (plan.name, plan.seeds, plan.overrides) == ("plan", (0,), {})
    assert plan.out == Path("logs/benchmark/plan")


def test_a_data_set_may_be_tested_after_training_on_others(read):
    methods = "methods: {FED: {config: synthocc_vit_tiny}}"
    train = "{train: [Market1501], overrides: {A.B: 1}}"
    plan = read(f"datasets: {{Occluded_REID: {train}, SynthOcc: }}\n{methods}")
    transfer, usual = plan.datasets
    assert transfer.train == ("Market1501",) and transfer.overrides == {"A.B": 1}
    assert usual.train == ("SynthOcc",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "name: ours",
            "nmae: ours",
            r"yml: expected no key 'nmae', only 'datasets', 'me",
        ),
        ("name: ours", "name: ours\nname: mine", "'name' stands there twice"),
        ("name: ours", "name: {", "expected YAML"),
        (
            "datasets: [SynthOcc]",
            "",
            "yml: expected the key 'datasets', got 'name'",
        ),
        (
            "datasets: [SynthOcc]",
            "datasets: SynthOcc",
            "datasets: expected names, .* got 'Synth",
        ),
        (
            "datasets: [SynthOcc]",
            "datasets: []",
            r"datasets: expected names, such as .*, got \[\]",
        ),
        ("[SynthOcc]", "[SynthOcc, SynthOcc]", "datasets: 'SynthOcc' stands there twice"),
        (
            "[SynthOcc]",
            "[../x]",
            "datasets: expected letters, .* name, got '../x'",
        ),
        (
            "[SynthOcc]",
            "[1]",
            "datasets: .* got 1; try putting a number in quotes",
        ),
        (
            "[SynthOcc]",
            "{SynthOcc: {tests: x}}",
            r"datasets\.SynthOcc: expected no key 'tests'",
        ),
        (
            "config: stock",
            "weights: a, config: stock",
            r"methods\.random: expected no key 'weights'",
        ),
        (
            "untrained: true",
            "untrained: 1",
            r"random: untrained: expected true, got 1",
        ),
        (
            "stock.yml",
            "gone.yml",
            r"methods\.random\.config: no such file; expected .* installed configs in",
        ),
        ("  random:", "  FED_+_npo:", "'fed_._npo' stands there twice"),
        ("  random:", "  FED + NPO:", "'FED . NPO' stands there twice"),
        (
            "{dump:",
            "{config: stock.yml, dump:",
            r"methods\.theirs: expected no key 'config', o",
        ),
        ("OPT: Adam}", "OPT: Adam}, SOLVER.OPT: SGD", "overrides: SOLVER.OPT stands there twice"),
        ("{TEST.EVAL_PERIOD: 1}", "{SEED: 1}", "overrides: SEED: the benchmark sets it"),
        ("{TEST.EVAL_PERIOD: 1}", "{DATASETS: {NAMES: [x]}}", "overrides: DATASETS.NAMES: the"),
        (
            "{TEST.EVAL_PERIOD: 1}",
            "[A, 1]",
            "overrides: expected KEY: VALUE, .*, got .",
        ),
        ("[0, 2]", "[0, 0]", "seeds: 0 stands there twice"),
        ("[0, 2]", "[0, true]", r"seeds: expected numbers from 0, .*, got .0, True"),
        ("[0, 2]", "[-1]", r"seeds: expected numbers from 0, .*, got .-1"),
        ("[0, 2]", "[]", r"seeds: expected numbers from 0, such as \[0, 1, 2\], got \[\]"),
        (
            "out: somewhere",
            "out: 3",
            "out: expected text, in quotes if .*, got 3",
        ),
        ("  random:", "  ../x:", "methods: expected letters, .* got '../x'"),
        ("  random:", "  3:", "methods: expected letters, .* got 3"),
        (
            "{untrained: true, config: stock.yml}",
            "stock.yml",
            "random: expected an object, got 's",
        ),
        (
            "config: stock.yml}",
            "config: [stock.yml]}",
            "config: expected text, .*, got .'s",
        ),
        (
            ", config: stock.yml",
            "",
            "random: expected the key 'config'",
        ),
    ],
)
def test_a_wrong_key_or_value_is_named(read, old, new, message):
    assert old in WHOLE
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(WHOLE.replace(old, new, 1))


def test_only_the_whole_key_is_the_benchmarks(read):
    plan = read(WHOLE.replace("OPT: Adam", "SEED: 1"))
    assert plan.methods[0].overrides["SOLVER.SEED"] == 1


def test_one_dump_cannot_be_of_two_data_sets(read):
    with pytest.raises(ValueError, match=r"theirs\.dump: .* expected \{dataset\} in its path"):
        read(WHOLE.replace("[SynthOcc]", "[SynthOcc, Other]").replace("{dataset}_", ""))


def test_a_plan_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.yml: no such file; expected a plan"):
        read_plan(tmp_path / "gone.yml")
