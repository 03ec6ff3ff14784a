"""Contradictions in a config, found before any data is read and without a file."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from fastreid.config import get_cfg
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.solver import optim
from fastreid.utils import comm
from fastreid.utils.registry import Registry
from torch import Tensor

import projects_registry
from fed_plugin.fastreid_adapter.config import (
    Kind,
    check_keys,
    check_p_dukemtmc,
    is_sequence,
    number,
    one_of,
    pair,
    several,
    value_of,
    whole,
)
from fed_plugin.modeling.checkpoints import check_pretrained_path
from fed_plugin.modeling.oem import REDUCTION
from fed_plugin.modeling.vit import VIT_PRESETS, ViTSize
from fed_plugin.transforms.occluders import occluder_files
from fed_plugin.transforms.placement_rule import PlacementRule

# Values of the host's own keys that no run can use, met before it does hours of work.
#
# Only what the host fails on, or silently spoils, stands here; whatever else it takes, it gets.

_OPTIMIZERS = sorted(
    name
    for name, value in vars(optim).items()
    if isinstance(value, type) and not name.startswith("_") and name != "Optimizer"
)
_COUNT, _NONE_OR_MORE = whole(1), whole(0)
_INFINITE = float("inf")


def _all(element: Kind, counts: tuple[int, ...], expected: str) -> Kind:
    """Take sequences of a kind, of one of some lengths; of any but 0 where none is given."""
    return Kind(
        expected,
        lambda value: (
            is_sequence(value)
            and (len(value) in counts if counts else len(value) > 0)
            and all(map(element.accepts, value))
        ),
    )


_size = _all(_COUNT, (1, 2), "[height, width], whole numbers of pixels above 0")
_name = Kind("a name", lambda value: isinstance(value, str) and bool(value))
_rate = number(0, _INFINITE, "a number of 0 or more")
_color = number(-_INFINITE, _INFINITE, "")
_scale = Kind("", lambda value: _color.accepts(value) and value != 0)

KINDS: dict[str, Kind] = {
    "SOLVER.OPT": one_of(*_OPTIMIZERS),
    "SOLVER.SCHED": one_of("MultiStepLR", "CosineAnnealingLR"),
    "SOLVER.BASE_LR": _rate,
    "SOLVER.MAX_EPOCH": _COUNT,
    "SOLVER.IMS_PER_BATCH": _COUNT,
    "SOLVER.CHECKPOINT_PERIOD": _COUNT,
    "TEST.IMS_PER_BATCH": _COUNT,
    "DATALOADER.NUM_WORKERS": _NONE_OR_MORE,
    "INPUT.SIZE_TRAIN": _size,
    "INPUT.SIZE_TEST": _size,
    "MODEL.PIXEL_MEAN": _all(_color, (), "numbers, one for each colour"),
    "MODEL.PIXEL_STD": _all(_scale, (), "numbers other than 0, one for each colour"),
}
"""Kind of the keys that every run reads."""

TRAINING: dict[str, Kind] = {
    "DATASETS.NAMES": _all(_name, (), "names of data sets, one or more"),
    "DATASETS.TESTS": _all(_name, (), "names of data sets, one or more; training ends with them"),
}
"""Kind of keys that only a training reads."""


def check_host_keys(cfg: Any, kinds: dict[str, Kind] = KINDS) -> None:
    """Refuse a value of the host's keys that no run can use.

    Args:
        cfg: a host config.
        kinds: of the keys to look at.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    for key, kind in kinds.items():
        section, name = key.split(".")
        value = cfg[section][name]
        if not kind.accepts(value):
            raise ValueError(f"{key}={value!r}: expected {kind.expected}")


# Where the names of ``INPUT.EXTRA_TRANSFORMS`` are registered, by whatever project.

TRANSFORM_REGISTRY = Registry("TRANSFORM")
TRANSFORM_REGISTRY.__doc__ = """
Registry of training transforms. A registered object is called as ``obj(cfg)``; what it returns
takes what the stock pipeline ends with, a (3, H, W) float tensor in [0, 255].
"""


