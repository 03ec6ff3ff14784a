"""Values of the host's keys that no run can use are refused by name; all it can use passes."""

from __future__ import annotations

import functools
from operator import getitem

import pytest
from fastreid.config import get_cfg
from fastreid.data.transforms import build_transforms
from PIL import Image

from fed_plugin.fastreid_adapter.config import CROPPED, HOST, KEYS, TRAINING
from fed_plugin.fastreid_adapter.config_checks import NPO_NAME, check_config, check_training
from fed_plugin.fastreid_adapter.transforms import NPOAugmentation

NAN = float("nan")
BAD = {
    "SOLVER.OPT": ("Nobody", "", None, "Optimizer"),
    "SOLVER.SCHED": ("Nobody", "LambdaLR"),
    "SOLVER.BASE_LR": (-0.1, NAN, float("inf"), float("inf") * -1),
    "SOLVER.MAX_EPOCH": (0, 1.5, True),
    "SOLVER.IMS_PER_BATCH": (0, -4),
    "SOLVER.CHECKPOINT_PERIOD": (0, -1),
    "TEST.IMS_PER_BATCH": (0, -1),
    "DATALOADER.NUM_WORKERS": (-1, None),
    "INPUT.SIZE_TRAIN": (["a", "b"], [64, 32, 3], [32, 0], [], [0.0]),
    "INPUT.SIZE_TEST": ([64.0, 32.0], 64),
    "MODEL.PIXEL_MEAN": ([], ["a"], [NAN]),
    "MODEL.PIXEL_STD": ([0, 0, 0], []),
    "INPUT.CROP.ENABLED": (1, None),
    "INPUT.CROP.SIZE": ([], [0, 32]),
    "MODEL.META_ARCHITECTURE": ("", None),
    "MODEL.BACKBONE.NAME": ("", 3),
    "MODEL.BACKBONE.DEPTH": (50, None),
    "MODEL.BACKBONE.FEAT_DIM": (0, 2048.0),
    "MODEL.BACKBONE.PRETRAIN": (1, "yes"),
    "MODEL.BACKBONE.PRETRAIN_PATH": (None, "a\0b"),
    "MODEL.HEADS.NAME": ("", None),
    "DATASETS.NAMES": ((), ("",)),
    "DATASETS.TESTS": ((), "SynthOcc"),
}


def test_every_key_has_bad_values():
    readers = ("", TRAINING, CROPPED)
    rows = {key.path for key in KEYS if key.default is HOST and key.only_for in readers}
    assert BAD.keys() == rows


@pytest.mark.parametrize(("key", "value"), [(key, v) for key, vs in BAD.items() for v in vs])
def test_a_value_that_no_run_can_use_is_refused_by_name(key, value):
    cfg = get_cfg()
    *sections, name = key.split(".")
    cfg.INPUT.CROP.ENABLED = True
    functools.reduce(getitem, sections, cfg)[name] = value
    with pytest.raises(ValueError, match=rf"^{key}=.*: expected "):
        check_training(cfg)


def test_stock_configs_pass():
    check_config(get_cfg())
    check_training(get_cfg())


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Lamb", "RAdam", "LBFGS"])
def test_optimizers_of_the_host_pass(name):
    cfg = get_cfg()
    cfg.SOLVER.OPT = name
    check_config(cfg)


@pytest.mark.parametrize("size", [[0], [0, 0], [-1], [0, 32], [256], (384, 128)])
def test_a_size_that_the_host_takes_passes_and_builds_its_pipelines(size, tmp_path):
    """0 is the host's word for images that keep their sizes: FastClas, FastFace, FastRetri."""
    cfg = get_cfg()
    cfg.merge_from_list(["INPUT.SIZE_TRAIN", size, "INPUT.SIZE_TEST", size])
    cfg.INPUT.CROP.SIZE = [0]  # read by nobody: CROP.ENABLED is False
    check_training(cfg)
    photo = Image.new("RGB", (50, 40))
    shapes = [build_transforms(cfg, is_train=training)(photo).shape for training in (True, False)]
    kept = size[0] <= 0
    assert [shape == (3, 40, 50) for shape in shapes] == [kept, kept]


def test_occluders_keep_their_size_where_images_do(tmp_path):
    Image.new("RGB", (60, 90), (200, 10, 10)).save(tmp_path / "obstacle.png")
    cfg = get_cfg()
    cfg.merge_from_list(["INPUT.SIZE_TRAIN", [0], "INPUT.EXTRA_TRANSFORMS", (NPO_NAME,)])
    cfg.merge_from_list(["INPUT.NPO.VIEWS", 1, "INPUT.NPO.OCCLUDERS", str(tmp_path)])
    check_training(cfg)
    (crop,) = NPOAugmentation(cfg).occluders
    assert crop.shape[:2] == (90, 60)
