"""Values of the host's keys that no run can use are refused by name; all it can use passes."""

from __future__ import annotations

import functools
from operator import getitem

import pytest
from fastreid.config import get_cfg

from fed_plugin.fastreid_adapter.config import HOST, KEYS, TRAINING
from fed_plugin.fastreid_adapter.config_checks import check_config, check_training

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
    "INPUT.SIZE_TRAIN": (["a", "b"], [64, 32, 3], [0, 32], []),
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
    rows = {key.path for key in KEYS if key.default is HOST and key.only_for in ("", TRAINING)}
    assert BAD.keys() == rows


@pytest.mark.parametrize(("key", "value"), [(key, v) for key, vs in BAD.items() for v in vs])
def test_a_value_that_no_run_can_use_is_refused_by_name(key, value):
    cfg = get_cfg()
    *sections, name = key.split(".")
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