def is_registered(registry: Registry, name: str) -> bool:
    """Tell whether one of the host's registries knows a name."""
    return name in registry._obj_map


# Contradictions among ``INPUT.NPO`` and ``INPUT.EXTRA_TRANSFORMS``, found without a file.

NPO_NAME = "NPOAugmentation"


def check_npo(cfg: Any) -> PlacementRule:
    """Refuse keys of ``INPUT.NPO`` that are wrong or contradict each other.

    Returns:
        What they say of the placement.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="INPUT.NPO.")
    npo = cfg.INPUT.NPO
    return PlacementRule(
        placement=npo.PLACEMENT,
        height=tuple(npo.HEIGHT),
        width=tuple(npo.WIDTH),
        count=tuple(npo.COUNT),
        people=npo.PEOPLE.PROB,
        people_scale=tuple(npo.PEOPLE.SCALE),
        people_height=tuple(npo.PEOPLE.HEIGHT),
        people_width=tuple(npo.PEOPLE.WIDTH),
    )


def check_extra_transforms(cfg: Any) -> None:
    """Refuse names that nobody registered, and NPO on the two views that NPO has made.

    Raises:
        ValueError: one of these.
    """
    key, names = "INPUT.EXTRA_TRANSFORMS", tuple(cfg.INPUT.EXTRA_TRANSFORMS)
    for name in names:
        if not is_registered(TRANSFORM_REGISTRY, name):
            known = ", ".join(sorted(TRANSFORM_REGISTRY._obj_map))
            raise ValueError(f"{key}={names!r}: {name!r} is not registered; expected {known}")
    if cfg.INPUT.NPO.VIEWS == 2 and names.count(NPO_NAME) > 1:
        raise ValueError(
            f"{key}={names!r}: expected {NPO_NAME} once, as it makes two views of one; try "
            "INPUT.NPO.COUNT for more occluders"
        )


# Contradictions among the keys that describe ``build_fed_vit_backbone``, found without a file.

VIT_NAME = "build_fed_vit_backbone"

_HOST_KINDS = {
    "INPUT.SIZE_TRAIN": pair(whole(1), "[height, width] in pixels, 1 or more"),
    "INPUT.SIZE_TEST": pair(whole(1), "[height, width] in pixels, 1 or more"),
    "MODEL.BACKBONE.STRIDE_SIZE": pair(whole(1), "(vertical, horizontal) pixels, 1 or more"),
    **{
        # All of them dropped would be divided by the 0 that is kept.
        f"MODEL.BACKBONE.{key}": number(0, 0.999, "a share in [0, 1), up to 0.999")
        for key in ("DROP_PATH_RATIO", "DROP_RATIO", "ATT_DROP_RATE")
    },
}


def vit_size(cfg: Any) -> ViTSize:
    """Return the preset of ``MODEL.BACKBONE.DEPTH`` with ``MODEL.FED.VIT`` laid over it.

    Raises:
        ValueError: an unknown preset.
    """
    depth, vit = cfg.MODEL.BACKBONE.DEPTH, cfg.MODEL.FED.VIT
    if depth not in VIT_PRESETS:
        raise ValueError(
            f"MODEL.BACKBONE.DEPTH={depth!r}: expected one of {', '.join(VIT_PRESETS)} "
            "for build_fed_vit_backbone"
        )
    chosen = {
        "num_layers": vit.NUM_LAYERS,
        "embed_dim": vit.EMBED_DIM,
        "num_heads": vit.NUM_HEADS,
        "patch_size": vit.PATCH_SIZE,
    }
    return replace(VIT_PRESETS[depth], **{name: value for name, value in chosen.items() if value})


def check_vit(cfg: Any) -> None:
    """Refuse a ViT that cannot be built, or that could not take the images of the pipeline.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="MODEL.FED.VIT.")
    for key, kind in _HOST_KINDS.items():
        value = value_of(cfg, key)
        if not kind.accepts(value):
            raise ValueError(f"{key}={value!r}: expected {kind.expected}, for {VIT_NAME}")
    size, backbone = vit_size(cfg), cfg.MODEL.BACKBONE
    if size.embed_dim % size.num_heads:
        raise ValueError(
            f"MODEL.FED.VIT.NUM_HEADS={size.num_heads}: expected a divisor of {size.embed_dim}, "
            "the width that MODEL.FED.VIT.EMBED_DIM or MODEL.BACKBONE.DEPTH sets"
        )
    if cfg.MODEL.FED.VIT.OUTPUT == "cls" and backbone.FEAT_DIM != size.embed_dim:
        raise ValueError(
            f"MODEL.BACKBONE.FEAT_DIM={backbone.FEAT_DIM}: expected {size.embed_dim}, the width of "
            "the ViT that MODEL.BACKBONE.DEPTH and MODEL.FED.VIT.EMBED_DIM describe"
        )
    _check_images(cfg, size)


