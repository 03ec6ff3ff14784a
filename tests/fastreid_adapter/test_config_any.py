"""Any valid config builds and takes a step; any config with one broken key is refused by name.

Valid configs are drawn key by key, so that every choice of the method and of its augmentation meets
every other one. ``FED_PLUGIN_EXAMPLES=1000`` draws more of them, and others each time.
"""

from __future__ import annotations

import functools
import os
import re
from operator import getitem

import numpy as np
import pytest
import torch
from fastreid.config import get_cfg
from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.transforms import build_transforms
from fastreid.engine import DefaultTrainer
from fastreid.modeling import build_model
from fastreid.utils.events import EventStorage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.fastreid_adapter.config import OWN_KEYS
from fed_plugin.transforms.placement_rule import PLACEMENTS

MORE = int(os.environ.get("FED_PLUGIN_EXAMPLES", "0"))
FED = {
    "MODEL.META_ARCHITECTURE": "FED",
    "MODEL.HEADS.NAME": "FEDHead",
    "INPUT.EXTRA_TRANSFORMS": ("NPOAugmentation",),
    "INPUT.PADDING.ENABLED": True,
    "INPUT.PADDING.SIZE": 1,  # more would leave nothing of images of 4 pixels
    "INPUT.FLIP.ENABLED": True,
}
BASELINE = {
    "MODEL.META_ARCHITECTURE": "Baseline",
    "MODEL.HEADS.NAME": "EmbeddingHead",
    "MODEL.HEADS.POOL_LAYER": "Identity",
    "MODEL.LOSSES.NAME": ("CrossEntropyLoss",),
    "MODEL.FED.VIT.OUTPUT": "cls",
}
ALWAYS = {
    "MODEL.DEVICE": "cpu",
    "MODEL.BACKBONE.NAME": "build_fed_vit_backbone",
    "MODEL.BACKBONE.DEPTH": "tiny",
    "DATASETS.NAMES": ("SynthOcc",),
    "DATASETS.TESTS": ("SynthOcc",),
}
booleans = st.booleans()


