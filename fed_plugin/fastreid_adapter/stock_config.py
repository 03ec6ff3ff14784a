"""The host's config object, extended: the plugin's keys in its defaults, stock dumps unchanged.

Values of a wrong type are refused in words, for every key: yacs does not convert a whole number to
a float, and says so by two classes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from fastreid.config import CfgNode, defaults

from fed_plugin.fastreid_adapter.config import add_fed_config, prune_defaults

_TYPE_MISMATCH = re.compile(
    r"Type mismatch \(<class '(?:\w+\.)*(\w+)'> vs\. <class '(?:\w+\.)*(\w+)'>\) with values "
    r"\((.*) vs\. (.*)\) "
    r"for config key: (\S+)",
    re.DOTALL,
)
"""What yacs says of a value whose type it does not convert."""


class TypeMismatchError(ValueError):
    """A value of another type than its key's; yacs converts few."""


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
    for name in ("merge_from_list", "merge_from_other_cfg"):
        setattr(CfgNode, name, _in_words(getattr(CfgNode, name)))


def _in_words(merge: Callable[..., None]) -> Callable[..., None]:
    """Have a method of the config say which type a key wants."""

    @functools.wraps(merge)
    def merge_in_words(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            merge(self, *args, **kwargs)
        except ValueError as error:
            found = _TYPE_MISMATCH.search(str(error))
            if found is None:
                raise
            raise TypeMismatchError(_sentence(*found.groups())) from error

    return merge_in_words


def _sentence(expected: str, got: str, example: str, value: str, key: str) -> str:
    """Say what a key wants, what it got, and of a whole number how it is written as a float."""
    if "CfgNode" in (expected, got):
        which = "keys below it" if expected == "CfgNode" else f"a value such as {example}"
        return f"{key}: expected {which}, got {'keys' if got == 'CfgNode' else value}"
    said = f"{key}={value}: expected {expected}, such as {example}, got {got}"
    return f"{said}; try {value}.0" if (expected, got) == ("float", "int") else said
