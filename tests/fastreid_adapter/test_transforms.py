"""Extra transforms at the end of the stock training pipeline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fastreid.data import build as data_build
from fastreid.data.transforms import build_transforms
from PIL import Image

from fed_plugin.fastreid_adapter import TRANSFORM_REGISTRY
from fed_plugin.fastreid_adapter.transforms import extend_stock_pipeline


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 256, (80, 40, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_training_yields_two_views_and_testing_one(tiny_cfg, photo):
    cfg = tiny_cfg()
    pair = build_transforms(cfg, is_train=True)(photo)
    assert pair.shape == (2, 3, 64, 32) and not torch.equal(*pair)
    assert build_transforms(cfg, is_train=False)(photo).shape == (3, 64, 32)


def test_a_config_without_names_gets_the_stock_pipeline(tiny_cfg, photo):
    pipeline = build_transforms(tiny_cfg("INPUT.EXTRA_TRANSFORMS", ()))
    assert type(pipeline.transforms[-1]).__name__ == "ToTensor"


def test_names_of_other_projects_are_built_in_order(tiny_cfg, photo):
    class Halve:
        def __init__(self, cfg):
            self.size = cfg.INPUT.SIZE_TRAIN

        def __call__(self, image):
            return image / 2

    if "Halve" not in TRANSFORM_REGISTRY._obj_map:
        TRANSFORM_REGISTRY.register(Halve)
    cfg = tiny_cfg("INPUT.EXTRA_TRANSFORMS", ("NPOAugmentation", "Halve"))
    assert build_transforms(cfg)(photo).max() <= 127.5


def test_an_unknown_name_is_refused(tiny_cfg):
    with pytest.raises(KeyError, match="No object named 'Fog' found in 'TRANSFORM' registry"):
        build_transforms(tiny_cfg("INPUT.EXTRA_TRANSFORMS", ("Fog",)))


def test_extending_twice_appends_once_and_the_loader_sees_it(tiny_cfg):
    extend_stock_pipeline()
    assert data_build.build_transforms is build_transforms
    names = [type(t).__name__ for t in build_transforms(tiny_cfg()).transforms]
    assert names.count("NPOAugmentation") == 1


def test_a_probability_outside_0_to_1_is_refused_with_the_key(tiny_cfg):
    with pytest.raises(ValueError, match=r"INPUT.NPO.PROB=1.5: expected a share in \[0, 1\]"):
        build_transforms(tiny_cfg("INPUT.NPO.PROB", 1.5))


def test_an_empty_occluder_folder_is_refused_with_the_key(tiny_cfg, tmp_path):
    (tmp_path / "npo").mkdir()
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"INPUT.NPO.OCCLUDERS=.*npo: found no"
    ):
        build_transforms(tiny_cfg("INPUT.NPO.OCCLUDERS", str(tmp_path / "npo")))


def test_a_folder_of_crops_is_pasted(tiny_cfg, tmp_path, photo):
    Image.new("RGB", (20, 10), (255, 0, 255)).save(tmp_path / "magenta.png")
    cfg = tiny_cfg("INPUT.NPO.OCCLUDERS", str(tmp_path), "INPUT.CJ.ENABLED", False)
    torch.manual_seed(0)
    holistic, occluded = build_transforms(cfg)(photo)
    changed = (holistic != occluded).any(dim=0)
    rows = changed.any(dim=1).sum().item()
    assert 64 // 4 <= rows <= 64 // 2 and changed.any(dim=0).all()
