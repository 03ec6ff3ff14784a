"""Weights that the host's own backbones start from."""

from __future__ import annotations

import importlib
import os
import re

import pytest
import torch

from fed_plugin.fastreid_adapter.mends import checkpointer
from fed_plugin.fastreid_adapter.mends.mending import Overlay


class Payload:
    def __reduce__(self):
        return os.system, ("touch it_ran",)


@pytest.fixture
def resnet(stock, monkeypatch):
    """The module of ResNets, run again without registering its name a second time."""
    from fastreid.modeling.backbones import BACKBONE_REGISTRY

    monkeypatch.setattr(BACKBONE_REGISTRY, "_obj_map", {})
    return stock("fastreid.modeling.backbones.resnet")


def build(module, tiny_cfg, path):
    keys = {"MODEL.BACKBONE.PRETRAIN": True, "MODEL.BACKBONE.PRETRAIN_PATH": str(path)}
    return module.build_resnet_backbone(tiny_cfg(**keys))


def test_a_planted_payload_does_not_run_and_is_named(resnet, tiny_cfg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": torch.zeros(1), "x": Payload()}, "bad.pth")
    assert checkpointer.pretrained_weights_execute_nothing(resnet)
    with pytest.raises(ValueError, match=r"PRETRAIN_PATH.*bad\.pth: .*executed"):
        build(resnet, tiny_cfg, "bad.pth")
    assert not os.path.exists("it_ran")


def test_something_else_than_weights_is_named(resnet, tiny_cfg, tmp_path):
    assert checkpointer.pretrained_weights_execute_nothing(resnet)
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth: holds a list"):
        build(resnet, tiny_cfg, tmp_path / "list.pth")


def test_weights_arrive_as_they_did(resnet, tiny_cfg, tmp_path):
    cfg = tiny_cfg()
    weights = resnet.build_resnet_backbone(cfg).state_dict()
    torch.save(weights, tmp_path / "good.pth")
    assert checkpointer.pretrained_weights_execute_nothing(resnet)
    loaded = build(resnet, tiny_cfg, tmp_path / "good.pth").state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w, "(?P<n>[0-9]+) of (?P=n) tensors loaded$"),
        (lambda w: {**w, "fc.bias": torch.ones(2)}, r"loaded; 1 left out \(fc\.bias\)$"),
        (
            lambda w: {name: w[name] for name in w if name != "conv1.weight"},
            r"tensors loaded; 1 of the backbone stay random \(conv1\.weight\)$",
        ),
        (
            lambda w: {f"net.{name}": w[name] for name in w},
            "weights of .*good.pth: 0 of [0-9]+ tens",
        ),
    ],
)
def test_the_log_counts_what_was_loaded(tiny_cfg, tmp_path, log, change, words):
    from fastreid.modeling.backbones.build import build_backbone

    weights = build_backbone(tiny_cfg()).state_dict()
    torch.save(change(weights), tmp_path / "good.pth")
    path = str(tmp_path / "good.pth")
    keys = {"MODEL.BACKBONE.PRETRAIN": True, "MODEL.BACKBONE.PRETRAIN_PATH": path}
    build_backbone(tiny_cfg(**keys))
    record = next(one for one in log.records if "Pretrained weights of" in one.getMessage())
    assert re.search(words, record.getMessage())
    assert record.levelname == ("WARNING" if " 0 of " in record.getMessage() else "INFO")


def test_the_log_counts_what_fed_leaves_out(tmp_path, log):
    from fastreid.config import get_cfg
    from fastreid.modeling.backbones.build import build_backbone

    from fed_plugin.fastreid_adapter.config_files import find_config

    cfg = get_cfg()
    cfg.merge_from_file(find_config("synthocc_vit_tiny"))
    cfg.merge_from_list(["MODEL.BACKBONE.PRETRAIN", False])
    weights = build_backbone(cfg).state_dict()
    torch.save({**weights, "head.weight": torch.ones(2, 2)}, tmp_path / "vit.pth")
    cfg.merge_from_list(["MODEL.BACKBONE.PRETRAIN", True])
    cfg.merge_from_list(["MODEL.BACKBONE.PRETRAIN_PATH", str(tmp_path / "vit.pth")])
    build_backbone(cfg)
    expected = f"vit.pth: {len(weights)} of {len(weights) + 1} tensors loaded; 1 left out (head.we"
    assert expected in log.text


def test_a_second_call_changes_nothing(resnet):
    assert checkpointer.pretrained_weights_execute_nothing(resnet)
    assert checkpointer.pretrained_weights_execute_nothing(resnet) is False
    assert isinstance(resnet.torch, Overlay) and resnet.torch.load is checkpointer.load_pretrained


@pytest.mark.parametrize("name", checkpointer.BACKBONES)
def test_every_backbone_that_loads_is_mended(name):
    module = importlib.import_module(f"fastreid.modeling.backbones.{name}")
    assert module.torch.load is checkpointer.load_pretrained
