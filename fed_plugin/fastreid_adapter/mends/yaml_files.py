"""The mend that has the host read its configs with the bounded reader of YAML."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from fed_plugin.fastreid_adapter.mends.mending import Overlay, mend
from fed_plugin.files import load_yaml

MOST_BASES = 20


@mend("A config can stand for more than memory holds", after="fastreid.config.config")
def configs_are_bounded(module: ModuleType) -> bool:
    """Read configs, and what stands under ``_BASE_``, with `load_yaml` and from plain files."""
    if isinstance(module.yaml, Overlay):
        return False
    stock, opened = module.CfgNode.load_yaml_with_base, list[str]()

    def load_yaml_with_base(filename: str, allow_unsafe: bool = False) -> Any:
        name = str(filename)
        place = name if "://" in name else os.path.realpath(os.path.expanduser(name))
        if os.path.exists(place) and not os.path.isfile(place):
            raise OSError(f"expected a file, got a folder, a pipe or a device, {name}")
        if place in opened or len(opened) == MOST_BASES:
            raise ValueError(
                f"{len(opened)} files stand on each other with _BASE_, the next is {name}; "
                f"expected {MOST_BASES} or fewer, none of them twice"
            )
        opened.append(place)
        try:
            return stock(filename, allow_unsafe=allow_unsafe)
        finally:
            opened.pop()

    module.yaml = Overlay(module.yaml, safe_load=load_yaml)
    module.CfgNode.load_yaml_with_base = staticmethod(load_yaml_with_base)
    return True
