"""Write the tables of docs/configuration.md, and docs/config.schema.json, from the table of keys.

The table is in ``fed_plugin/fastreid_adapter/config.py``; ``configs/FED/`` holds who sets a key.
``python benchmarks/configuration_page.py`` writes both files, ``--check`` compares them.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from fed_plugin.fastreid_adapter.config import HOST, KEYS, OWN_KEYS, Key

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
SCHEMA = ROOT / "docs" / "config.schema.json"
CONFIGS = ROOT / "configs" / "FED"
PLACE = re.compile(r"(<!-- keys (\S+) -->\n).*?(<!-- /keys -->)", re.DOTALL)
VARIANTS = ("_fed_plus", "_baseline")
SECTIONS = ("MODEL.FED", "INPUT.NPO", "DATASETS")


def set_by(key: str) -> str:
    """Return which configs of ``configs/FED/`` set a key, and to what; a variant counts as one."""
    values: dict[str, list[str]] = {}
    for stem, leaf in _leaves().items():
        node: Any = leaf
        for name in key.split("."):
            node = node.get(name) if isinstance(node, dict) else None
        if node is not None:
            values.setdefault(str(node), []).append(stem)
    return "; ".join(f"`{value}` in {_names(stems)}" for value, stems in values.items())


@functools.cache
def _leaves() -> dict[str, Any]:
    paths = sorted(CONFIGS.glob("*.yml"))
    return {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in paths}


def _names(stems: list[str]) -> str:
    names = list(stems)
    for variant in VARIANTS:
        every = [stem for stem in _leaves() if stem.endswith(variant)]
        if len(every) > 1 and set(every) <= set(names):
            names = [f"*{variant}", *(name for name in names if name not in every)]
    return ", ".join(f"`{name}`" for name in names)


def table(section: str) -> str:
    """Render the rows of a section: its prefix, ``other``, or ``host`` for keys of fast-reid."""
    keys = [key for key in KEYS if _section(key) == section]
    if not keys:
        raise ValueError(f"{PAGE.name}: <!-- keys {section} -->: expected a section that has keys")
    if section == "host":
        heads = ("key", "takes", "meaning", "checked for")
        rows = [(f"`{k.path}`", k.takes.expected, k.words, k.only_for or "every run") for k in keys]
    else:
        heads = ("key", "default", "takes", "meaning", "set by")
        rows = [
            (f"`{k.path}`", f"`{k.default!r}`", k.takes.expected, k.words, set_by(k.path))
            for k in keys
        ]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines]) + "\n"


def _section(key: Key) -> str:
    if key.default is HOST:
        return "host"
    return next((name for name in SECTIONS if key.path.startswith(f"{name}.")), "other")


def schema() -> str:
    """Return a JSON Schema of config files for editors, as text.

    A section that holds keys of this plugin alone refuses other keys; fast-reid's sections do not.
    """
    root: dict[str, Any] = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configs of fast-reid with fed_plugin",
        "type": "object",
        "properties": {"_BASE_": {"type": "string"}},
    }
    for key in KEYS:
        if key.only_for:
            continue
        node, place = root, ""
        *sections, name = key.path.split(".")
        for section in sections:
            place = f"{place}{section}."
            node = node["properties"].setdefault(section, {"type": "object", "properties": {}})
            under = [k for k in KEYS if k.path.startswith(place)]
            if all(k.path in OWN_KEYS for k in under):
                node["additionalProperties"] = False
        node["properties"][name] = _described(key)
    return json.dumps(root, indent=1) + "\n"


def _described(key: Key) -> dict[str, Any]:
    kind: dict[str, Any] = dict(key.takes.schema)
    if '"array"' in json.dumps(kind):  # yacs also takes a tuple in Python's words
        kind = {"anyOf": [kind, {"type": "string", "pattern": r"^[(\[].*[)\]]$"}]}
    words = f"{key.words} Expected: {key.takes.expected}."
    if key.default is HOST:
        return {"description": words, **kind}
    return {"description": words, "default": key.default, **kind}


def rendered(text: str) -> str:
    """Return the page with new tables."""
    return PLACE.sub(lambda match: match[1] + table(match[2]) + match[3], text)


def main(words: list[str]) -> int:
    """Write page and schema; with ``--check`` compare them and return 1 if one is outdated."""
    outdated = 0
    new = {PAGE: rendered(PAGE.read_text(encoding="utf-8")), SCHEMA: schema()}
    for path, text in new.items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if words == ["--check"]:
            outdated = 1
            print(
                f"docs/{path.name}: expected the keys of config.py, got older ones; try "
                "`python benchmarks/configuration_page.py`"
            )
        else:
            path.write_text(text, encoding="utf-8")
    return outdated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