def examples(count):
    return settings(
        max_examples=MORE or count,
        derandomize=not MORE,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@st.composite
def sizes(draw):
    """Draw images, patches and parts that fit each other; nothing is square."""
    patch, layers = draw(st.integers(4, 12)), draw(st.integers(1, 2))
    stride = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    num_parts = draw(st.integers(1, 6))
    grid = (num_parts * draw(st.integers(1, 3)), draw(st.integers(1, 4)))
    over = [draw(st.integers(0, step - 1)) for step in stride]
    size = [patch + step * (n - 1) + o for step, n, o in zip(stride, grid, over, strict=True)]
    heads = draw(st.integers(1, 4))
    channels = heads * draw(st.sampled_from([8, 9, 12, 16]))
    return {
        "INPUT.SIZE_TRAIN": size,
        "INPUT.SIZE_TEST": size,
        "MODEL.BACKBONE.STRIDE_SIZE": stride,
        "MODEL.BACKBONE.FEAT_DIM": channels,
        "MODEL.FED.VIT.NUM_LAYERS": layers,
        "MODEL.FED.VIT.EMBED_DIM": channels,
        "MODEL.FED.VIT.NUM_HEADS": heads,
        "MODEL.FED.VIT.PATCH_SIZE": patch,
        "MODEL.FED.NUM_PARTS": num_parts,
    }


def ranges(high=1.0):
    """Draw (low, high) in (0, ``high``]."""
    ends = st.floats(0.01, high, allow_subnormal=False)
    return st.tuples(ends, ends).map(lambda pair: tuple(sorted(pair)))


@st.composite
def occlusions(draw, views=2):
    """Draw the keys of ``INPUT.NPO``."""
    placement = draw(st.sampled_from(PLACEMENTS))
    keys = {
        "VIEWS": views,
        "PROB": draw(st.floats(0, 1)),
        "PLACEMENT": placement,
        "COUNT": tuple(sorted(draw(st.tuples(st.integers(1, 4), st.integers(1, 4))))),
        "ALPHA": draw(booleans),
        "FEATHER": draw(st.integers(0, 20)),
        "PEOPLE.PROB": draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
        "PEOPLE.SCALE": draw(ranges(4.0)),
        "PEOPLE.HEIGHT": draw(ranges()),
        "PEOPLE.WIDTH": draw(ranges()),
    }
    if placement == "free":
        keys |= {"HEIGHT": draw(ranges()), "WIDTH": draw(ranges())}
    return {f"INPUT.NPO.{key}": value for key, value in keys.items()}


@st.composite
def fed_keys(draw):
    """Draw the keys of a FED config for M identities."""
    keys = {**ALWAYS, **FED, **draw(sizes()), **draw(occlusions())}
    identities = draw(st.integers(2, 9))
    width = keys["MODEL.FED.NUM_PARTS"] * keys["MODEL.FED.VIT.EMBED_DIM"]
    divisors = [heads for heads in range(1, 17) if width % heads == 0]
    for path, key in OWN_KEYS.items():
        if path.startswith("MODEL.FED.") and "enum" in key.takes.schema:
            keys[path] = draw(st.sampled_from(key.takes.schema["enum"]))
    return keys | {
        "SEED": draw(st.integers(-2, 3)),
        "MODEL.HEADS.NUM_CLASSES": identities,
        "MODEL.BACKBONE.DROP_PATH_RATIO": draw(st.sampled_from([0.0, 0.1])),
        "MODEL.FED.VIT.OUTPUT": "tokens",
        "MODEL.FED.NORMALIZE_OUTPUT": draw(booleans),
        "MODEL.FED.OEM.ENABLED": keys["MODEL.FED.VIT.EMBED_DIM"] % 4 == 0 and draw(booleans),
        "MODEL.FED.OEM.LOSS_WEIGHT": draw(st.floats(0, 10)),
        "MODEL.FED.FDM.ENABLED": draw(booleans),
        "MODEL.FED.FDM.NUM_NEIGHBORS": draw(st.integers(1, identities - 1)),
        "MODEL.FED.FDM.NUM_HEADS": draw(st.sampled_from(divisors)),
        "MODEL.FED.FDM.SHARE_BN": draw(booleans),
        "MODEL.FED.MEMORY.SHARED": draw(booleans),
        "MODEL.FED.MEMORY.MOMENTUM": draw(st.floats(0, 1)),
        "MODEL.FED.CONTRAST.TEMPERATURE": draw(
            st.floats(0.05, 1) | st.sampled_from([0.001, 1000.0])
        ),
    }


def config(keys):
    cfg = get_cfg()
    cfg.merge_from_list([word for pair in keys.items() for word in pair])
    return cfg


def photos(cfg, count, random):
    """Send noise through the pipeline of a training, as images of anybody who is trained on."""
    *stock, augment = build_transforms(cfg).transforms
    pids = augment.people.pids if augment.people else (None,)
    views = []
    for index in range(count):
        image = Image.fromarray(random.integers(0, 256, (40, 20, 3), dtype=np.uint8))
        for transform in stock:
            image = transform(image)
        views.append(augment(image, pid=pids[index % len(pids)]))
    return torch.stack(views)


def without_gradient(cfg, name):
    """Tell which weights need not move in a first step, by the maths."""
    if cfg.MODEL.FED.CONTRAST.TEMPERATURE == 0.001:
        return True  # a loss that is 0 or steep
    still = {"ffn_fused.contract.bias"}  # a BatchNorm follows
    if cfg.MODEL.FED.MEMORY.INIT == "zeros":  # so are neighbours
        still |= {"attention.q.weight", "attention.kv.weight", "attention.proj.weight"}
    if cfg.MODEL.FED.FDM.NUM_NEIGHBORS == 1:  # the softmax of one value is 1
        still |= {"attention.q.weight"}
    return name.removeprefix("heads.fdm.") in still


def take_a_step(model, batch):
    """Take a step of SGD; return losses and the names of weights that it left where they were."""
    trained = {n: p for n, p in model.train().named_parameters() if p.requires_grad}
    before = {name: weight.detach().clone() for name, weight in trained.items()}
    with EventStorage(0):
        losses = model(batch)
    sum(losses.values()).backward()
    torch.optim.SGD(trained.values(), lr=0.1).step()
    return losses, {name for name, weight in trained.items() if torch.equal(weight, before[name])}


@examples(120)
@given(keys=fed_keys(), count=st.integers(4, 6), seed=st.integers(0, 99))
def test_any_valid_config_builds_and_takes_a_step(on_synthocc, keys, count, seed):
    cfg = config(keys)
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = build_model(cfg)
    if cfg.MODEL.FED.MEMORY.INIT == "centroids":
        for memory in model.heads.memories.values():
            memory.fill(torch.randn_like(memory.features))
    identities = cfg.MODEL.HEADS.NUM_CLASSES
    images = photos(cfg, count, random)
    assert images.shape == (count, 2, 3, *cfg.INPUT.SIZE_TRAIN)
    targets = torch.arange(count) % identities
    fed = cfg.MODEL.FED
    losses, still = take_a_step(model, {"images": images, "targets": targets})
    assert len(losses) == 3 + 2 * fed.OEM.ENABLED + 2 * fed.FDM.ENABLED
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert {name for name in still if not without_gradient(cfg, name)} == set()
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())
    with torch.no_grad():
        descriptors, visibility, parts = model.eval().describe(images[:, 1])
    assert descriptors.shape == (count, fed.NUM_PARTS * fed.VIT.EMBED_DIM)
    assert torch.isfinite(descriptors).all() and (visibility is None) != fed.OEM.ENABLED
    assert parts.shape == (count, fed.NUM_PARTS, fed.VIT.EMBED_DIM)
    if fed.NORMALIZE_OUTPUT:
        torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(count))


