"""The maths of FED, in PyTorch alone: no config, no toolbox, no images on disk.

A training step passes through the files in this order: ``vit`` (images to tokens), ``parts``
(tokens to stripes), ``oem`` (visibility, its targets, and erasing), ``memory`` (neighbours),
``fdm`` (diffusion), ``losses``. ``head`` joins them; ``checkpoints`` reads weights.
"""

from __future__ import annotations

from fed_plugin.modeling.checkpoints import convert_reference_state_dict
from fed_plugin.modeling.fdm import FeatureDiffusionModule
from fed_plugin.modeling.head import FEDHead, HeadOutputs
from fed_plugin.modeling.memory import IdentityMemory
from fed_plugin.modeling.oem import OcclusionErasingModule, visibility_target
from fed_plugin.modeling.vit import VIT_PRESETS, TokenViT

__all__ = [
    "VIT_PRESETS",
    "FEDHead",
    "FeatureDiffusionModule",
    "HeadOutputs",
    "IdentityMemory",
    "OcclusionErasingModule",
    "TokenViT",
    "convert_reference_state_dict",
    "visibility_target",
]
