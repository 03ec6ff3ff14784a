"""Keys that contradict each other are refused before data is read, whoever asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build
from fastreid.data.build import DATASET_REGISTRY
from fastreid.engine import DefaultTrainer
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from PIL import Image

from fed_plugin.fastreid_adapter.config_checks import (
    check_config,
    check_training,
    extend_stock_trainer,
)

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
        "MODEL.BACKBONE.NAME='build_resnet_backbone': expected 'build_fed_vit",
        {"MODEL.BACKBONE.NAME": "build_resnet_backbone"},
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
def test_a_contradiction_is_refused_by_trainer_and_loaders_before_data(
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
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
            ask()


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

    checking = DefaultTrainer.__init__
    extend_stock_trainer()
    assert DefaultTrainer.__init__ is checking
    with pytest.raises(ValueError, match=r"^MODEL.FED.NUM_PARTS=0: expected 1 or more; try 4"):
        Trainer(tiny_cfg("MODEL.FED.NUM_PARTS", 0))


def test_all_but_everything_dropped_still_trains_on_numbers(tiny_cfg, batch):
    from fastreid.modeling import build_model

    cfg = tiny_cfg("MODEL.BACKBONE.DROP_PATH_RATIO", 0.999, "MODEL.FED.MEMORY.INIT", "zeros")
    assert all(torch.isfinite(loss) for loss in build_model(cfg).train()(batch).values())