@examples(30)
@given(keys=sizes(), npo=occlusions(views=1), seed=st.integers(0, 99))
def test_any_valid_occlusion_serves_the_stock_baseline(on_synthocc, keys, npo, seed):
    extra = {"INPUT.EXTRA_TRANSFORMS": FED["INPUT.EXTRA_TRANSFORMS"], "MODEL.HEADS.NUM_CLASSES": 4}
    cfg = config({**ALWAYS, **BASELINE, **extra, **keys, **npo})
    torch.manual_seed(seed)
    images = photos(cfg, 4, np.random.default_rng(seed))
    losses, still = take_a_step(
        build_model(cfg), {"images": images, "targets": torch.arange(4), "camids": torch.zeros(4)}
    )
    assert all(torch.isfinite(loss) for loss in losses.values()) and still == set()


def contradictions(keys):
    """Return values that each key takes, but not beside the others."""
    patch, width = keys["MODEL.FED.VIT.PATCH_SIZE"], keys["MODEL.FED.VIT.EMBED_DIM"]
    height = keys["INPUT.SIZE_TRAIN"][0]
    rows = (height - patch) // keys["MODEL.BACKBONE.STRIDE_SIZE"][0] + 1
    wrong = {
        "MODEL.FED.NUM_PARTS": rows + 1,
        "MODEL.FED.VIT.NUM_HEADS": width + 1,
        "MODEL.FED.VIT.PATCH_SIZE": max(keys["INPUT.SIZE_TRAIN"]) + 1,
        "MODEL.FED.VIT.OUTPUT": "cls",
        "MODEL.BACKBONE.STRIDE_SIZE": (0, 0),
        "INPUT.SIZE_TRAIN": [height + 1, height],
        "INPUT.NPO.VIEWS": 1,
        "INPUT.NPO.OCCLUDERS": "not/there",
        "INPUT.EXTRA_TRANSFORMS": (),
        "DATASETS.P_DUKEMTMC.PROTOCOL": "supervised",
    }
    if keys["INPUT.NPO.PLACEMENT"] == "reference":
        wrong |= {"INPUT.NPO.HEIGHT": (0.3, 0.4), "INPUT.NPO.WIDTH": (0.3, 0.4)}
    if keys["MODEL.FED.FDM.ENABLED"]:
        wrong["MODEL.FED.FDM.NUM_NEIGHBORS"] = keys["MODEL.HEADS.NUM_CLASSES"]
        wrong["MODEL.FED.FDM.NUM_HEADS"] = keys["MODEL.FED.NUM_PARTS"] * width + 1
        wrong["MODEL.FED.FDM.NAME"] = "Nobody"
    if keys["MODEL.FED.OEM.ENABLED"]:
        wrong["MODEL.FED.OEM.NAME"] = "Nobody"
    return wrong


JUNK = (None, True, False, -1, 0, 7, 2**40, -0.5, 1.5, float("nan"), float("inf"), "", "other", ())


@st.composite
def broken(draw):
    """Draw the keys of a FED config, and one of them with a value that it must not have."""
    keys = draw(fed_keys())
    wrong = contradictions(keys)
    if draw(booleans):
        key = draw(st.sampled_from(sorted(wrong)))
        return keys | {"DATASETS.TESTS": ("P_DukeMTMC",)}, key, wrong[key]
    key = draw(st.sampled_from(sorted(OWN_KEYS)))
    values = st.sampled_from(JUNK) | st.lists(st.sampled_from(JUNK), max_size=3).map(tuple)
    return keys, key, draw(values.filter(lambda value: not OWN_KEYS[key].takes.accepts(value)))


@examples(300)
@given(case=broken())
def test_any_config_with_one_broken_key_is_refused_by_its_name(monkeypatch, case):
    keys, key, value = case
    monkeypatch.setattr(build, "_root", "/nowhere")
    monkeypatch.setattr(DATASET_REGISTRY, "get", lambda name: pytest.fail(f"looked for {name}"))
    cfg = config(keys)
    *sections, name = key.split(".")
    functools.reduce(getitem, sections, cfg)[name] = value
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^{re.escape(key)}=.*expected "):
        DefaultTrainer(cfg)
