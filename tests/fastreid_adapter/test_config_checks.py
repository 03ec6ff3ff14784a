"""Keys that contradict each other are refused before data is read, whoever asks for it."""

from __future__ import annotations

import functools
import re
from collections import Counter, deque
from operator import getitem
from pathlib import Path

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build
from fastreid.data.build import DATASET_REGISTRY
from fastreid.data.transforms import build_transforms
from fastreid.engine import DefaultTrainer
from fastreid.modeling import build_model
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.fastreid_adapter import config, config_checks
from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_training,
)
from fed_plugin.fastreid_adapter.config_files import read_config
from fed_plugin.fastreid_adapter.mends.mending import step_names

CONFIGS = Path(__file__).parents[2] / "configs" / "FED"
BASELINE = "synthocc_vit_tiny_baseline"
LEAVES = sorted(CONFIGS.glob("*.yml"))


@pytest.fixture
def no_data(monkeypatch):
    """Fail where a data set is asked for."""
    monkeypatch.setattr(DATASET_REGISTRY, "get", lambda name: pytest.fail(f"looked for {name}"))
    monkeypatch.setattr(build, "_root", "/nowhere")


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda path: path.stem)
def test_every_leaf_agrees_with_itself(leaf):
    cfg = get_cfg()
    cfg.merge_from_file(str(leaf))
    check_config(cfg)
    cfg.MODEL.BACKBONE.PRETRAIN = False
    check_training(cfg)


CONTRADICTIONS = [
    ("MODEL.FED.VIT.PATCH_SIZE=40: expected 32 or fewer pixels", {"MODEL.FED.VIT.PATCH_SIZE": 40}),
    ("MODEL.FED.VIT.NUM_HEADS=5: expected a divisor of 32", {"MODEL.FED.VIT.NUM_HEADS": 5}),
    ("MODEL.FED.VIT.NUM_HEADS=3: expected a divisor of 32", {"MODEL.FED.VIT.NUM_HEADS": 0}),
    ("MODEL.FED.VIT.EMBED_DIM=30: expected a multiple of 4", {"MODEL.FED.VIT.EMBED_DIM": 30}),
    ("MODEL.FED.NUM_PARTS=5: expected a divisor of the 8 rows", {"MODEL.FED.NUM_PARTS": 5}),
    ("MODEL.BACKBONE.STRIDE_SIZE=(0, 8): ", {"MODEL.BACKBONE.STRIDE_SIZE": (0, 8)}),
    ("MODEL.BACKBONE.STRIDE_SIZE=(8,): ", {"MODEL.BACKBONE.STRIDE_SIZE": (8,)}),
    ("MODEL.BACKBONE.DROP_PATH_RATIO=1.0: ", {"MODEL.BACKBONE.DROP_PATH_RATIO": 1.0}),
    ("MODEL.BACKBONE.DROP_RATIO=nan: ", {"MODEL.BACKBONE.DROP_RATIO": float("nan")}),
    ("MODEL.BACKBONE.ATT_DROP_RATE=-0.5: ", {"MODEL.BACKBONE.ATT_DROP_RATE": -0.5}),
    ("MODEL.BACKBONE.DEPTH='huge': expected one of", {"MODEL.BACKBONE.DEPTH": "huge"}),
    ("MODEL.BACKBONE.NAME='vgg': expected 'build_fed_vit", {"MODEL.BACKBONE.NAME": "vgg"}),
    (
        "MODEL.FED.GLOBAL_TOKEN='first_patch': MODEL.BACKBONE.NAME build_resnet_backbone makes",
        {"MODEL.BACKBONE.NAME": "build_resnet_backbone"},
    ),
    (
        "MODEL.FED.GLOBAL_TOKEN='first_patch': MODEL.BACKBONE.NAME timm:resnet18 makes a map",
        {"MODEL.BACKBONE.NAME": "timm:resnet18", "MODEL.BACKBONE.STRIDE_SIZE": (0, 0)},
    ),
    (
        "MODEL.BACKBONE.NAME='resnet19': timm has no such model; expected one of timm.list_models",
        {"MODEL.BACKBONE.NAME": "timm:resnet19"},
    ),
    (
        "MODEL.BACKBONE.STRIDE_SIZE=(32, 32): patches of (16, 16) pixels would leave gaps",
        {
            "MODEL.BACKBONE.NAME": "timm:vit_tiny_patch16_224",
            "MODEL.BACKBONE.STRIDE_SIZE": (32, 32),
        },
    ),
    ("INPUT.SIZE_TRAIN=[64]: expected [height, width]", {"INPUT.SIZE_TRAIN": [64]}),
    ("INPUT.SIZE_TEST=[0, 32]: expected [height, width]", {"INPUT.SIZE_TEST": [0, 32]}),
    ("INPUT.SIZE_TRAIN=[64, 32] and INPUT.SIZE_TEST=[32, 32]", {"INPUT.SIZE_TEST": [32, 32]}),
    (
        "INPUT.CROP.SIZE=[32, 32]: expected [64, 32], INPUT.SIZE_TRAIN",
        {"INPUT.CROP.ENABLED": True, "INPUT.CROP.SIZE": [32, 32]},
    ),
    ("MODEL.PIXEL_STD=[0.0, 1.0, 1.0]: ", {"MODEL.PIXEL_STD": [0.0, 1.0, 1.0]}),
    ("MODEL.PIXEL_MEAN=[0.0]: expected three numbers", {"MODEL.PIXEL_MEAN": [0.0]}),
    ("MODEL.HEADS.NAME='EmbeddingHead': ", {"MODEL.HEADS.NAME": "EmbeddingHead"}),
    ("INPUT.NPO.VIEWS=1: expected 2", {"INPUT.NPO.VIEWS": 1}),
    (
        "INPUT.EXTRA_TRANSFORMS=('NPOAugmentation', 'NPOAugmentation'): expected NPOAug",
        {"INPUT.EXTRA_TRANSFORMS": ("NPOAugmentation", "NPOAugmentation")},
    ),
    ("DATASETS.P_DUKEMTMC.PROTOCOL='supervised': ", {"DATASETS.TESTS": ("P_DukeMTMC",)}),
]


