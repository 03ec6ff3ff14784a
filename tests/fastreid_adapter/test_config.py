"""Config keys, YAML leaves, and stock configs that stay stock."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import yaml
from fastreid.config import CfgNode, get_cfg
from fastreid.data.transforms import build_transforms
from fastreid.modeling import build_model

from fed_plugin.fastreid_adapter.config import OWN_KEYS, add_fed_config

ROOT = Path(__file__).parents[2]
LEAVES = sorted((ROOT / "configs" / "FED").glob("*.yml"))
BASED = [leaf for leaf in LEAVES if "_BASE_:" in leaf.read_text()]
OF_PRETRAININGS = (
    "imagenet_vit",
    "lup_vit",
    "clip_vit",
    "dinov2_vit",
    "dinov3_vit",
    "solider_swin",
)
OF_PRETRAININGS += ("resnet50_ibn", "lite0")  # test_backbone_leaves.py builds them


def is_of_a_pretraining(leaf):
    return leaf.stem == "Base-FED-any" or leaf.stem.endswith(OF_PRETRAININGS)


def keys_of(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, CfgNode):
            yield from keys_of(value, f"{prefix}{key}.")
        else:
            yield prefix + key


OF_THE_REFERENCE = [leaf for leaf in LEAVES if not is_of_a_pretraining(leaf)]


@pytest.mark.parametrize("leaf", OF_THE_REFERENCE, ids=lambda path: path.stem)
def test_every_leaf_builds_its_model_and_its_pipeline(leaf):
    cfg = get_cfg()
    cfg.merge_from_file(str(leaf))
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.BACKBONE.PRETRAIN", False])
    cfg.merge_from_list(["MODEL.HEADS.NUM_CLASSES", 12, "MODEL.FED.VIT.NUM_LAYERS", 1])
    model = build_model(cfg).eval()
    width = {"FED": 4, "Baseline": 1}[cfg.MODEL.META_ARCHITECTURE] * model.backbone.embed_dim
    with torch.no_grad():
        assert model(torch.zeros(1, 3, *cfg.INPUT.SIZE_TEST)).shape == (1, width)
    names = [type(t).__name__ for t in build_transforms(cfg).transforms]
    assert ("NPOAugmentation" in names) == (cfg.MODEL.META_ARCHITECTURE == "FED")


@pytest.mark.parametrize("leaf", BASED, ids=lambda path: path.stem)
def test_a_leaf_holds_only_what_differs_from_its_base(leaf):
    content = yaml.safe_load(leaf.read_text())
    base = get_cfg()
    base.merge_from_file(str(leaf.parent / content.pop("_BASE_")))
    full = base.clone()
    full.merge_from_file(str(leaf))
    repeated = [
        key for key in keys_of(CfgNode(content)) if value_at(base, key) == value_at(full, key)
    ]
    assert repeated == []
    assert str(leaf.parent.parent) not in leaf.read_text()


def value_at(node, path):
    for name in path.split("."):
        node = node[name]
    return node


def test_every_declared_key_is_read_by_the_adapter():
    source = "".join(
        path.read_text() for path in (ROOT / "fed_plugin").rglob("*.py") if path.name != "config.py"
    )
    unread = [key for key in OWN_KEYS if not re.search(rf"\b{key.split('.')[-1]}\b", source)]
    assert unread == []


def test_every_dataset_has_its_baseline_and_its_repairs():
    names = {leaf.stem for leaf in OF_THE_REFERENCE}
    plain = {n for n in names if not n.endswith(("_baseline", "_fed_plus")) and n != "Base-FED"}
    assert plain == {
        "occluded_duke_vit_base",
        "market1501_vit_base",
        "dukemtmc_vit_base",
        "synthocc_vit_tiny",
    }
    assert names - plain - {"Base-FED"} == {
        f"{n}_{variant}" for n in plain for variant in ("baseline", "fed_plus")
    }


def test_every_pre_training_has_its_base_and_two_leaves():
    of = {leaf.stem for leaf in LEAVES} - {leaf.stem for leaf in OF_THE_REFERENCE}
    starts = ("Base-FED-", "occluded_duke_", "market1501_")
    assert of - {"Base-FED-any"} == {f"{s}{name}" for name in OF_PRETRAININGS for s in starts}


def test_a_stock_config_dumps_what_it_dumped_before():
    cfg = get_cfg()
    assert "FED" not in cfg.dump() and "SEED" not in cfg.dump() and "NPO" not in cfg.dump()
    assert "FED" in cfg.MODEL and cfg.INPUT.EXTRA_TRANSFORMS == ()


def test_a_config_that_uses_one_key_dumps_them_all_and_loads_again(tmp_path):
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.FED.FDM.NUM_NEIGHBORS", 5])
    (tmp_path / "config.yaml").write_text(cfg.dump())
    again = get_cfg()
    again.merge_from_file(str(tmp_path / "config.yaml"))
    assert again == cfg and "HEAD_LAYOUT" in cfg.dump()


def test_keys_that_are_there_already_keep_their_value():
    cfg = get_cfg()
    cfg.SEED = 7
    add_fed_config(cfg)
    assert cfg.SEED == 7


def test_defaults_are_those_of_the_reference():
    reference = get_cfg()
    reference.merge_from_file(str(ROOT / "configs" / "FED" / "Base-FED.yml"))
    assert reference.MODEL.FED == get_cfg().MODEL.FED
