"""Backbones from a host config: the ViT of the reference, and any model of timm by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastreid.modeling.backbones import BACKBONE_REGISTRY, build_backbone
from torch import nn

from fed_plugin.fastreid_adapter.config import OWN_BACKBONE, TIMM, WITH_VISIBILITY, naming_keys
from fed_plugin.fastreid_adapter.config_checks import (
    TIMM_KEYS,
    check_config,
    pretrained_path,
    timm_facts,
    timm_stride,
    token_dim,  # noqa: F401 - other projects import it from here
    vit_size,
)
from fed_plugin.fastreid_adapter.config_files import find_config, read_config
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step
from fed_plugin.modeling.backbones import TimmBackbone
from fed_plugin.modeling.vit import TokenViT
from fed_plugin.modeling.weight_loading import load_weights


@BACKBONE_REGISTRY.register()
def build_fed_vit_backbone(cfg: Any) -> TokenViT:
    """Build the ViT that keeps its tokens, with ImageNet weights if the config names them.

    Raises:
        ValueError: keys that contradict each other, see ``check_config``; or a file that holds
            other weights.
        FileNotFoundError: no file at ``MODEL.BACKBONE.PRETRAIN_PATH``.
    """
    check_config(cfg)
    backbone, vit = cfg.MODEL.BACKBONE, cfg.MODEL.FED.VIT
    model = TokenViT(
        tuple(cfg.INPUT.SIZE_TRAIN),
        vit_size(cfg),
        stride=tuple(backbone.STRIDE_SIZE),
        output=vit.OUTPUT,
        **_rates(cfg),
    )
    if backbone.PRETRAIN:
        _load(cfg, model, interpolation="bilinear")  # as the released code
    return model


def build_timm_backbone(cfg: Any) -> TimmBackbone:
    """Build the model of timm that ``MODEL.BACKBONE.NAME`` names after ``timm:``.

    FED gets features, and so does BaselineWithVisibility of a model with a cls token; others get
    what fast-reid's heads pool: the vector of a model with a cls token, else the map.

    Raises:
        ValueError: as :func:`build_fed_vit_backbone`.
    """
    check_config(cfg)
    backbone = cfg.MODEL.BACKBONE
    name, of_timm = backbone.NAME.removeprefix(TIMM), backbone.PRETRAIN_PATH == "timm"
    size, stride = tuple(cfg.INPUT.SIZE_TRAIN), timm_stride(cfg)
    with naming_keys(**TIMM_KEYS):
        pretrained = backbone.PRETRAIN and of_timm
        model = TimmBackbone(name, size, stride, pretrained=pretrained, **_rates(cfg))
    if backbone.PRETRAIN and not of_timm:
        _load(cfg, model.model)
    method = cfg.MODEL.META_ARCHITECTURE
    if method != "FED":
        pooled = "features" if method == WITH_VISIBILITY else "vector"
        model.output = pooled if "cls" in model.prefix_tokens else "map"
    return model


WEIGHT_KEYS = {
    "path": "MODEL.BACKBONE.PRETRAIN_PATH",
    "source_grid": "MODEL.FED.VIT.PRETRAIN_GRID",
    "pixels": "MODEL.PIXEL_MEAN",
    "activation": "MODEL.FED.VIT.PRETRAIN_ACTIVATION",
    "resample_patch": "MODEL.FED.VIT.RESAMPLE_PATCH",
}


def weight_options(cfg: Any) -> dict[str, Any]:
    """Return the arguments of ``load_weights`` that a config sets, its words filled in."""
    pixels, vit = (cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD), cfg.MODEL.FED.VIT
    return {
        "source_grid": tuple(vit.PRETRAIN_GRID),
        "activation": vit.PRETRAIN_ACTIVATION,
        "resample_patch": vit.RESAMPLE_PATCH,
        "pixels": cfg.MODEL.BACKBONE.get("PIXEL_WORD", pixels),
    }


def _load(cfg: Any, model: nn.Module, **options: Any) -> None:
    with naming_keys(**WEIGHT_KEYS):
        load_weights(model, pretrained_path(cfg), **weight_options(cfg), **options)


def backbone_to_fill(config_file: str) -> tuple[Any, dict[str, Any]]:
    """Return the backbone of a config without its weights, and how the config would load them.

    Raises:
        FileNotFoundError: no such config.
        ValueError: keys that contradict each other.
    """
    cfg = read_config(find_config(config_file), [])
    cfg.MODEL.BACKBONE.PRETRAIN = False
    filled = filled_in(cfg)
    model = build_backbone(filled)
    return getattr(model, "model", model), weight_options(filled)


def _rates(cfg: Any) -> dict[str, Any]:
    backbone = cfg.MODEL.BACKBONE
    return {
        "drop_path": backbone.DROP_PATH_RATIO,
        "drop": backbone.DROP_RATIO,
        "attn_drop": backbone.ATT_DROP_RATE,
        "recompute": cfg.MODEL.FED.VIT.RECOMPUTE,
    }


class _WithTimm(type(BACKBONE_REGISTRY)):  # type: ignore[misc]
    """Registry that knows every name of timm, after ``timm:``."""

    def get(self, name: str) -> Any:
        """Return the builder of a name."""
        return build_timm_backbone if name.startswith(TIMM) else super().get(name)


BACKBONE_REGISTRY.__class__ = _WithTimm


REID_PIXELS = (127.5, 127.5, 127.5)
"""Mean and deviation that re-ID projects fine-tune a ViT with, and of timm's ViT weights."""
IMAGENET_PIXELS = {"PIXEL_MEAN": (123.675, 116.28, 103.53), "PIXEL_STD": (58.395, 57.12, 57.375)}


@host_step("fastreid.modeling.meta_arch.build", "build_model")
def fill_in_the_backbone(call: Call) -> Iterator[None]:
    """Build the model from a config that holds what is known of its backbone."""
    filled = filled_in(call.argument("cfg"))
    call.args, call.kwargs = (
        (filled, *call.args[1:]),
        {name: value for name, value in call.kwargs.items() if name != "cfg"},
    )
    yield


def filled_in(cfg: Any) -> Any:
    """Return a config with numbers for the words of ``MODEL.PIXEL_*``, and timm's ``FEAT_DIM``.

    Raises:
        ValueError: timm has no such model, or the model takes no such images.
    """
    name = cfg.MODEL.BACKBONE.NAME
    words = [key for key in IMAGENET_PIXELS if isinstance(cfg.MODEL[key], str)]
    if not words and not name.startswith(TIMM):
        return cfg
    check_config(cfg)
    facts = timm_facts(cfg) if name.startswith(TIMM) else None
    cfg = cfg.clone()
    cfg.defrost()
    if facts is not None:
        cfg.MODEL.BACKBONE.FEAT_DIM = facts.channels
    for key in words:
        pixels = getattr(facts, key.lower()) if facts is not None else IMAGENET_PIXELS[key]
        if cfg.MODEL[key] == "reid":
            cfg.MODEL.BACKBONE.PIXEL_WORD = "reid"
        if cfg.MODEL[key] == "reid" or name == OWN_BACKBONE:
            pixels = REID_PIXELS
        cfg.MODEL[key] = list(pixels)
    return cfg