@pytest.mark.parametrize(("message", "keys"), CONTRADICTIONS, ids=lambda value: str(value)[:50])
def test_a_contradiction_is_refused_through_every_entrance_before_data(
    tiny_cfg, no_data, message, keys
):
    if "DATASETS.TESTS" in keys:
        keys = {**keys, "DATASETS.P_DUKEMTMC.PROTOCOL": "supervised"}
    cfg = tiny_cfg(*(item for pair in keys.items() for item in pair))
    for ask in (
        lambda: check_config(cfg),
        lambda: DefaultTrainer(cfg),
        lambda: build.build_reid_train_loader(cfg, combineall=False),
        lambda: build.build_reid_test_loader(cfg, dataset_name="SynthOcc"),
        lambda: build_model(cfg),
        lambda: build_transforms(cfg),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            ask()


@pytest.fixture
def rows_checked(monkeypatch):
    """Count the checks of each row of the table."""
    counts = Counter()
    real = config.check_value

    def check_value(key, value):
        counts[key.path, key.only_for] += 1
        real(key, value)

    monkeypatch.setattr(config, "check_value", check_value)
    monkeypatch.setattr(config_checks, "_checked", deque())
    return counts


OTHERS = (config.CROPPED, config.TIMM)  # readers that these runs do not have
WALKED = {(key.path, key.only_for) for key in config.KEYS if key.only_for not in OTHERS}


def test_a_training_start_walks_the_table_once(tiny_cfg, on_synthocc, rows_checked, tmp_path):
    cfg = tiny_cfg("MODEL.HEADS.NUM_CLASSES", 0)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(cfg.dump())
    cfg = read_config(str(tmp_path / "run" / "config.yaml"), [])
    check_training(cfg)
    trainer = DefaultTrainer(cfg)
    trainer.build_test_loader(trainer.cfg, "SynthOcc")
    assert set(rows_checked) == WALKED and set(rows_checked.values()) == {1}


def test_a_dump_walks_the_table_once(on_synthocc, rows_checked, tmp_path):
    words = ("--config-file", "synthocc_vit_tiny", "--weights", "untrained", "-o", "x.npz")
    overrides = ("MODEL.FED.VIT.NUM_LAYERS", "1", "DATALOADER.NUM_WORKERS", "0")
    assert main(["dump", *words[:-1], str(tmp_path / "x.npz"), *overrides]) == 0
    assert set(rows_checked) == {row for row in WALKED if row[1] != config.TRAINING}
    assert set(rows_checked.values()) == {1}


def test_a_config_that_was_changed_is_checked_again(tiny_cfg):
    cfg = tiny_cfg()
    check_config(cfg)
    for path, key in config.OWN_KEYS.items():
        changed = cfg.clone()
        *sections, name = path.split(".")
        functools.reduce(getitem, sections, changed)[name] = None
        with pytest.raises(ValueError, match=rf"^{re.escape(path)}=None: expected "):
            check_config(changed)
        assert key.default is not None
    check_config(cfg)


def test_what_the_host_sets_after_the_check_is_refused_where_it_is_used(tiny_cfg):
    cfg = tiny_cfg()
    check_config(cfg)
    cfg.MODEL.HEADS.NUM_CLASSES = 3
    with pytest.raises(
        ValueError, match=r"^MODEL.FED.FDM.NUM_NEIGHBORS=3: expected fewer than the 3 "
    ):
        build_model(cfg)
    cfg.MODEL.HEADS.NUM_CLASSES = 4
    cfg.MODEL.BACKBONE.PRETRAIN, cfg.MODEL.BACKBONE.PRETRAIN_PATH = True, "gone.pth"
    with pytest.raises(FileNotFoundError, match=r"^MODEL.BACKBONE.PRETRAIN_PATH='gone.pth': no "):
        build_model(cfg)


def test_weights_of_another_vit_are_refused_with_their_key(tiny_cfg, tmp_path):
    torch.save({"cls_token": torch.zeros(3)}, tmp_path / "w.pth")
    cfg = tiny_cfg("MODEL.BACKBONE.PRETRAIN", True)
    cfg.MODEL.BACKBONE.PRETRAIN_PATH = str(tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"^MODEL.BACKBONE.PRETRAIN_PATH='.*w.pth': not the weig"):
        build_model(cfg)


@pytest.mark.parametrize("leaf", ["synthocc_vit_tiny", BASELINE])
def test_the_table_holds_every_key_that_a_check_reads(tiny_cfg, leaf):
    """The memory of checked configs compares the keys of the table alone."""
    reads = set()

    def recording(node, place=""):
        class Recording(dict):
            def __getitem__(self, name):
                value = dict.__getitem__(self, name)
                if not isinstance(value, dict):
                    reads.add(place + name)
                return value

            __getattr__ = __getitem__

        return Recording(
            {
                name: recording(value, f"{place}{name}.") if isinstance(value, dict) else value
                for name, value in node.items()
            }
        )

    cfg = tiny_cfg("INPUT.CROP.ENABLED", False, leaf=leaf)
    assert config_checks._agreement_faults(recording(cfg), config.table_values(cfg)) == []
    assert list(config_checks._training_faults(recording(cfg))) == []
    assert reads and reads <= {key.path for key in config.KEYS}


def test_what_is_left_out_does_not_constrain_what_is_there(tiny_cfg):
    check_config(tiny_cfg("MODEL.FED.FDM.ENABLED", False, "MODEL.FED.FDM.NUM_HEADS", 7))
    check_config(tiny_cfg("MODEL.FED.FDM.ENABLED", False, "MODEL.FED.FDM.NUM_NEIGHBORS", 6))
    without = ("MODEL.FED.OEM.ENABLED", False, "MODEL.FED.FDM.ENABLED", False)
    check_config(tiny_cfg(*without, "MODEL.FED.VIT.EMBED_DIM", 30))


def test_a_backbone_of_another_project_knows_its_own_grid(tiny_cfg):
    def build_their_backbone(cfg):
        raise NotImplementedError

    if "build_their_backbone" not in BACKBONE_REGISTRY._obj_map:
        BACKBONE_REGISTRY.register(build_their_backbone)
    cfg = tiny_cfg("MODEL.BACKBONE.NAME", "build_their_backbone", "MODEL.BACKBONE.DEPTH", "50x")
    cfg.INPUT.SIZE_TEST = [32, 32]
    check_config(cfg)


def test_the_vit_of_the_baseline_is_checked_too(tiny_cfg):
    cfg = tiny_cfg("MODEL.BACKBONE.STRIDE_SIZE", (0, 8), leaf=BASELINE)
    with pytest.raises(ValueError, match=r"^MODEL.BACKBONE.STRIDE_SIZE=\(0, 8\): expected"):
        check_config(cfg)


@pytest.mark.parametrize(
    ("leaf", "overrides", "message"),
    [
        (
            "synthocc_vit_tiny",
            ("MODEL.BACKBONE.PRETRAIN", True, "MODEL.BACKBONE.PRETRAIN_PATH", "gone.pth"),
            "MODEL.BACKBONE.PRETRAIN_PATH='gone.pth': no such file",
        ),
        (
            "synthocc_vit_tiny",
            ("INPUT.NPO.OCCLUDERS", "not/there"),
            "INPUT.NPO.OCCLUDERS=not/there: no such folder",
        ),
        (
            "synthocc_vit_tiny",
            ("INPUT.EXTRA_TRANSFORMS", ()),
            "INPUT.EXTRA_TRANSFORMS=(): expected a transform that makes the two views",
        ),
        (
            "synthocc_vit_tiny",
            ("SOLVER.IMS_PER_BATCH", 1),
            "SOLVER.IMS_PER_BATCH=1: expected 2 or more for each of 1 processes",
        ),
        (
            BASELINE,
            ("INPUT.EXTRA_TRANSFORMS", ("NPOAugmentation",)),
            "INPUT.NPO.VIEWS=2: expected 1 for META_ARCHITECTURE Baseline",
        ),
    ],
)
def test_what_a_training_lacks_is_refused_by_the_trainer_before_data(
    tiny_cfg, no_data, leaf, overrides, message
):
    cfg = tiny_cfg(*overrides, leaf=leaf)
    check_config(cfg)  # a trained model may be evaluated without
    with pytest.raises((ValueError, FileNotFoundError), match=f"^{re.escape(message)}"):
        DefaultTrainer(cfg)


def test_an_empty_folder_of_occluders_is_refused_before_data(tiny_cfg, no_data, tmp_path):
    cfg = tiny_cfg("INPUT.NPO.OCCLUDERS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"^INPUT.NPO.OCCLUDERS=.*: found no image"):
        DefaultTrainer(cfg)
    Image.new("RGB", (2, 2)).save(tmp_path / "one.png")
    check_training(cfg)


def test_a_trainer_of_another_project_checks_first_and_once(tiny_cfg, no_data):
    class Trainer(DefaultTrainer):
        @classmethod
        def build_train_loader(cls, cfg):
            pytest.fail("data was read")

    assert step_names(DefaultTrainer.__init__).count("check_first") == 1
    with pytest.raises(ValueError, match=r"^MODEL.FED.NUM_PARTS=0: expected 1 or more; try 4"):
        Trainer(tiny_cfg("MODEL.FED.NUM_PARTS", 0))


def test_all_but_everything_dropped_still_trains_on_numbers(tiny_cfg, batch):
    cfg = tiny_cfg("MODEL.BACKBONE.DROP_PATH_RATIO", 0.999, "MODEL.FED.MEMORY.INIT", "zeros")
    assert all(torch.isfinite(loss) for loss in build_model(cfg).train()(batch).values())
