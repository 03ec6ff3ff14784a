"""Write the tables of docs/configuration.md from the keys that ``config.py`` declares.

Name and default come from the declaration, the meaning from the comment right above it, what a key
takes from ``key_checks.py``, and who sets it from ``configs/FED/``.

``python benchmarks/configuration_page.py`` rewrites them, ``--check`` only tells whether they are
current.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fed_plugin.fastreid_adapter import config
from fed_plugin.fastreid_adapter.config import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
CONFIGS = ROOT / "configs" / "FED"
PLACE = re.compile(r"(<!-- keys (\S+) -->\n).*?(<!-- /keys -->)", re.DOTALL)
VARIANTS = ("_fed_plus", "_baseline")


class LineNode(dict):
    """A config node that remembers in which line of ``config.py`` each of its keys was set."""

    def __init__(self) -> None:
        super().__init__()
        super().__setattr__("lines", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value
        self.lines[name] = inspect.currentframe().f_back.f_lineno  # type: ignore[union-attr]

    def __getattr__(self, name: str) -> Any:
        return self[name]


def declared(node: Any = None, prefix: str = "") -> Iterator[tuple[str, Any, int]]:
    """Yield every key with its dots, its default, and the line that declares it."""
    node = config.declare(LineNode) if node is None else node
    for name, value in node.items():
        if isinstance(value, LineNode):
            yield from declared(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, node.lines[name]


def meaning(line: int, source: list[str]) -> str:
    """Return the comment that stands right above a line, counted from 1.

    Raises:
        ValueError: none does.
    """
    words: list[str] = []
    for text in reversed(source[: line - 1]):
        if not text.lstrip().startswith("# "):
            break
        words.insert(0, text.strip().removeprefix("# "))
    if not words:
        raise ValueError(
            f"{config.__file__}:{line}: expected a comment above {source[line - 1].strip()!r}, got "
            "none; try a sentence that says meaning, unit or range, and the reference's value"
        )
    return " ".join(words)


def set_by(key: str) -> str:
    """Say which configs of ``configs/FED/`` set a key, and to what; leaves of a variant as one."""
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
    """Render the keys that begin with ``section`` (``other``: those of no other table)."""
    source = Path(config.__file__).read_text(encoding="utf-8").splitlines()
    rows = ["| key | default | takes | meaning | set by |", "|---|---|---|---|---|"]
    for key, default, line in declared():
        if _section(key) == section:
            cells = (
                f"`{key}`",
                f"`{default!r}`",
                KINDS[key].expected,
                meaning(line, source),
                set_by(key),
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if len(rows) == 2:
        raise ValueError(f"{PAGE.name}: <!-- keys {section} -->: expected a section that has keys")
    return "\n".join(rows) + "\n"


def _section(key: str) -> str:
    sections = ("MODEL.FED", "INPUT.NPO", "DATASETS")
    return next((name for name in sections if key.startswith(f"{name}.")), "other")


def rendered(text: str) -> str:
    """Return the page with its tables written anew."""
    return PLACE.sub(lambda found: found[1] + table(found[2]) + found[3], text)


def main(words: list[str]) -> int:
    """Rewrite the page, or with ``--check`` say whether that would change it."""
    old = PAGE.read_text(encoding="utf-8")
    new = rendered(old)
    if words == ["--check"]:
        if old != new:
            print(
                "docs/configuration.md: expected the keys that are declared, got older ones; try "
                "`python benchmarks/configuration_page.py`"
            )
        return int(old != new)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
