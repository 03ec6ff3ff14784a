"""Where the names of ``INPUT.EXTRA_TRANSFORMS`` are registered, by whatever project."""

from __future__ import annotations

from fastreid.utils.registry import Registry

TRANSFORM_REGISTRY = Registry("TRANSFORM")
TRANSFORM_REGISTRY.__doc__ = """
Registry of training transforms. A registered object is called as ``obj(cfg)``; what it returns
takes what the stock pipeline ends with, a (3, H, W) float tensor in [0, 255].
"""


def is_registered(registry: Registry, name: str) -> bool:
    """Tell whether one of the host's registries knows a name."""
    return name in registry._obj_map
