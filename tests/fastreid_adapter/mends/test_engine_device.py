"""MODEL.DEVICE on a machine without CUDA."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import torch
from fastreid.config import get_cfg

from fed_plugin.fastreid_adapter.mends.engine import models_go_to_the_cpu_without_cuda


def cfg_for(device):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", device, "MODEL.BACKBONE.DEPTH", "18x"])
    cfg.merge_from_list(["MODEL.BACKBONE.FEAT_DIM", 512, "MODEL.HEADS.NUM_CLASSES", 3])
    cfg.freeze()
    return cfg


def test_a_model_for_cuda_goes_to_the_cpu_with_a_warning(stock, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module = stock("fastreid.modeling.meta_arch.build")
    module.META_ARCH_REGISTRY = SimpleNamespace(get=lambda name: lambda cfg: torch.nn.Linear(1, 1))
    assert models_go_to_the_cpu_without_cuda(module)
    cfg = cfg_for("cuda")
    with caplog.at_level(logging.WARNING, logger="fastreid.compat"):
        model = module.build_model(cfg)
    assert next(model.parameters()).device.type == "cpu" and cfg.MODEL.DEVICE == "cuda"
    assert "MODEL.DEVICE=cuda needs CUDA" in caplog.text


def test_a_model_for_the_cpu_is_built_without_a_word(stock, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module = stock("fastreid.modeling.meta_arch.build")
    module.META_ARCH_REGISTRY = SimpleNamespace(get=lambda name: lambda cfg: torch.nn.Linear(1, 1))
    models_go_to_the_cpu_without_cuda(module)
    module.build_model(cfg_for("cpu"))
    assert "CUDA" not in caplog.text


def test_with_cuda_the_host_is_left_alone(stock, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    module = stock("fastreid.modeling.meta_arch.build")
    before = module.build_model
    assert not models_go_to_the_cpu_without_cuda(module)
    assert module.build_model is before
