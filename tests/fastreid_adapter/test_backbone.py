"""Any backbone carries FED, and the host's Baseline, by config alone."""

from __future__ import annotations

import sys

import pytest
import timm
import torch
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage

from fed_plugin.fastreid_adapter.config_checks import check_config

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


@pytest.mark.parametrize("method", ["FED", "Baseline"])
def test_a_model_for_one_size_is_refused_for_another(method, tiny_cfg, keys):
    def faults(*words):
        try:
            check_config(tiny_cfg(*keys("timm:test_vit", "base"), *baseline, *words))
        except ValueError as error:
            return str(error)
        return ""

    baseline = () if method == "FED" else ("MODEL.META_ARCHITECTURE", "Baseline")
    size = list(tiny_cfg().INPUT.SIZE_TRAIN)
    other = [2 * side for side in size]
    message = faults("INPUT.SIZE_TEST", other)
    assert f"INPUT.SIZE_TEST={other}: expected {size}" in message and "timm:test_vit" in message
    message = faults("INPUT.CROP.ENABLED", True, "INPUT.CROP.SIZE", other)
    assert f"INPUT.CROP.SIZE={other}: expected {size}" in message
    assert "INPUT.SIZE_TRAIN=[0]: expected [height, width]" in faults("INPUT.SIZE_TRAIN", [0])
    assert "timm has no such model" in faults("MODEL.BACKBONE.NAME", "timm:test_vitt")


def test_a_map_takes_another_size_and_its_rows_are_checked(tiny_cfg, keys):
    def check(height, parts):
        check_config(
            tiny_cfg(
                *keys("timm:test_efficientnet", "base"),
                *("INPUT.SIZE_TRAIN", (64, 32), "INPUT.SIZE_TEST", (height, 32)),
                *("MODEL.FED.ROWS", "whole", "MODEL.FED.NUM_PARTS", parts),
            )
        )

    check(128, 4)
    with pytest.raises(ValueError, match=r"NUM_PARTS=4: .* 6 rows .*INPUT\.SIZE_TEST 96 pixels"):
        check(96, 4)


@pytest.fixture
def weights_in_a_package(tmp_path, monkeypatch):
    """Yield a package with one file of weights, of timm's test_vit."""
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").touch()
    model = timm.create_model("test_vit", num_classes=0, img_size=(160, 160))
    torch.save(model.state_dict(), package / "vit.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield model
    sys.modules.pop("some_weights", None)


def test_weights_come_from_an_installed_package(weights_in_a_package, tiny_cfg, keys):
    def backbone(path):
        cfg = tiny_cfg(*keys("timm:test_vit", "base"))
        cfg.MODEL.BACKBONE.PRETRAIN, cfg.MODEL.BACKBONE.PRETRAIN_PATH = True, path
        cfg.MODEL.FED.VIT.PRETRAIN_GRID = (10, 10)
        return build_model(cfg).backbone.model

    loaded = backbone("package:some_weights/vit.pth")
    source = weights_in_a_package.blocks[0].attn.qkv.weight
    assert torch.equal(loaded.blocks[0].attn.qkv.weight, source)
    for path, why in (
        ("package:some_weights/none.pth", "no such file in the package"),
        ("package:nobodys_weights/vit.pth", "the package is not installed"),
        ("package:", "the package is not installed"),
    ):
        with pytest.raises(FileNotFoundError, match=f"PRETRAIN_PATH='{path}': {why}.*demo"):
            backbone(path)


def test_patches_and_activations_of_weights_are_keys(tmp_path, tiny_cfg, keys):
    def load(name, source, *words):
        torch.save(source.state_dict(), tmp_path / "weights.pth")
        cfg = tiny_cfg(*keys(f"timm:{name}", "base"), *words)
        cfg.MODEL.BACKBONE.PRETRAIN = True
        cfg.MODEL.BACKBONE.PRETRAIN_PATH = str(tmp_path / "weights.pth")
        return build_model(cfg).backbone.model

    model = timm.create_model("test_vit", num_classes=0, patch_size=8, img_size=(32, 32))
    auto = "MODEL.PIXEL_MEAN", "auto", "MODEL.PIXEL_STD", "auto"
    with pytest.raises(ValueError, match=r"MODEL\.FED\.VIT\.RESAMPLE_PATCH=False: .* 8 pixels"):
        load("test_vit", model, *auto)
    assert load("test_vit", model, *auto, "MODEL.FED.VIT.RESAMPLE_PATCH", True)

    clip, few = "vit_base_patch32_clip_224", torch.zeros(768)
    openai = {
        "visual.class_embedding": few,
        "visual.positional_embedding": torch.zeros(5, 768),
        "visual.transformer.resblocks.0.ln_1.weight": few,
    }
    torch.save(openai, tmp_path / "clip.pth")
    cfg = tiny_cfg(*keys(f"timm:{clip}", "base"), *auto)
    cfg.MODEL.BACKBONE.PRETRAIN = True
    cfg.MODEL.BACKBONE.PRETRAIN_PATH = str(tmp_path / "clip.pth")
    with pytest.raises(ValueError, match=r"MODEL\.FED\.VIT\.PRETRAIN_ACTIVATION='gelu' takes"):
        build_model(cfg)
    cfg.MODEL.FED.VIT.PRETRAIN_ACTIVATION = "gelu"
    with pytest.raises(ValueError, match="missing"):  # the activation is no reason any more
        build_model(cfg)
