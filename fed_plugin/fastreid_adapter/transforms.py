"""Names in ``INPUT.EXTRA_TRANSFORMS``, built from the config and appended to the stock pipeline."""

from __future__ import annotations

from typing import Any

from fastreid.data import transforms as host_transforms
from fastreid.data.transforms import build as host_build
from fastreid.utils.registry import Registry

from fed_plugin import transforms
from fed_plugin.fastreid_adapter.compat import rebind

TRANSFORM_REGISTRY = Registry("TRANSFORM")
TRANSFORM_REGISTRY.__doc__ = """
Registry of training transforms. A registered object is called as ``obj(cfg)``; what it returns
takes what the stock pipeline ends with, a (3, H, W) float tensor in [0, 255].
"""


@TRANSFORM_REGISTRY.register()
class NPOAugmentation(transforms.NPOAugmentation):
    """``transforms.NPOAugmentation`` with the occluders that ``INPUT.NPO.OCCLUDERS`` names."""

    def __init__(self, cfg: Any) -> None:
        folder, probability = cfg.INPUT.NPO.OCCLUDERS, cfg.INPUT.NPO.PROB
        if not 0 <= probability <= 1:
            raise ValueError(f"INPUT.NPO.PROB={probability!r}: expected a share in [0, 1]")
        occluders = (
            transforms.OccluderSet.from_folder(folder, key="INPUT.NPO.OCCLUDERS")
            if folder
            else transforms.drawn_occluders()
        )
        super().__init__(occluders, probability=probability)


def extend_stock_pipeline() -> None:
    """Let the host's ``build_transforms`` read ``INPUT.EXTRA_TRANSFORMS``; twice is once."""
    stock = host_build.build_transforms
    if getattr(stock, "reads_extra_transforms", False):
        return

    def build_transforms(cfg: Any, is_train: bool = True) -> Any:
        pipeline = stock(cfg, is_train)
        if is_train:
            pipeline.transforms.extend(
                TRANSFORM_REGISTRY.get(name)(cfg) for name in cfg.INPUT.EXTRA_TRANSFORMS
            )
        return pipeline

    build_transforms.__doc__ = stock.__doc__
    build_transforms.reads_extra_transforms = True
    host_transforms.build_transforms = build_transforms
    rebind(stock, build_transforms)
