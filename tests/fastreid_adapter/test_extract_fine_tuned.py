"""Models that TransReID and projects after it fine-tuned, as weights of the host's Baseline."""

from __future__ import annotations

import pytest
import torch
from fastreid.modeling import build_model
from fastreid.utils.checkpoint import Checkpointer

from fed_plugin.fastreid_adapter.extract import load_trained

BASELINE = (
    *("MODEL.META_ARCHITECTURE", "Baseline", "MODEL.HEADS.NAME", "EmbeddingHead"),
    *("MODEL.HEADS.POOL_LAYER", "Identity", "MODEL.HEADS.WITH_BNNECK", True),
    *("INPUT.EXTRA_TRANSFORMS", (), "MODEL.PIXEL_MEAN", "reid", "MODEL.PIXEL_STD", "reid"),
)
VITS = {
    "timm": ("MODEL.BACKBONE.NAME", "timm:test_vit", "MODEL.BACKBONE.STRIDE_SIZE", (0, 0)),
    "ours": ("MODEL.FED.VIT.OUTPUT", "cls", "MODEL.BACKBONE.FEAT_DIM", 32),
}


@pytest.fixture(params=VITS)
def cfg(request, tiny_cfg):
    return tiny_cfg(*BASELINE, *VITS[request.param])


def of_transreid(model):
    """Name the weights of a Baseline as TransReID saves them."""
    names = {"backbone.model.": "base.", "backbone.": "base."}
    names |= {"heads.bottleneck.0.": "bottleneck.", "heads.": "classifier."}
    renamed = {}
    for name, tensor in model.state_dict().items():
        ours = next(begin for begin in names if name.startswith(begin))
        renamed["module." + names[ours] + name.removeprefix(ours)] = tensor
    return renamed


@torch.no_grad()
def test_a_plain_transreid_describes_as_it_was_trained(cfg, tmp_path, caplog):
    torch.manual_seed(0)
    source = build_model(cfg).eval()
    for tensor in source.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    extra = {"base.sie_embed": torch.ones(6, 1, 16), "base.fc.weight": torch.zeros(5, 16)}
    torch.save({**of_transreid(source), **extra}, tmp_path / "transformer_120.pth")
    cfg.defrost()
    cfg.MODEL.WEIGHTS = str(tmp_path / "transformer_120.pth")
    loaded = load_trained(cfg).model
    images = 255 * torch.rand(2, 3, 64, 32)  # the host normalises them in place
    expected = source({"images": images.clone()})
    assert torch.equal(loaded({"images": images}), expected)
    assert "1 weights of other features" in caplog.text and "base.sie_embed" in caplog.text


def test_what_is_not_plain_is_refused(cfg, tiny_cfg, tmp_path):
    def load(model, **more):
        torch.save({**weights, **more}, tmp_path / "weights.pth")
        Checkpointer(model).load(str(tmp_path / "weights.pth"))

    model = build_model(cfg)
    weights = of_transreid(model)
    with pytest.raises(ValueError, match=r"weights\.pth.*several branches \(JPM\).*expected"):
        load(model, **{"b1.0.norm1.weight": torch.ones(16)})
    with pytest.raises(ValueError, match="expected META_ARCHITECTURE Baseline"):
        load(build_model(tiny_cfg()))
    cfg.defrost()
    cfg.MODEL.PIXEL_MEAN = cfg.MODEL.PIXEL_STD = [100.0] * 3
    with pytest.raises(ValueError, match=r"TransReID .* were trained with .*127\.5"):
        load(build_model(cfg))
