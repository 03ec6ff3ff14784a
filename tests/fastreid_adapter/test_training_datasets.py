"""What an evaluation would stumble over is said before the training."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import pytest
from fastreid.utils import comm
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter.config_files import find_config, read_config
from fed_plugin.fastreid_adapter.training import (
    check_before_training,
    check_datasets,
    fit_to_images,
)


def test_names_and_test_sets_that_are_there_pass(tiny_cfg, on_synthocc):
    check_datasets(tiny_cfg())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("NAMES", "('SynthOc',)", r"DATASETS.NAMES='SynthOc': expected one of .*; try SynthOcc$"),
        ("TESTS", "('Marked1501',)", r"DATASETS.TESTS='Marked1501': .*; try Market1501$"),
        ("NAMES", "('qqqqqqqqqqqq',)", r"DATASETS.NAMES='qqqqqqqqqqqq': expected one of \w+.*\w$"),
        ("NAMES", "()", r"DATASETS.NAMES=\(\): expected a data set to train on; try SynthOcc"),
    ],
)
def test_a_wrong_name_is_refused_with_its_key(tiny_cfg, on_synthocc, key, value, message):
    with pytest.raises(ValueError, match=message):
        check_datasets(tiny_cfg(f"DATASETS.{key}", value))


def test_a_missing_test_set_is_found_before_the_training(tiny_cfg, on_synthocc):
    cfg = tiny_cfg("DATASETS.TESTS", "('SynthOcc', 'Occluded_REID')")
    with pytest.raises(FileNotFoundError, match="Occluded_REID"):
        check_datasets(cfg)


def test_own_data_without_queries_are_no_test_set(tiny_cfg, on_synthocc, tmp_path):
    table = tmp_path / "own.csv"
    images = sorted((on_synthocc / "SynthOcc" / "bounding_box_train").iterdir())
    rows = [f"{path},{path.name[:4]},train" for path in images]
    table.write_text("\n".join(["path,pid,split", *rows]))
    own = ["DATASETS.FOLDER_REID.ROOT", str(table), "DATASETS.NAMES", "('FolderReID',)"]
    check_datasets(tiny_cfg(*own))
    with pytest.raises(ValueError, match="expected query images"):
        check_datasets(tiny_cfg(*own, "DATASETS.TESTS", "('FolderReID',)"))


@pytest.fixture
def own_folder(tmp_path):
    """Draw a folder per person; return it."""

    def draw(people, images, broken=()):
        rng = np.random.default_rng(0)
        for person in range(people):
            for number in range(images):
                path = tmp_path / "own" / f"p{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (16, 8, 3), np.uint8)
                Image.fromarray(pixels).resize((48, 96)).save(path)
        for name in broken:
            (tmp_path / "own" / name).write_bytes(b"not a picture")
        return tmp_path / "own"

    return draw


def train_on(folder, *words):
    own = '("FolderReID",)'
    return [
        *("train", "--config-file", "synthocc_vit_tiny", "DATASETS.NAMES", own),
        *("DATASETS.TESTS", own, "DATASETS.FOLDER_REID.ROOT", str(folder)),
        *("OUTPUT_DIR", str(folder.parent / "run"), "DATALOADER.NUM_WORKERS", "0", *words),
    ]


def suggested(text):
    """Return the keys and values that a message suggests."""
    return [word for line in re.findall(r"; try ([A-Z]+\..*)", text) for word in line.split()]


def test_all_faults_of_a_first_training_come_together_and_their_suggestions_work(
    own_folder, run_python, capsys
):
    folder = own_folder(8, 4, ["p0/0.png", "p1/2.png"])
    short = ["SOLVER.MAX_EPOCH", "3", "SOLVER.CHECKPOINT_PERIOD", "3", "TEST.EVAL_PERIOD", "3"]
    words = train_on(folder, *short)
    assert main([*words, "MODEL.FED.NUM_PARTS", "3"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "error: 5 faults:\n  - MODEL.FED.NUM_PARTS=3: expected a divisor of the 8"
    )
    for part in (
        "NUM_NEIGHBORS=8: expected fewer than the 4 training identities; try",
        "SOLVER.IMS_PER_BATCH=32",
        "SOLVER.MAX_EPOCH=3 of 1 iterations is shorter than its warm-up",
        f"cannot read image {folder}/p0/0.png",
        f"cannot read image {folder}/p1/2.png",
    ):
        assert part in said
    assert not (folder.parent / "run").exists()
    for name in ("p0/0.png", "p1/2.png"):
        (folder / name).unlink()
    done = run_python("-m", "fed_plugin", *words, *suggested(said), root=folder.parent, timeout=120)
    assert "p0 is 0, p1 is 1" in (folder.parent / "run" / "log.txt").read_text()
    assert "Total training time" in done.stdout


def test_values_that_no_key_takes_are_named_together_before_data(capsys):
    words = train_on(Path("gone"), "MODEL.FED.MEMORY.MOMENTUM", "1.5", "INPUT.NPO.PROB", "-1.0")
    assert main(words) == 1
    said = capsys.readouterr().err
    assert (
        "error: 2 faults:\n  - INPUT.NPO.PROB=-1.0: " in said and "\n  - MODEL.FED.MEMORY" in said
    )
    assert "gone" not in said


def test_a_division_that_leaves_one_person_gets_another_seed(own_folder, tiny_cfg):
    folder = own_folder(3, 2)
    own = ("DATASETS.NAMES", "('FolderReID',)", "DATASETS.TESTS", "('FolderReID',)")
    root = ("DATASETS.FOLDER_REID.ROOT", str(folder))
    seeds = [("DATASETS.FOLDER_REID.SPLIT_SEED", seed) for seed in range(9)]
    messages = []
    for seed in seeds:
        cfg = tiny_cfg(*own, *root, *seed, "MODEL.HEADS.NUM_CLASSES", 0)
        with pytest.raises(ValueError, match="IMS_PER_BATCH") as error:
            check_before_training(cfg)
        cfg.merge_from_list(suggested(str(error.value)))
        check_before_training(cfg)
        messages.append(str(error.value))
    assert any("leaves 1 identity to train on; try DATASETS.FOLD" in text for text in messages)


def test_the_suggestions_for_any_small_data_fit(monkeypatch):
    draw = random.Random(0)
    leaves = ("synthocc_vit_tiny", "synthocc_vit_tiny_baseline")
    configs = [read_config(find_config(leaf), []) for leaf in leaves]
    solved = 0
    for _ in range(200):
        ranks = draw.choice([1, 1, 2, 4])
        monkeypatch.setattr(comm, "get_world_size", lambda ranks=ranks: ranks)
        cfg = draw.choice(configs).clone()
        choices = {
            "SOLVER.IMS_PER_BATCH": (1, 2, 6, 7, 16, 30, 64),
            "DATALOADER.NUM_INSTANCE": (1, 2, 3, 4, 8),
            "SOLVER.MAX_EPOCH": (1, 2, 3, 24),
            "SOLVER.WARMUP_ITERS": (0, 3, 50, 5000),
            "SOLVER.DELAY_EPOCHS": (0, 0, 3, 30),
            "DATALOADER.SAMPLER_TRAIN": ("NaiveIdentitySampler", "BalancedIdentitySampler"),
            "TEST.EVAL_PERIOD": (0, 1, 10),
        }
        cfg.merge_from_list([word for key in choices for word in (key, draw.choice(choices[key]))])
        people = range(draw.randint(1, 9))
        items = [(f"{p}_{i}", p, 0) for p in people for i in range(draw.randint(1, 5))]
        sentences, keys = fit_to_images(cfg, items)
        if any("try more training images" in sentence for sentence in sentences):
            continue
        assert all("; try " in sentence for sentence in sentences)
        cfg.merge_from_list([word for pair in keys.items() for word in pair])
        assert fit_to_images(cfg, items) == ([], {})
        solved += 1
    assert solved > 150