def token_rows(cfg: Any) -> int:
    """Return the rows of the token grid."""
    height, stride = cfg.INPUT.SIZE_TRAIN[0], cfg.MODEL.BACKBONE.STRIDE_SIZE[0]
    return (height - vit_size(cfg).patch_size) // stride + 1


def _check_images(cfg: Any, size: ViTSize) -> None:
    """Refuse image sizes that differ, or that are smaller than a patch."""
    trained, tested = tuple(cfg.INPUT.SIZE_TRAIN), tuple(cfg.INPUT.SIZE_TEST)
    if trained != tested:
        raise ValueError(
            f"INPUT.SIZE_TRAIN={list(trained)} and INPUT.SIZE_TEST={list(tested)}: "
            "expected the same size, a ViT's position embedding fits one"
        )
    crop = cfg.INPUT.CROP
    if crop.ENABLED and tuple(crop.SIZE) != trained:
        raise ValueError(
            f"INPUT.CROP.SIZE={list(crop.SIZE)}: expected {list(trained)}, INPUT.SIZE_TRAIN, as a "
            "ViT's position embedding fits one size"
        )
    if min(trained) < size.patch_size:
        raise ValueError(
            f"MODEL.FED.VIT.PATCH_SIZE={size.patch_size}: expected {min(trained)} or fewer pixels, "
            f"as the images of INPUT.SIZE_TRAIN are {list(trained)}"
        )


OWN_BACKBONE = "build_fed_vit_backbone"

_COLORS = {
    "MODEL.PIXEL_MEAN": several(3, number(-1e6, 1e6, ""), "three numbers"),
    "MODEL.PIXEL_STD": several(3, number(1e-3, 1e6, ""), "three numbers above 0"),
}


def check_config(cfg: Any) -> None:
    """Refuse a config in which a key of this plugin is wrong or contradicts another.

    A config that uses none of them passes, if its values are some that the host can use. Only the
    config is looked at, so that one of a trained model passes where the files of its training are
    not; see ``check_training`` for those.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg)
    check_host_keys(cfg)
    check_npo(cfg)
    check_extra_transforms(cfg)
    check_p_dukemtmc(cfg)
    if cfg.MODEL.META_ARCHITECTURE == "FED":
        check_fed_config(cfg)
    elif cfg.MODEL.BACKBONE.NAME == OWN_BACKBONE:
        check_vit(cfg)


def check_fed_config(cfg: Any) -> None:
    """Refuse a config that the FED meta-architecture cannot train.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="MODEL.FED.")
    fed = cfg.MODEL.FED
    if fed.VIT.OUTPUT != "tokens":
        _refuse("MODEL.FED.VIT.OUTPUT", fed.VIT.OUTPUT, "one of 'tokens' for META_ARCHITECTURE FED")
    if cfg.INPUT.NPO.VIEWS != 2:
        _refuse("INPUT.NPO.VIEWS", cfg.INPUT.NPO.VIEWS, "2 for META_ARCHITECTURE FED")
    if cfg.MODEL.HEADS.NAME != "FEDHead":
        _refuse("MODEL.HEADS.NAME", cfg.MODEL.HEADS.NAME, "'FEDHead' for META_ARCHITECTURE FED")
    for module in ("OEM", "FDM"):
        name = fed[module].NAME
        if fed[module].ENABLED and not is_registered(REID_HEADS_REGISTRY, name):
            _refuse(f"MODEL.FED.{module}.NAME", name, "a name in REID_HEADS_REGISTRY")
    num_classes = cfg.MODEL.HEADS.NUM_CLASSES
    if fed.FDM.ENABLED and num_classes and fed.FDM.NUM_NEIGHBORS >= num_classes:
        _refuse(
            "MODEL.FED.FDM.NUM_NEIGHBORS",
            fed.FDM.NUM_NEIGHBORS,
            f"fewer than the {num_classes} training identities",
        )
    _check_backbone(cfg)
    _check_channels(cfg)
    _check_normalisation(cfg)


