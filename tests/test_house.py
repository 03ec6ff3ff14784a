"""The shape of the package: who imports whom, how deep, how long, how often a name stands."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "fed_plugin"
TESTS = ROOT / "tests"

BOTTOM = {"arguments", "console", "files", "identities", "photos", "pool"}
LIBRARIES = {
    "modeling": set(),
    "transforms": set(),
    "datasets": set(),
    "synthocc": set(),
    "retrieval": set(),
    "visualization": set(),
}
STUDIES = {
    "benchmark": set(),
    "search": set(),
    "costs": {"benchmark"},
    "robustness": {"benchmark"},
    "report": {"benchmark", "costs", "robustness"},
}
ROOMS = {
    **LIBRARIES,
    "fastreid_adapter": set(LIBRARIES) - {"visualization"},
    **{study: others | {"fastreid_adapter", *LIBRARIES} for study, others in STUDIES.items()},
    "cli": {*STUDIES, "fastreid_adapter", *LIBRARIES},
}
THIRD_PARTY = {
    "modeling": {"torch", "timm", "safetensors", "numpy"},  # the last two in functions
    "transforms": {"torch", "numpy", "PIL", "cv2"},
    "datasets": {"PIL", "numpy", "faiss", "msgspec"},
    "synthocc": {"PIL", "numpy"},
    "retrieval": {"numpy", "torch", "faiss", "scipy", "msgspec", "tabulate"},
    "visualization": {"numpy", "cv2", "matplotlib"},
    "files": {"numpy", "filelock", "msgspec", "yaml"},
    "photos": {"numpy", "PIL"},
    "console": {"torch", "tqdm"},  # torch inside a function: it names the GPU
}
SMALL_AND_USED_ONCE = {
    "fastreid_adapter.memory_init": "the first content of the memory is a subject of its own",
    "fastreid_adapter.resuming.checkpoint_file": "the layout of a file that other versions read",
    "modeling.losses": "the losses are a subject of their own",
}
MOST_FILES, MOST_LINES = 150, 36_360  # lower them when files or lines go
MOST_FLOORS = 8
MOST_LINES_OF_A_FUNCTION = 45


@lru_cache(maxsize=1)
def trees():
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): (
            path,
            ast.parse(path.read_text(encoding="utf-8")),
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def run_time_nodes(tree):
    """Walk a module without what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from run_time_nodes(node)


def imported_names(path, tree):
    """Yield the dotted names that a module imports, at its top and inside functions."""
    for node in run_time_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def our_module(name):
    """Return the module of this package that holds a dotted name, without the package's name."""
    parts = name.split(".")
    if parts[0] != "fed_plugin":
        return None
    for end in (len(parts), len(parts) - 1):
        module = ".".join(parts[1:end])
        if module in trees():
            return module
    return None


@lru_cache(maxsize=1)
def arrows():
    """Map each module to the modules of this package that it imports."""
    graph = {}
    for module, (path, tree) in trees().items():
        targets = {our_module(name) for name in imported_names(path, tree)}
        graph[module] = targets - {None, module, ""}
    return graph


def room_of(module):
    return module.split(".")[0]


def floors(graph):
    """Count the modules of the longest way down; raise on a circle."""
    heights = {}

    def height(module, way=()):
        assert module not in way, f"a circle of imports: {' -> '.join((*way, module))}"
        if module not in heights:
            below = [height(other, (*way, module)) for other in graph.get(module, ())]
            heights[module] = 1 + max(below, default=0)
        return heights[module]

    return max((height(module) for module in graph), default=0)


def test_no_import_closes_a_circle():
    assert floors(arrows()) > 1


def test_a_circle_would_be_seen():
    with pytest.raises(AssertionError, match="circle"):
        floors({"a": {"b"}, "b": {"a"}})


@pytest.mark.parametrize("room", [*ROOMS, *sorted(BOTTOM)])
def test_a_room_imports_only_what_it_may(room):
    seen = 0
    for module, (path, tree) in trees().items():
        if room_of(module) != room:
            continue
        seen += 1
        for other in arrows()[module]:
            allowed = ROOMS.get(room, set()) | BOTTOM | {room}
            assert room_of(other) in allowed, f"{module} imports {other}"
        for name in imported_names(path, tree):
            top = name.split(".")[0]
            if room in THIRD_PARTY and top not in sys.stdlib_module_names and top != "fed_plugin":
                assert top in THIRD_PARTY[room], f"{module} imports {name}"
    assert seen


