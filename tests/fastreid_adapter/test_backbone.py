"""Any backbone carries FED, and the host's Baseline, by config alone."""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage

# MODEL.BACKBONE.NAME, DEPTH of the host's backbones
BACKBONES = [
    ("timm:test_vit", "base"),
    ("timm:vit_small_patch16_dinov3", "base"),
    ("timm:test_efficientnet", "base"),
    ("timm:test_convnext", "base"),
    ("timm:swin_tiny_patch4_window7_224", "base"),
    ("build_resnet_backbone", "18x"),
    ("build_osnet_backbone", "x1_0"),
    ("build_mobilenetv2_backbone", "1.0x"),
    ("build_repvgg_backbone", "A0"),
    ("build_shufflenetv2_backbone", "1.0x"),
    ("build_resnest_backbone", "50x"),
]


@pytest.fixture
def keys():
    def keys(name, depth):
        return [
            *("MODEL.BACKBONE.NAME", name, "MODEL.BACKBONE.DEPTH", depth),
            *("MODEL.BACKBONE.STRIDE_SIZE", (0, 0), "MODEL.FED.GLOBAL_TOKEN", "cls"),
            *("MODEL.FED.ROWS", "adaptive", "MODEL.FED.NUM_PARTS", 2),
        ]

    return keys


@pytest.mark.parametrize(("name", "depth"), BACKBONES)
def test_fed_trains_and_describes_on(name, depth, tiny_cfg, keys, batch):
    torch.manual_seed(0)
    model = build_model(tiny_cfg(*keys(name, depth))).train()
    for memory in model.heads.memories.values():
        memory.fill(torch.randn_like(memory.features))
    with EventStorage(0):
        sum(model(batch).values()).backward()
    learning = [p.grad is not None for p in model.parameters() if p.requires_grad]
    assert all(learning)
    with torch.no_grad():
        descriptors, visibility, parts = model.eval().describe(batch["images"][:, 0])
    assert descriptors.shape == (4, parts[0].numel()) and visibility.shape == (4, 2)


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:test_efficientnet", "timm:test_resnet"])
def test_the_hosts_baseline_trains_and_describes_on(name, tiny_cfg, keys, batch):
    cfg = tiny_cfg(
        *keys(name, "base"),
        *("MODEL.META_ARCHITECTURE", "Baseline", "MODEL.HEADS.NAME", "EmbeddingHead"),
        *("MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.HEADS.WITH_BNNECK", True),
        *("INPUT.EXTRA_TRANSFORMS", (), "MODEL.BACKBONE.FEAT_DIM", 7),
    )
    model = build_model(cfg).train()
    one_view = {**batch, "images": batch["images"][:, 0]}
    with EventStorage(0):
        sum(model(one_view).values()).backward()
    with torch.no_grad():
        assert model.eval()(one_view).shape == (4, model.heads.bottleneck[0].num_features)
    assert cfg.MODEL.BACKBONE.FEAT_DIM == 7  # the user's config stays


def test_normalisation_follows_the_weights_or_re_id(tiny_cfg, keys):
    def constants(name, *words):
        model = build_model(tiny_cfg(*keys(name, "base"), *words))
        return [getattr(model, key).flatten().tolist() for key in ("pixel_mean", "pixel_std")]

    auto = "MODEL.PIXEL_MEAN", "auto", "MODEL.PIXEL_STD", "auto"
    assert constants("timm:test_vit", *auto) == [[127.5] * 3] * 2
    mean, std = constants("timm:resnet10t", *auto)
    assert mean == pytest.approx([123.675, 116.28, 103.53]) and std[0] == pytest.approx(58.395)
    reid = "MODEL.PIXEL_MEAN", "reid", "MODEL.PIXEL_STD", "reid"
    assert constants("timm:resnet10t", *reid) == [[127.5] * 3] * 2
    numbers = "MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0], "MODEL.PIXEL_STD", [4.0, 5.0, 6.0]
    assert constants("timm:resnet10t", *auto, *numbers) == [[1, 2, 3], [4, 5, 6]]
