"""What a training needs beyond a config that agrees with itself: looked at first of all.

The host's trainer lists the training set before it builds a model.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from fastreid.modeling.meta_arch.build import META_ARCH_REGISTRY
from fastreid.utils import comm

import projects_registry
from fed_plugin.fastreid_adapter.config_checks import OWN_BACKBONE, check_config
from fed_plugin.fastreid_adapter.host_key_checks import TRAINING, check_host_keys
from fed_plugin.fastreid_adapter.idle_keys import warn_of_idle_keys
from fed_plugin.fastreid_adapter.npo_checks import NAME as NPO
from fed_plugin.fastreid_adapter.transform_registry import is_registered
from fed_plugin.modeling.pretrained import check_pretrained_path
from fed_plugin.transforms.occluders import occluder_files


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
                f"learns from; try ('{NPO}',)"
            )
    if NPO in extra and cfg.INPUT.NPO.VIEWS == 2 and _is_stock(cfg.MODEL.META_ARCHITECTURE):
        raise ValueError(
            "INPUT.NPO.VIEWS=2: expected 1 for META_ARCHITECTURE "
            f"{cfg.MODEL.META_ARCHITECTURE}, which takes one view of an image"
        )
    if NPO in extra and cfg.INPUT.NPO.OCCLUDERS:
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
