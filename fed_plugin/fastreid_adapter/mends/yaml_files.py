"""The one reader of YAML, of plans and of the host's configs.

A few lines can stand for billions of values: an alias repeats what its anchor holds.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import yaml

from fed_plugin.fastreid_adapter.mends.mending import Overlay, mend

MOST_VALUES = 20_000
MOST_LETTERS = 1_000_000
MOST_FLOORS = 50
MOST_DIGITS = {"tag:yaml.org,2002:int": 19, "tag:yaml.org,2002:float": 100}
MOST_BASES = 20


class BoundedLoader(yaml.SafeLoader):
    """Safe loader that counts values, as often as aliases repeat them, before it builds any."""

    def __init__(self, text: str, name: str, refuses_twins: bool) -> None:
        super().__init__(text)
        self.name, self._refuses_twins = name, refuses_twins
        self._values = self._floors = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a node; an alias counts as much as its anchor."""
        event, before = self.peek_event(), self._values
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise self._refusal(f"*{event.anchor} is a part of itself", event)
            self._count(self._sizes[id(node)], event)
            return node
        text = event.value if isinstance(event, yaml.ScalarEvent) else ""
        self._count(1 + len(text) * MOST_VALUES // MOST_LETTERS, event)
        self._floors += 1
        if self._floors > MOST_FLOORS:
            raise self._refusal(f"more than {MOST_FLOORS} values in each other", event)
        node = super().compose_node(parent, index)
        self._floors -= 1
        if len(text) > MOST_DIGITS.get(node.tag, MOST_LETTERS):
            raise self._refusal(f"a number of {len(text)} digits; try quotes for a text", event)
        self._sizes[id(node)] = self._values - before
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping; look for keys that stand twice."""
        seen = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen and self._refuses_twins:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r:.60} stands there twice", problem_mark=node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def _count(self, values: int, event: Any) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise self._refusal(
                f"more than {MOST_VALUES} values or {MOST_LETTERS} letters, counted as often as "
                "aliases repeat them",
                event,
            )

    def _refusal(self, problem: str, event: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def load_yaml(source: Any, *, refuses_twins: bool = False) -> Any:
    """Return what a text of YAML, or an open text file, holds.

    Args:
        source: text, or a file with ``read``.
        refuses_twins: whether a key that stands twice is an error; otherwise the last one counts.

    Raises:
        yaml.YAMLError: the text is no YAML, or stands for too much.
    """
    try:
        text = source if isinstance(source, str) else source.read(MOST_LETTERS + 1)
        if len(text) > MOST_LETTERS:
            raise yaml.YAMLError(f"more than {MOST_LETTERS} letters")
        name = str(getattr(source, "name", "<text>"))
        return BoundedLoader(text, name, refuses_twins).get_single_data()
    except yaml.YAMLError:
        raise
    except Exception as error:  # PyYAML's constructors raise any kind on a tag such as !!bool x
        raise yaml.YAMLError(str(error) or type(error).__name__) from error


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of a config by dotted key; tuples become lists, as in JSON and YAML."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = _plain(value)
    return flat


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


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
