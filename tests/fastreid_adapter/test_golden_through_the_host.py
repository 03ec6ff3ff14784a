"""The golden step once more, through the config, the registries and the stock batch format."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fastreid.config import get_cfg
from fastreid.modeling import build_model

from fed_plugin.modeling import convert_reference_state_dict

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def recipe():
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model(recipe):
    cfg = get_cfg()
    cfg.merge_from_file(str(ROOT / "configs" / "FED" / "occluded_duke_vit_base.yml"))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.PRETRAIN", False])
    cfg.merge_from_list(["MODEL.BACKBONE.DROP_PATH_RATIO", 0.0, "MODEL.FED.VIT.NUM_LAYERS", 2])
    cfg.merge_from_list(["MODEL.HEADS.NUM_CLASSES", 16])
    model = build_model(cfg)
    weights = recipe.reference_state_dict(16, depth=2)
    released = {name: torch.from_numpy(array) for name, array in weights.items()}
    model.load_state_dict(convert_reference_state_dict(released))
    return model


def test_a_stock_batch_gives_the_reference_losses_and_memory(model, recipe):
    clean, occluded, labels, memory = recipe.inputs(8, 16)
    model.train().heads.memories["erased"].fill(torch.from_numpy(memory))
    images = torch.from_numpy(np.stack((clean, occluded), axis=1)).float()
    losses = model(
        {"images": images, "targets": torch.from_numpy(labels), "camids": torch.zeros(8).long()}
    )
    first = json.loads((GOLDEN / "reference_trajectory.json").read_text())["losses"][0]
    assert sum(losses.values()).item() == pytest.approx(first["total"], abs=5e-4)
    assert losses["loss_id_erased"].item() == pytest.approx(first["id_oem"], abs=2e-4)
    arrays = np.load(GOLDEN / "reference_step.npz")
    after = model.heads.memories["diffused"].features
    np.testing.assert_allclose(after.numpy(), arrays["memory_after"], rtol=0, atol=1e-4)


def test_evaluation_gives_the_reference_descriptor_at_unit_length(model, recipe):
    arrays = np.load(GOLDEN / "reference_step.npz")
    occluded = torch.from_numpy(recipe.inputs(8, 16)[1]).float()
    with torch.no_grad():
        descriptors = model.eval()({"images": occluded})
    expected = arrays["eval_feature_occluded"]
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(descriptors.numpy(), expected, rtol=0, atol=1e-5)
