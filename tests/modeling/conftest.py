"""Golden inputs and weights, rebuilt from ``tests/golden/recipe.py``."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fed_plugin.modeling import (
    FeatureDiffusionModule,
    FEDHead,
    OcclusionErasingModule,
    TokenViT,
    convert_reference_state_dict,
)
from fed_plugin.modeling.vit import ViTSize

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session")
def recipe():
    spec = importlib.util.spec_from_file_location("golden_recipe", GOLDEN / "recipe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden():
    def load(name):
        return SimpleNamespace(
            arrays=dict(np.load(GOLDEN / f"{name}.npz")),
            **json.loads((GOLDEN / f"{name}.json").read_text()),
        )

    return load


class TinyFED(nn.Module):
    """Backbone and head under the names of the FED meta-architecture, without the host."""

    def __init__(self, num_classes, depth):
        super().__init__()
        self.backbone = TokenViT((256, 128), ViTSize(depth, 768, 12), drop_path=0.0)
        self.heads = FEDHead(
            oem=OcclusionErasingModule(4, 768),
            fdm=FeatureDiffusionModule(4, 768),
            num_parts=4,
            embed_dim=768,
            num_classes=num_classes,
        )


@pytest.fixture
def reference_model(recipe):
    """A model with the golden weights and memory, in training mode."""
    weights = {
        name: torch.from_numpy(array)
        for name, array in recipe.reference_state_dict(16, depth=2).items()
    }
    model = TinyFED(num_classes=16, depth=2)
    model.load_state_dict(convert_reference_state_dict(weights))
    model.heads.memory("erased").fill(torch.from_numpy(recipe.inputs(8, 16)[3]))
    return model.train()


@pytest.fixture
def make_head():
    """Build a small head with a filled memory; keywords go to the head or the FDM."""

    def make(num_classes=6, num_parts=4, embed_dim=8, **options):
        torch.manual_seed(0)
        fdm_options = {
            name: options.pop(name)
            for name in ("num_neighbors", "num_heads", "scale", "head_layout")
            if name in options
        }
        fdm_options = {"num_neighbors": 3, "num_heads": 2, **fdm_options}
        modules = {
            "oem": OcclusionErasingModule(num_parts, embed_dim),
            "fdm": FeatureDiffusionModule(num_parts, embed_dim, **fdm_options),
        }
        head = FEDHead(
            num_parts=num_parts,
            embed_dim=embed_dim,
            num_classes=num_classes,
            **{**modules, **options},
        )
        for memory in head.memories.values():
            memory.fill(torch.randn_like(memory.features))
        return head

    return make
