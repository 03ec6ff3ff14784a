"""Who may import whom: the rooms of the design, read from the source."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fed_plugin"

THIRD_PARTY = {
    "modeling": {"torch", "safetensors"},  # the second inside a function: it is optional
    "transforms": {"torch", "numpy", "PIL", "cv2"},
    "datasets": {"PIL", "numpy"},
    "retrieval": {"numpy", "torch", "faiss", "scipy"},  # the last for sparse rows in re-ranking
    "visualization": {"numpy", "cv2", "matplotlib"},
}
ROOMS = {
    "modeling": set(),
    "transforms": set(),
    "datasets": set(),
    "retrieval": set(),
    "visualization": set(),
    "fastreid_adapter": {"modeling", "transforms", "datasets", "retrieval"},
    "cli": {"fastreid_adapter", "visualization", "retrieval", "datasets", "modeling", "transforms"},
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                package = path.relative_to(ROOT).parts[: -node.level]
                yield ".".join((*package, node.module or ""))
            elif node.module == "fed_plugin":
                yield from (f"fed_plugin.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room):
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports_of(path):
            top, *rest = name.split(".")
            where = f"{path.relative_to(ROOT)} imports {name}"
            if top == "fed_plugin":
                if rest and rest[0] in ROOMS and rest[0] != room:
                    assert rest[0] in ROOMS[room], where
            elif room in THIRD_PARTY and top not in sys.stdlib_module_names:
                assert top in THIRD_PARTY[room], where


def test_only_the_adapter_imports_the_host():
    for path in PACKAGE.rglob("*.py"):
        if "fastreid" in {name.split(".")[0] for name in imports_of(path)}:
            assert path.relative_to(PACKAGE).parts[0] == "fastreid_adapter", path


def test_no_file_is_a_drawer_without_a_name():
    names = {path.stem for path in PACKAGE.rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "common", "core", "misc"}


def test_files_fit_in_a_head():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 260
    }
    assert long == {}


def test_the_library_does_not_print():
    printing = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "cli"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    ]
    assert printing == []
