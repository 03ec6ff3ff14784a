"""The mechanism: guards, skipping, rebinding, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import projects_registry
from fed_plugin.fastreid_adapter import mends as mends_module
from fed_plugin.fastreid_adapter.mends import mending


@pytest.fixture
def mends(monkeypatch):
    """An empty table of mends, and the notes that are taken."""
    monkeypatch.setattr(mending, "MENDS", {})
    notes = []
    monkeypatch.setattr(projects_registry, "note", notes.append)
    return notes


def register(applies=True, **moment):
    calls = []

    @mending.mend(row=99, reason="a test", **(moment or {"after": "fastreid.nowhere"}))
    def a_mend(module):
        calls.append(module)
        return applies

    return a_mend, calls


def test_a_mend_that_applies_is_noted_once_and_does_not_apply_twice(mends):
    a_mend, calls = register()
    module = ModuleType("fastreid.nowhere")
    assert a_mend(module) is True
    assert a_mend(module) is False
    assert calls == [module]
    assert mends == ["a_mend"]
    assert mending.MENDS["a_mend"].applied
    mending.forget(module)
    assert a_mend(module) is True


def test_a_mend_whose_defect_is_absent_leaves_no_trace(mends):
    a_mend, _ = register(applies=False)
    assert not a_mend(ModuleType("fastreid.nowhere"))
    assert mends == []
    assert not mending.MENDS["a_mend"].applied


def test_a_skipped_mend_is_not_even_asked(mends, monkeypatch):
    a_mend, calls = register()
    monkeypatch.setenv("FASTREID_COMPAT_SKIP", "other, a_mend")
    assert a_mend(ModuleType("fastreid.nowhere")) is False
    assert calls == []


def test_unknown_names_to_skip_are_warned_about(mends, monkeypatch, log):
    register()
    monkeypatch.setenv("FASTREID_COMPAT_SKIP", "a_mend,tpyo")
    monkeypatch.setattr(projects_registry, "after", lambda name, function: None)
    monkeypatch.setattr(projects_registry, "before", lambda name, function: None)
    mending.arm()
    assert "got tpyo" in log.text


def test_every_mend_is_handed_to_the_import_hook_at_its_moment(mends, monkeypatch):
    register(before="fastreid.first")
    monkeypatch.setitem(mending.MENDS, "later", mending.MENDS.pop("a_mend"))
    register(after=("fastreid.second", "fastreid.third"))
    seen = []
    monkeypatch.setattr(projects_registry, "after", lambda n, f: seen.append(("after", n, f)))
    monkeypatch.setattr(projects_registry, "before", lambda n, f: seen.append(("before", n, f)))
    mending.arm()
    handed = {(moment, name) for moment, name, function in seen if function is not mending.forget}
    assert handed == {
        ("before", "fastreid.first"),
        ("after", "fastreid.second"),
        ("after", "fastreid.third"),
    }


def test_a_replaced_name_is_rebound_wherever_the_host_had_copied_it(monkeypatch):
    old, new = object(), object()
    source, copied, stranger = (
        ModuleType("fastreid.source"),
        ModuleType("fastreid.copied"),
        ModuleType("fastreidish"),
    )
    source.name = copied.alias = stranger.name = old
    copied.other = 1
    for module in (source, copied, stranger):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    mending.replace(source, "name", new)
    assert source.name is new
    assert copied.alias is new
    assert copied.other == 1
    assert stranger.name is old


def test_an_overlay_differs_in_its_names_and_passes_the_rest_on():
    overlay = mending.Overlay(np, array=len)
    assert overlay.array is len
    assert overlay.ndarray is np.ndarray
    assert np.array is not len
    with pytest.raises(AttributeError):
        _ = overlay.no_such_name


def test_the_table_covers_its_rows_and_every_mend_says_why():
    rows = {entry.row for entry in mends_module.MENDS.values()}
    assert rows >= {*range(1, 12), 14, *range(16, 23)}
    for entry in mends_module.MENDS.values():
        assert entry.reason
        assert entry.host_modules
        assert entry.moment in ("before", "after")


def test_importing_the_mends_imports_neither_torch_nor_numpy_nor_the_host():
    heavy = ("torch", "numpy", "fastreid", "cv2", "faiss")
    code = (
        "import sys, projects_registry\n"
        "projects_registry.host_import_in_progress = lambda: True\n"
        "import fed_plugin.fastreid_adapter.mends\n"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


@pytest.mark.defect_since("torch", "2.9")
def test_the_hook_applies_the_mends_to_the_host_that_this_process_imported():
    import fastreid.engine  # noqa: F401

    missing = [
        entry.name
        for entry in mends_module.MENDS.values()
        if not entry.applied
        and all(name in sys.modules for name in entry.host_modules)
        and entry.name != "ranking_finds_np_bool"  # its defect ended with NumPy 2
    ]
    assert missing == []
