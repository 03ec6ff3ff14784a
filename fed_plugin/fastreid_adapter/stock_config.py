"""The host's config object, extended: the plugin's keys in its defaults, stock dumps unchanged."""

from __future__ import annotations

from typing import Any

from fastreid.config import CfgNode, defaults

from fed_plugin.fastreid_adapter.config import add_fed_config, prune_defaults


def extend_defaults() -> None:
    """Add the plugin's keys to the host's defaults, and leave them out of dumps that use none."""
    add_fed_config(defaults._C)
    if getattr(CfgNode.dump, "prunes_fed_keys", False):
        return
    stock_dump = CfgNode.dump

    def dump(self: Any, **arguments: Any) -> str:
        return stock_dump(prune_defaults(self), **arguments)

    dump.__doc__ = stock_dump.__doc__
    dump.prunes_fed_keys = True
    CfgNode.dump = dump
