"""The one room that imports fast-reid; the import of this package registers all parts of FED.

Registered: ``BACKBONE_REGISTRY: build_fed_vit_backbone``; ``REID_HEADS_REGISTRY: FEDHead,
OcclusionErasingModule, FeatureDiffusionModule``; ``META_ARCH_REGISTRY: FED``; the datasets of
``datasets.py``; ``TRANSFORM_REGISTRY: NPOAugmentation``. The config keys of ``config.py`` are added
to the host's defaults.

The import hook imports this package for its mends while fast-reid itself is being imported. The
registration then waits until the import is done, and the hook calls `register` afterwards. Where
this package comes first, its import ends with the other projects: whoever uses it, a command or a
script, sees the keys and names of all.
"""

from __future__ import annotations

from importlib import import_module

import projects_registry
from fed_plugin.console import make_logs_printable
from fed_plugin.fastreid_adapter import mends  # noqa: F401 - before anything of the host runs

_PUBLIC = {
    "FED": "meta_arch",
    "FEDHead": "heads",
    "FeatureDiffusionModule": "heads",
    "NPOAugmentation": "transforms",
    "OcclusionErasingModule": "heads",
    "TRANSFORM_REGISTRY": "transforms",
    "add_fed_config": "config",
    "build_fed_vit_backbone": "backbone",
}
__all__ = [*_PUBLIC, "register"]

_REGISTERING = ("backbone", "heads", "meta_arch", "datasets", "transforms")
_AROUND_THE_HOST = ("seeding", "loaders", "training", "recipes", "config_checks", "run_cards")
_registered = False


def register() -> None:
    """Register everything with the host and add the config keys; a second call does nothing."""
    global _registered
    if _registered:
        return
    _registered = True
    make_logs_printable()
    try:
        import_module(f"{__name__}.config_files").extend_defaults()
        for name in (*_REGISTERING, *_AROUND_THE_HOST):
            import_module(f"{__name__}.{name}")
    except BaseException:
        _registered = False
        raise


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


if not projects_registry.host_import_in_progress():
    register()
    projects_registry.load_others(__name__)