def _check_backbone(cfg: Any) -> None:
    """Refuse a backbone without tokens, and parts that do not cut their grid into equal stripes."""
    name, num_parts = cfg.MODEL.BACKBONE.NAME, cfg.MODEL.FED.NUM_PARTS
    known = is_registered(BACKBONE_REGISTRY, name)
    if not known or BACKBONE_REGISTRY.get(name).__module__.startswith("fastreid."):
        _refuse("MODEL.BACKBONE.NAME", name, f"{OWN_BACKBONE!r}, or another that yields tokens")
    if name != OWN_BACKBONE:
        return  # another project's backbone knows its own grid
    check_vit(cfg)
    rows = token_rows(cfg)
    if rows % num_parts:
        _refuse(
            "MODEL.FED.NUM_PARTS",
            num_parts,
            f"a divisor of the {rows} rows of the token grid (INPUT.SIZE_TRAIN "
            f"{cfg.INPUT.SIZE_TRAIN[0]} pixels high, MODEL.BACKBONE.STRIDE_SIZE "
            f"{cfg.MODEL.BACKBONE.STRIDE_SIZE[0]})",
        )


def _check_channels(cfg: Any) -> None:
    """Refuse channels that the OEM or the attention heads of the FDM cannot share out."""
    fed, channels = cfg.MODEL.FED, token_dim(cfg)
    if fed.OEM.ENABLED and channels % REDUCTION:
        _refuse("MODEL.FED.VIT.EMBED_DIM", channels, f"a multiple of {REDUCTION}")
    if fed.FDM.ENABLED and fed.NUM_PARTS * channels % fed.FDM.NUM_HEADS:
        _refuse(
            "MODEL.FED.FDM.NUM_HEADS",
            fed.FDM.NUM_HEADS,
            f"a divisor of the {fed.NUM_PARTS * channels} channels of {fed.NUM_PARTS} parts",
        )


def _check_normalisation(cfg: Any) -> None:
    """Refuse what no colour image can be normalised with."""
    for key, kind in _COLORS.items():
        value = value_of(cfg, key)
        if not kind.accepts(value):
            _refuse(key, value, kind.expected)


def check_targets(targets: Tensor, num_classes: int) -> bool:
    """Say whether all ``targets`` (B,) are identities; negative ones stand for nobody.

    One look at least and most together: on a GPU it is waited for, once.

    Raises:
        ValueError: one is M or more, or M is 0.
    """
    if not num_classes:
        raise ValueError(
            "MODEL.HEADS.NUM_CLASSES=0: expected the number of training identities; fast-reid's "
            "DefaultTrainer counts them, another loop (tools/plain_train_net.py) has to be told"
        )
    least, most = torch.stack((targets.min(), targets.max())).tolist()
    if most >= num_classes:
        raise ValueError(
            f"MODEL.HEADS.NUM_CLASSES={num_classes}: a batch holds target {most}; "
            "expected targets in [0, NUM_CLASSES), try 0 to have them counted"
        )
    return least >= 0


def _refuse(key: str, value: Any, expected: str) -> None:
    raise ValueError(f"{key}={value!r}: expected {expected}")


# Keys of this plugin that were set and that nothing of a training will read: said, not refused.

logger = logging.getLogger("fastreid.fed_plugin.config")