def test_only_the_adapter_imports_the_host_and_mends_import_it_in_functions_alone():
    for module, (path, tree) in trees().items():
        tops = {name.split(".")[0] for name in imported_names(path, tree)}
        assert "fastreid" not in tops or room_of(module) == "fastreid_adapter", module
        if module.startswith("fastreid_adapter.mends"):
            heads = {
                name.split(".")[0]
                for name in imported_names(path, ast.Module([*_imports(tree)], []))
            }
            assert not heads & {"fastreid", "torch"}, module


def _imports(tree):
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_no_deeper_than_a_house(room):
    graph = {
        module: {other for other in others if room_of(other) == room}
        for module, others in arrows().items()
        if room_of(module) == room
    }
    assert 1 <= floors(graph) <= MOST_FLOORS


def test_a_small_module_with_one_importer_is_a_section_of_that_importer():
    users = defaultdict(set)
    for module, others in arrows().items():
        for other in others:
            users[other].add(module)
    found = {
        module
        for module, (path, _) in trees().items()
        if len(users[module]) == 1
        and path.name != "__init__.py"
        and len(path.read_text().splitlines()) < 120
    }
    assert found == set(SMALL_AND_USED_ONCE)


def test_a_file_name_stands_once():
    names = Counter(path.stem for path, _ in trees().values())
    twice = {name for name, count in names.items() if count > 1}
    assert twice <= {"__init__", "command"}


def test_no_file_is_a_drawer_without_a_name():
    names = {path.stem for path, _ in trees().values()}
    assert not names & {"utils", "util", "helpers", "common", "core", "misc"}


def test_functions_fit_on_a_screen():
    long = {}
    for module, (_, tree) in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                if lines > MOST_LINES_OF_A_FUNCTION:
                    long[f"{module}.{node.name}"] = lines
    assert long == {}


def test_the_package_is_small_enough_to_hold():
    lines = sum(len(path.read_text().splitlines()) for path, _ in trees().values())
    assert len(trees()) <= MOST_FILES and lines <= MOST_LINES, (len(trees()), lines)


PRINTING = {"cli", "console", "benchmark.runner"}


def test_only_commands_print():
    printing = {
        module
        for module, (path, tree) in trees().items()
        if room_of(module) not in PRINTING and module not in PRINTING and path.stem != "command"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
    }
    assert printing <= {"search.index", "search.search", "search.calibration"}


MAY_WRITE = {
    "files": "the one writer",
    "benchmark.runner": "appends to train.log",
    "benchmark.training_process": "the output of a process",
    "fastreid_adapter.resuming.run_state": "shortens metrics.json in place",
    "search.search": "a config in a temporary folder",
}


def test_files_are_written_by_one_module():
    writing = {
        module
        for module, (_, tree) in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _writes(node)
    }
    assert writing <= set(MAY_WRITE)


def _writes(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    words = [one.value for one in call.args if isinstance(one, ast.Constant)]
    modes = [word for word in words if isinstance(word, str) and len(word) < 4]
    opens = name == "open" and any(set(mode) & set("wax+") for mode in modes)
    return opens or name in ("write_text", "write_bytes", "touch", "mkstemp")


def test_tests_are_named_after_what_they_test():
    modules = {tuple(module.split(".")) for module in trees()}
    whole = {"test_golden", "test_edges", "test_waiting", "test_commands", "test_interruption"}
    whole |= {"test_refused_configs", "test_page_in_a_browser", "test_tracking_video"}
    whole |= {"test_golden_through_the_host"}
    for path in TESTS.rglob("test_*.py"):
        room = path.relative_to(TESTS).parts[:-1]
        words = path.stem.removeprefix("test_").split("_")
        heads = {(*room, "_".join(words[:end])) for end in range(1, len(words) + 1)}
        heads |= {(*room, "__init__")} | ({room} if words[0] == "init" else set())
        named_alone = len(room) == 0 or path.stem in whole
        assert named_alone or heads & modules, path.relative_to(ROOT)
