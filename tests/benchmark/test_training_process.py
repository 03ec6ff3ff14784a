"""Processes of a benchmark: the interpreter's flags and the modules of the process that starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fed_plugin.benchmark.training_process import python_command

ROOT = Path(__file__).parents[2]
PARENT = """
import sys
sys.path[:] = [{root!r}, *filter(None, sys.path)]
from pathlib import Path
from types import SimpleNamespace
from fed_plugin.benchmark.runner import cell_command
from fed_plugin.benchmark.training_process import start_logged
command = cell_command(SimpleNamespace(folder=Path("no_cell")), False)
with open("log.txt", "wb") as log:
    process = start_logged(command, log, stdin=-1)  # a pipe: a cell ends with its input
    raise SystemExit(process.wait() != 1)
"""
PLANTED = ("argparse", "json", "msgspec", "fed_plugin", "runpy")


@pytest.mark.parametrize("flags", [(), ("-I",), ("-P",), ("-E",), ("-s", "-B"), ("-X", "utf8")])
def test_no_cell_imports_from_the_working_directory(tmp_path, flags):
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text("open('planted_code_ran', 'w')\n")
    command = [sys.executable, *flags, "-P", "-c", PARENT.format(root=str(ROOT))]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    log = (tmp_path / "log.txt").read_text()
    assert result.returncode == 0, result.stderr + log
    assert "no_cell/cell.json: expected the record of a cell" in log
    assert not (tmp_path / "planted_code_ran").exists()


def test_a_started_python_has_the_flags_and_the_path_of_this_one(tmp_path):
    (tmp_path / "shows.py").write_text("import sys; print(sys.flags, sys.path, sys.argv[1:])")
    code = f"""
import subprocess, sys
sys.path.insert(0, {str(ROOT)!r})
from fed_plugin.benchmark.training_process import python_command
sys.path[:] = [{str(tmp_path)!r}, *sys.path]
print(sys.flags, sys.path, ["a b", "'"], flush=True)
subprocess.run(python_command("shows", "a b", "'"), check=True)
"""
    for flags in (("-I",), ("-P", "-O", "-W", "ignore"), ("-E", "-s")):
        command = [sys.executable, *flags, "-c", code]
        printed = subprocess.run(command, cwd=os.sep, capture_output=True, text=True).stdout
        mine, child = printed.splitlines()
        assert mine.replace("['', ", "['/', ").replace(", '', ", ", '/', ") == child


def test_an_empty_entry_of_the_path_is_the_working_directory(monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "lib"])
    assert repr([os.getcwd(), os.path.abspath("lib")]) in " ".join(python_command("a"))