def warn_of_idle_keys(cfg: Any) -> None:
    """Warn where a precision or an occlusion was asked for that will not happen."""
    default = get_cfg()
    method, precision = cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.FED.PRECISION
    if method != "FED" and precision != default.MODEL.FED.PRECISION:
        logger.warning(
            "MODEL.FED.PRECISION=%s changes nothing: META_ARCHITECTURE %s does not read it; try "
            "SOLVER.AMP.ENABLED True on a GPU",
            precision,
            method,
        )
    changed = sorted(_changed(cfg.INPUT.NPO, default.INPUT.NPO, "INPUT.NPO"))
    if changed and NPO_NAME not in cfg.INPUT.EXTRA_TRANSFORMS:
        logger.warning(
            "%s: no image is occluded, as INPUT.EXTRA_TRANSFORMS leaves %s out; try "
            "INPUT.EXTRA_TRANSFORMS \"('%s',)\"",
            ", ".join(changed),
            NPO_NAME,
            NPO_NAME,
        )


def _changed(given: Any, default: Any, name: str) -> Iterator[str]:
    for key, value in given.items():
        if isinstance(value, dict):
            yield from _changed(value, default[key], f"{name}.{key}")
        elif value != default[key]:
            yield f"{name}.{key}={value}"


# What a training needs beyond a config that agrees with itself: looked at first of all.
#
# The host's trainer lists the training set before it builds a model.


def check_training(cfg: Any) -> None:
    """Refuse a config that cannot be trained; no data set is looked for.

    Raises:
        ValueError: see ``check_config``; or too few images in a batch, or another number of views
            than the method takes.
        FileNotFoundError: pretrained weights or a folder of occluders are not there.
    """
    check_config(cfg)
    check_host_keys(cfg, TRAINING)
    extra, is_fed = tuple(cfg.INPUT.EXTRA_TRANSFORMS), cfg.MODEL.META_ARCHITECTURE == "FED"
    if is_fed:
        _check_batch(cfg)
        if not extra:
            raise ValueError(
                f"INPUT.EXTRA_TRANSFORMS=(): expected a transform that makes the two views FED "
                f"learns from; try ('{NPO_NAME}',)"
            )
    if NPO_NAME in extra and cfg.INPUT.NPO.VIEWS == 2 and _is_stock(cfg.MODEL.META_ARCHITECTURE):
        raise ValueError(
            "INPUT.NPO.VIEWS=2: expected 1 for META_ARCHITECTURE "
            f"{cfg.MODEL.META_ARCHITECTURE}, which takes one view of an image"
        )
    if NPO_NAME in extra and cfg.INPUT.NPO.OCCLUDERS:
        occluder_files(cfg.INPUT.NPO.OCCLUDERS)
    backbone = cfg.MODEL.BACKBONE
    if backbone.NAME == OWN_BACKBONE and backbone.PRETRAIN:
        check_pretrained_path(backbone.PRETRAIN_PATH)


def extend_stock_trainer() -> None:
    """Have ``DefaultTrainer`` and trainers derived from it check first; twice is once."""
    projects_registry.after("fastreid.engine.defaults", _check_first)


def _check_first(module: ModuleType) -> None:
    stock = module.DefaultTrainer.__init__
    if getattr(stock, "checks_first", False):
        return

    @functools.wraps(stock)
    def __init__(self: Any, cfg: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        check_training(cfg)
        warn_of_idle_keys(cfg)
        stock(self, cfg, *args, **kwargs)

    __init__.checks_first = True  # type: ignore[attr-defined]
    module.DefaultTrainer.__init__ = __init__


def _check_batch(cfg: Any) -> None:
    images, ranks = cfg.SOLVER.IMS_PER_BATCH, comm.get_world_size()
    if images // ranks < 2:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH={images}: expected 2 or more for each of {ranks} processes, as "
            f"FED normalises over a batch; try {2 * ranks}"
        )


def _is_stock(name: str) -> bool:
    return is_registered(META_ARCH_REGISTRY, name) and (
        META_ARCH_REGISTRY.get(name).__module__.startswith("fastreid.")
    )


def token_dim(cfg: Any) -> int:
    """Return the channels C of the configured backbone's tokens."""
    if cfg.MODEL.BACKBONE.NAME == OWN_BACKBONE:
        return vit_size(cfg).embed_dim
    return cfg.MODEL.BACKBONE.FEAT_DIM
