"""FED's OEM beside the host's Baseline, which stays as it is."""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage

from fed_plugin.fastreid_adapter.config_checks import check_config, check_training
from fed_plugin.fastreid_adapter.exporting import ExportedFile, export_model
from fed_plugin.fastreid_adapter.extract import describe_images

STOCK = (
    *("MODEL.HEADS.NAME", "EmbeddingHead", "MODEL.HEADS.WITH_BNNECK", True),
    *("MODEL.HEADS.POOL_LAYER", "GlobalAvgPool", "MODEL.LOSSES.NAME", ("CrossEntropyLoss",)),
)
BACKBONES = {
    "timm's ViT": ("MODEL.BACKBONE.NAME", "timm:test_vit", "MODEL.BACKBONE.STRIDE_SIZE", (0, 0)),
    "timm's map": (
        *("MODEL.BACKBONE.NAME", "timm:test_resnet", "MODEL.BACKBONE.STRIDE_SIZE", (0, 0)),
    ),
    "the host's": (
        *("MODEL.BACKBONE.NAME", "build_resnet_backbone", "MODEL.BACKBONE.DEPTH", "18x"),
        *("MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.BACKBONE.LAST_STRIDE", 1),
    ),
    "ours": (),
}


@pytest.fixture(params=BACKBONES)
def cfgs(request, tiny_cfg):
    """Return the configs of a Baseline, and of the same with visibility."""
    words = (*STOCK, *BACKBONES[request.param])
    cls = ("MODEL.FED.VIT.OUTPUT", "cls") if request.param == "ours" else ()
    method = "MODEL.META_ARCHITECTURE"
    parts = ("MODEL.FED.NUM_PARTS", 2, "MODEL.FED.ROWS", "adaptive")
    return (
        tiny_cfg(method, "Baseline", *words, *cls, "INPUT.NPO.VIEWS", 1),
        tiny_cfg(method, "BaselineWithVisibility", *words, *parts),
    )


def twins(cfgs):
    """Build both models with the same weights."""
    stock, ours = (build_model(cfg) for cfg in cfgs)
    kept = ours.load_state_dict(stock.state_dict(), strict=False)
    assert {name.split(".")[0] for name in kept.missing_keys} == {"visibility"}
    assert not kept.unexpected_keys
    return stock, ours


def test_losses_gradients_and_descriptors_are_the_baselines(cfgs, batch):
    stock, ours = twins(cfgs)
    occluded = {**batch, "images": batch["images"][:, 1].clone()}
    with EventStorage(0):
        torch.manual_seed(0)
        expected = stock.train()(occluded)
        torch.manual_seed(0)
        losses = ours.train()(dict(batch))
    assert torch.equal(losses["loss_cls"], expected["loss_cls"])
    sum(expected.values()).backward()
    sum(losses.values()).backward()
    theirs = dict(stock.named_parameters())
    for name, weight in ours.named_parameters():
        if name.startswith("visibility."):
            assert weight.grad is not None and weight.grad.isfinite().all()
        elif weight.requires_grad:
            assert torch.equal(weight.grad, theirs[name].grad), name
    with torch.no_grad():
        images = batch["images"][:, 0]
        outputs = describe_images(ours.eval(), images, flip=False)
        assert torch.equal(outputs.descriptors, stock.eval()(images.clone()))
    assert outputs.visibility.shape == (4, 2) and 0 < outputs.visibility.min()
    assert outputs.visibility.max() < 1


def test_the_oem_learns_what_is_covered(tiny_cfg, batch):
    cfg = tiny_cfg(*STOCK, "MODEL.META_ARCHITECTURE", "BaselineWithVisibility")
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = torch.optim.Adam(model.visibility.parameters(), 0.03)
    with EventStorage(0):
        for _ in range(60):
            optimizer.zero_grad()
            model(dict(batch))["loss_visibility"].backward()
            optimizer.step()
    with torch.no_grad():
        seen = model.eval().describe(batch["images"][:, 1]).visibility
    band = seen[:, 1].max()  # rows 16 to 32 of 64 are white: the second of four parts
    assert band < 0.2 and seen[:, [0, 2, 3]].min() > 0.8


def test_an_export_has_both_outputs(cfgs, tmp_path, batch):
    exported = export_model(cfgs[1], "torchscript", tmp_path / "model.pt", {})
    assert exported.shapes["visibility"] == (2,)
    assert ExportedFile(exported.path, "torchscript")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("MODEL.HEADS.NAME", "FEDHead"), r"HEADS\.NAME='FEDHead': .*try EmbeddingHead"),
        (("MODEL.FED.OEM.ENABLED", False), r"OEM\.ENABLED=False: expected True"),
        (("MODEL.FED.VIT.OUTPUT", "cls"), r"VIT\.OUTPUT='cls': expected 'tokens'"),
        (("MODEL.FED.NUM_PARTS", 3), r"NUM_PARTS=3: expected a divisor of the 8 rows"),
        (("INPUT.EXTRA_TRANSFORMS", ()), r"EXTRA_TRANSFORMS=\(\): expected NPOAugmentation"),
        (("INPUT.NPO.VIEWS", 1), r"expected NPOAugmentation, with INPUT\.NPO\.VIEWS 2"),
    ],
)
def test_what_the_oem_cannot_do_is_refused(words, message, tiny_cfg):
    cfg = tiny_cfg(*STOCK, "MODEL.META_ARCHITECTURE", "BaselineWithVisibility", *words)
    with pytest.raises(ValueError, match=message):
        check_training(cfg)


def test_feds_head_under_the_hosts_method_is_refused(tiny_cfg):
    with pytest.raises(ValueError, match=r"FEDHead.*META_ARCHITECTURE Baseline; try EmbeddingHead"):
        check_config(tiny_cfg("MODEL.META_ARCHITECTURE", "Baseline"))
