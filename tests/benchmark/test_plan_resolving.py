"""Configs, data sets and dumps of a plan are looked at before anything runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from fed_plugin.benchmark.plan import make_cells, other_cells, read_plan
from fed_plugin.fastreid_adapter.config_files import find_config
from fed_plugin.retrieval.feature_dump import FeatureDump

PLANS = sorted((Path(__file__).parents[2] / "benchmarks" / "plans").glob("synthocc*.yml"))


@pytest.fixture
def cells_of(tmp_path, on_synthocc):
    """Make the cells of a plan of FED's tiny config; keywords replace the plan's keys."""

    def cells_of(only=(), **keys):
        methods = {"FED": {"config": "synthocc_vit_tiny"}}
        plan = {"datasets": ["SynthOcc"], "methods": methods, "out": str(tmp_path / "out")}
        path = tmp_path / "plan.yml"
        path.write_text(yaml.safe_dump({**plan, **keys}))
        return make_cells(read_plan(path), only)

    return cells_of


@pytest.fixture
def dump_file(tmp_path):
    """Write a dump of two images; ``write(name, **about)`` returns its path."""

    def write(name, **about):
        dump = FeatureDump(
            features=np.eye(2, dtype=np.float32),
            pids=np.array([1, 1]),
            camids=np.array([0, 1]),
            split=np.array(["query", "gallery"]),
            names=np.array(["a.jpg", "b.jpg"]),
            about=about,
        )
        dump.save(tmp_path / name)
        return str(tmp_path / name)

    return write


def test_seeds_are_outermost_and_settings_say_what_matters(cells_of, tmp_path):
    baseline = {"config": "synthocc_vit_tiny_baseline", "overrides": {"SOLVER.MAX_EPOCH": 3}}
    methods = {"FED": {"config": "synthocc_vit_tiny"}, "ViT": baseline}
    cells = cells_of(methods=methods, seeds=[0, 1], overrides={"SOLVER.MAX_EPOCH": 2})
    assert [(cell.method, cell.seed) for cell in cells] == [
        *(("FED", 0), ("ViT", 0)),
        *(("FED", 1), ("ViT", 1)),
    ]
    fed, vit = cells[2], cells[3]
    assert fed.folder == tmp_path / "out" / "SynthOcc" / "FED" / "seed1"
    assert fed.settings["SOLVER.MAX_EPOCH"] == 2 and vit.settings["SOLVER.MAX_EPOCH"] == 3
    assert fed.settings["SEED"] == 1 and fed.settings["DATASETS.TESTS"] == ["SynthOcc"]
    assert "OUTPUT_DIR" not in fed.settings and "MODEL.FED.FDM.NUM_NEIGHBORS" not in fed.settings


def test_the_frozen_config_reads_as_the_plan_says(cells_of, tmp_path):
    from fed_plugin.fastreid_adapter.config_files import read_config

    sizes = {"INPUT.SIZE_TRAIN": [48, 24], "INPUT.SIZE_TEST": [48, 24]}
    (cell,) = cells_of(overrides={**sizes, "MODEL.DEVICE": "cpu"})
    (tmp_path / "frozen.yml").write_text(cell.config_text)
    frozen = read_config(str(tmp_path / "frozen.yml"), [])
    assert cell.source == "synthocc_vit_tiny"  # no path of this machine
    words = [word for pair in sizes.items() for word in pair]
    usual = read_config(find_config(cell.source), [*words, "MODEL.DEVICE", "cpu"])
    usual.merge_from_list(["OUTPUT_DIR", str(cell.folder), "SEED", 0])
    assert frozen == usual


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"overrides": {"MODEL.FED.NUM_PART": 3}}, r"FED on SynthOcc: .*NUM_PART"),
        ({"overrides": {"SOLVER.MAX_EPOCH": "many"}}, r"FED on SynthOcc: .*MAX_EPOCH"),
        (
            {"overrides": {"INPUT.NPO.PROB": 1}},
            r"plan\.yml: FED on SynthOcc: overrides: INPUT\.NPO\.PROB=1: expected float, such as "
            r"[.0-9]+, got int; try 1\.0$",
        ),
        ({"overrides": {"MODEL.FED.NUM_PARTS": 3}}, r"NUM_PARTS=3: expected a divisor"),
        ({"overrides": {"TEST.RERANK.ENABLED": True}}, r"TEST\.RERANK\.ENABLED=True: every method"),
        ({"overrides": {"MODEL.META_ARCHITECTURE": "Mine"}}, r"'Mine': not registered"),
        ({"datasets": ["SynthOk"]}, r"DATASETS.NAMES='SynthOk': expected one of .*; try SynthOcc"),
        ({"datasets": ["Occluded_REID"]}, r"Occluded_REID: .*testing only"),
        ({"datasets": {"SynthOcc": {"train": "Occluded_Duke"}}}, r"Occluded_Duke \(DATASETS"),
        ({"only": ["Fed"]}, r"--only 'Fed': expected methods of .*plan\.yml: \['FED'\]"),
        ({"methods": {"theirs": {"dump": "gone.npz"}}}, r"gone\.npz: no such file"),
    ],
)
def test_what_cannot_run_is_named_before_anything_does(cells_of, tmp_path, keys, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        cells_of(**keys)
    assert not (tmp_path / "out").exists()


def test_a_broken_config_file_is_named(cells_of, tmp_path):
    (tmp_path / "mine.yml").write_text("_BASE_: gone.yml\n")
    with pytest.raises(ValueError, match=r"mine on SynthOcc: .*mine\.yml: .*gone\.yml"):
        cells_of(methods={"mine": {"config": "mine.yml"}})


@pytest.mark.parametrize(
    "text", ["", "x", "[1, 2]", "_BASE_: 3", "_BASE_: config.yml", "a: {", "\x80\x81"]
)
def test_a_file_that_is_no_config_is_named_once(cells_of, tmp_path, text):
    (tmp_path / "config.yml").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="expected YAML of KEY: VALUE") as caught:
        cells_of(methods={"m": {"config": str(tmp_path / "config.yml")}})
    assert str(caught.value).count("config.yml: ") == 1


def test_a_whole_number_for_a_float_in_a_config_file_is_named_with_the_fix(cells_of, tmp_path):
    (tmp_path / "mine.yml").write_text("SOLVER:\n  WEIGHT_DECAY: 0\n")
    with pytest.raises(ValueError, match=r"mine\.yml: SOLVER\.WEIGHT_DECAY=0: .*; try 0\.0$"):
        cells_of(methods={"mine": {"config": "mine.yml"}})


def test_untrained_methods_need_no_training_images(cells_of, synthocc_root, monkeypatch, tmp_path):
    from fastreid.data import build

    root = tmp_path / "datasets" / "SynthOcc"
    root.mkdir(parents=True)
    for split in ("query", "bounding_box_test"):
        (root / split).symlink_to(synthocc_root / "SynthOcc" / split)
    monkeypatch.setattr(build, "_root", str(tmp_path / "datasets"))
    with pytest.raises(ValueError, match="bounding_box_train"):
        cells_of()
    (cell,) = cells_of(methods={"random": {"config": "synthocc_vit_tiny", "untrained": True}})
    assert cell.kind == "untrained"


def test_a_dump_is_one_cell_unless_it_has_seeds(cells_of, dump_file):
    for seed in range(2):
        dump_file(f"SynthOcc_{seed}.npz", dataset="SynthOcc", seed=seed)
    one = cells_of(methods={"theirs": {"dump": "{dataset}_1.npz"}}, seeds=[0, 1])
    assert [cell.seed for cell in one] == [0]
    two = cells_of(methods={"theirs": {"dump": "{dataset}_{seed}.npz"}}, seeds=[0, 1])
    assert [cell.seed for cell in two] == [0, 1]
    assert two[0].settings != two[1].settings  # their hashes


def test_a_dump_of_another_data_set_is_refused(cells_of, dump_file):
    path = dump_file("x.npz", dataset="Market1501")
    with pytest.raises(ValueError, match="a dump of Market1501; expected one of SynthOcc"):
        cells_of(methods={"theirs": {"dump": path}})


def test_the_other_methods_need_not_be_ready(cells_of, tmp_path, dump_file):
    methods = {
        "FED": {"config": "synthocc_vit_tiny"},
        "later": {"dump": "later.npz"},
        "theirs": {"dump": dump_file("x.npz")},
    }
    cells_of(only=["FED"], methods=methods)
    plan = read_plan(tmp_path / "plan.yml")
    assert [cell.method for cell in other_cells(plan, ["FED"])] == ["theirs"]
    assert other_cells(plan, []) == []


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_plans_in_benchmarks_resolve_to_different_cells_of_one_input_size(path, on_synthocc):
    plan = read_plan(path)
    cells = make_cells(plan, [one.name for one in plan.methods if one.kind != "dump"])
    settings = [tuple(sorted(map(str, cell.settings.items()))) for cell in cells]
    kinds = [(cell.kind, *values) for cell, values in zip(cells, settings, strict=True)]
    assert len(set(kinds)) == len(cells) > 2
    assert len({str(cell.settings["INPUT.SIZE_TEST"]) for cell in cells}) == 1
