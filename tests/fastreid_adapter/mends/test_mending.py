"""The mechanism: guards, skipping, rebinding, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import projects_registry
from fed_plugin.fastreid_adapter import mends as mends_module
from fed_plugin.fastreid_adapter.mends import mending

ROOT = Path(__file__).parents[3]


@pytest.fixture
def mends(monkeypatch):
    """An empty table of mends, and the notes that are taken."""
    monkeypatch.setattr(mending, "MENDS", {})
    notes = []
    monkeypatch.setattr(projects_registry, "note", notes.append)
    return notes


def register(applies=True, **moment):
    calls = []

    @mending.mend("A test", **(moment or {"after": "fastreid.nowhere"}))
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


def test_a_mend_that_an_earlier_version_had_may_still_be_skipped(mends, monkeypatch, log):
    monkeypatch.setenv("FASTREID_COMPAT_SKIP", "checkpoints_execute_nothing")
    mending.arm()
    assert "checkpoints_execute_nothing: not needed any more" in log.text
    assert "expected names" not in log.text


def defects_of_the_page():
    """Map the headings of the defects on the page to their text."""
    page = (ROOT / "docs" / "host_defects.md").read_text(encoding="utf-8")
    part = page.partition("\n## Defects\n")[2].partition("\n## ")[0]
    sections = [section.split("\n", 1) for section in part.split("\n### ")[1:]]
    return {heading.strip(): text for heading, text in sections}


def test_every_mend_has_its_heading_on_the_page_and_every_heading_its_mend():
    mends = mends_module.MENDS.values()
    page = defects_of_the_page()
    assert {entry.defect for entry in mends} == set(page)
    for entry in mends:
        assert f"`{entry.name}`" in page[entry.defect]
        assert entry.host_modules and entry.moment in ("before", "after")


class TestSteps:
    @pytest.fixture
    def host(self, monkeypatch):
        """A host module with a function, and a module that has copied the function."""
        module, copied = ModuleType("fastreid.some"), ModuleType("fastreid.other")

        def work(cfg, number=1):
            calls.append(("host", cfg, number))
            if number < 0:
                raise KeyError("below zero")
            return number

        calls = []
        module.work = copied.work = work
        module.calls = calls
        for one in (module, copied):
            monkeypatch.setitem(sys.modules, one.__name__, one)
        return module

    @staticmethod
    def step(calls, name):
        def noted(call):
            calls.append(f"{name} before")
            yield
            calls.append(f"{name} after {type(call.error).__name__}")

        noted.__qualname__ = name
        return noted

    def test_steps_share_one_wrapper_and_the_newest_is_the_outermost(self, host):
        assert mending.add_step(host, "work", self.step(host.calls, "inner"))
        wrapper = host.work
        assert mending.add_step(host, "work", self.step(host.calls, "outer"))
        assert not mending.add_step(host, "work", self.step(host.calls, "outer"))
        assert host.work is wrapper is sys.modules["fastreid.other"].work
        assert mending.step_names(host.work) == ["outer", "inner"]
        assert host.work("c", number=2) == 2
        assert host.calls == [
            *("outer before", "inner before", ("host", "c", 2)),
            *("inner after NoneType", "outer after NoneType"),
        ]

    def test_a_step_changes_arguments_function_and_result(self, host):
        def change(call):
            assert (call.argument("cfg"), call.argument("number", 7)) == ("c", 7)
            call.args, call.function = ("d", 3), lambda cfg, number: (cfg, number)
            yield
            call.result = (*call.result, "more")

        mending.add_step(host, "work", change)
        assert host.work("c") == ("d", 3, "more")

    def test_every_step_sees_an_error_and_may_exchange_it(self, host):
        def exchange(call):
            yield
            call.error = ValueError(f"cfg={call.argument('cfg')}: {call.error}")

        mending.add_step(host, "work", self.step(host.calls, "inner"))
        mending.add_step(host, "work", exchange)
        mending.add_step(host, "work", self.step(host.calls, "outer"))
        with pytest.raises(ValueError, match="cfg=c: 'below zero'") as caught:
            host.work("c", -1)
        assert host.calls[-2:] == ["inner after KeyError", "outer after ValueError"]
        assert isinstance(caught.value.__cause__, KeyError)

    def test_a_step_that_refuses_keeps_the_host_from_running_and_ends_the_steps_around(self, host):
        def refuse(call):
            raise TypeError("no")
            yield

        mending.add_step(host, "work", refuse)
        mending.add_step(host, "work", self.step(host.calls, "outer"))
        with pytest.raises(TypeError, match="no"):
            host.work("c")
        assert host.calls == ["outer before", "outer after TypeError"]

    def test_an_error_behind_the_host_function_is_the_calls_error(self, host):
        def break_afterwards(call):
            yield
            raise OSError("full")

        mending.add_step(host, "work", break_afterwards)
        mending.add_step(host, "work", self.step(host.calls, "outer"))
        with pytest.raises(OSError, match="full"):
            host.work("c")
        assert host.calls[-1] == "outer after OSError"

    def test_an_inherited_method_is_wrapped_in_the_subclass_alone(self, host):
        class Base:
            def work(self):
                return "worked"

        class Derived(Base):
            pass

        mending.add_step(Base, "work", self.step(host.calls, "base"))
        mending.add_step(Derived, "work", self.step(host.calls, "derived"))
        assert mending.step_names(Base.work) == ["base"]
        assert Base().work() == "worked" and host.calls == ["base before", "base after NoneType"]

    def test_a_step_of_the_adapter_waits_for_its_host_module(self, host, monkeypatch):
        handed = {}
        monkeypatch.setattr(projects_registry, "after", handed.__setitem__)
        mending.host_step("fastreid.some", "work")(self.step(host.calls, "ours"))
        assert mending.step_names(host.work) == []
        handed["fastreid.some"](host)
        assert mending.step_names(host.work) == ["ours"]


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
