"""Every leaf of a pre-training builds its model and its optimizer, and takes two steps.

Backbones and images have their full size. To save time, FED has two parts, a quarter of its own
weights; leaves that differ in data, weights and rates alone share a model; and the steps are in
bf16 where the CPU multiplies in bf16.
"""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from fastreid.config import get_cfg
from fastreid.modeling import build_model
from fastreid.solver import build_optimizer
from fastreid.utils.events import EventStorage

from fed_plugin.fastreid_adapter.recipes import layer_of
from fed_plugin.modeling.backbones import as_features

CONFIGS = Path(__file__).parents[2] / "configs" / "FED"
# Rate of the stem's first weight and of the classifier; rows and columns; channels.
LEAVES = {
    "imagenet_vit": (8e-3, 8e-3, (16, 8), 768),
    "lup_vit": (4e-4, 4e-4, (16, 8), 768),
    "clip_vit": (5e-6, 3.5e-4, (16, 8), 768),
    "dinov2_vit": (1e-4 * 0.7**13, 1e-4, (18, 9), 768),
    "dinov3_vit": (1e-4 * 0.7**13, 1e-4, (16, 8), 768),
    "solider_swin": (8e-4, 8e-4, (12, 4), 1024),
    "resnet50_ibn": (3.5e-4, 3.5e-4, (16, 8), 2048),
    "lite0": (3.5e-4, 3.5e-4, (16, 8), 1280),
}
PRECISION = "bf16" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"


def config(stem):
    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIGS / f"{stem}.yml"))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.PRETRAIN", False])
    cfg.merge_from_list(["MODEL.HEADS.NUM_CLASSES", 12, "MODEL.FED.NUM_PARTS", 2])
    cfg.MODEL.FED.PRECISION = PRECISION
    return cfg


@functools.lru_cache(maxsize=1)
def model_of(pretraining):
    torch.manual_seed(0)
    model = build_model(config(f"market1501_{pretraining}")).train()
    for memory in model.heads.memories.values():
        memory.fill(torch.randn_like(memory.features))
    return model


@functools.lru_cache(maxsize=1)
def drawn(height, width):
    """Draw an image of two identities each, a band of the second view hidden."""
    images = 255 * torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(0))
    images = images.repeat(1, 2, 1, 1, 1)
    images[:, 1, :, height // 2 :] = 255
    targets = torch.tensor([0, 1])
    return {"images": images, "targets": targets, "camids": torch.zeros(2, dtype=torch.long)}


def stem_and_classifier(model):
    """Return a weight of the first layer and one of the heads."""
    layers = layer_of(model.backbone)
    weights = dict(model.backbone.named_parameters())
    stem = next(w for n, w in weights.items() if layers[n] == 0 and w.requires_grad and w.ndim == 4)
    return stem, model.heads.global_classifier.weight


def without_data(cfg):
    """Return the text of a config without what names data and results."""
    return repr({key: cfg[key] for key in cfg if key not in ("DATASETS", "OUTPUT_DIR")})


@pytest.mark.parametrize("pretraining", LEAVES)
def test_leaves_take_two_steps(pretraining):
    leaves = [f"{dataset}_{pretraining}" for dataset in ("market1501", "occluded_duke")]
    # Two leaves that name other data alone take the very same steps, once.
    for leaf in {without_data(config(leaf)): leaf for leaf in leaves}.values():
        take_two_steps(leaf, pretraining)


def take_two_steps(leaf, pretraining):
    cfg = config(leaf)
    model = model_of("lup_vit" if pretraining == "imagenet_vit" else pretraining)
    *expected, grid, channels = LEAVES[pretraining]
    if leaf == "occluded_duke_solider_swin":
        expected = [2e-4, 2e-4]
    optimizer, _ = build_optimizer(cfg, model, contiguous=False)
    weights = stem_and_classifier(model)
    rates = {w.data_ptr(): g["lr"] for g in optimizer.param_groups for w in g["params"]}
    assert [rates[w.data_ptr()] for w in weights] == pytest.approx(expected)
    before = [weight.detach().clone() for weight in weights]
    batch, shapes = drawn(*cfg.INPUT.SIZE_TRAIN), []
    handle = model.backbone.register_forward_hook(
        lambda module, images, encoded: shapes.append(as_features(encoded).grid.shape)
    )
    with EventStorage(0):
        for _ in range(2):
            optimizer.zero_grad()
            losses = model(dict(batch))
            sum(losses.values()).backward()
            optimizer.step()
    handle.remove()
    assert len(losses) == 7 and all(torch.isfinite(loss) for loss in losses.values())
    assert not any(torch.equal(a, b) for a, b in zip(before, weights, strict=True))
    assert shapes == [(4, *grid, channels)] * 2


@pytest.mark.parametrize("pretraining", LEAVES)
def test_the_two_leaves_of_a_pre_training_differ_in_data_and_rates_alone(pretraining):
    one, other = (config(f"{data}_{pretraining}") for data in ("market1501", "occluded_duke"))
    assert {key for key in one if one[key] != other[key]} <= {"DATASETS", "OUTPUT_DIR", "SOLVER"}


def test_every_leaf_says_where_its_weights_come_from_and_what_a_step_takes():
    for pretraining in LEAVES:
        for path in CONFIGS.glob(f"*_{pretraining}.yml"):
            comment = path.read_text(encoding="utf-8").partition("_BASE_")[0]
            for word in ("# Weights: ", "# Recipe: ", "# Step: ", "estimate"):
                assert word in comment, (path.name, word)
            untested = pretraining.startswith("dino") or pretraining == "lite0"
            assert ("no published person recipe" in comment) == untested, path.name
