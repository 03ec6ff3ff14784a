"""Cells that train nothing: a few lines of Python in the place of a training."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from fed_plugin.benchmark.cells import Cell
from fed_plugin.benchmark.plan import Plan
from fed_plugin.retrieval.estimates import Estimate
from fed_plugin.retrieval.result import METRICS, Queries, Result

PRELUDE = """
import json, os, sys, time, pathlib
folder, result = pathlib.Path(sys.argv[1]), sys.argv[2]
out = folder.parents[2]
def finish():
    (folder / "result.json").write_text(result)
with open(out / "runs.txt", "a") as runs:
    runs.write("/".join(folder.parts[-2:]) + "\\n")
"""


@pytest.fixture(scope="session")
def make_result():
    """Make a result of one query: ``make_result(rank1=50.0, method="A")``."""

    def make(rank1=50.0, method="A"):
        queries = Queries(("a.jpg",), np.array([1]), np.array([0.5]), np.array([0.5]))
        metrics = {name: Estimate(rank1, rank1 - 1, rank1 + 1) for name in METRICS}
        return Result(method, metrics, queries, {})

    return make


@pytest.fixture
def plan(tmp_path):
    """A plan whose file nobody reads, with its output below ``tmp_path``."""
    path = tmp_path / "plan.yml"
    return Plan(path, "plan", (), (), (0,), {}, tmp_path / "out")


@pytest.fixture
def make_cell(plan):
    """Make a cell in the plan's folder; keywords replace its settings."""

    def make(method="A", seed=0, kind="trained", **settings):
        return Cell(
            dataset="Set",
            method=method,
            seed=seed,
            kind=kind,
            source="config.yml",
            source_sha256="0",
            settings={"SOLVER.MAX_EPOCH": 2, **settings},
            folder=plan.out / "Set" / method / f"seed{seed}",
            config_text="SEED: 0\n",
        )

    return make


@pytest.fixture(scope="session")
def fake(make_result):
    """Turn lines of Python into a cell's command; ``finish()`` in them writes its result."""

    def command_of(script):
        def command(cell, resume):
            result = json.dumps(make_result(10.0 * (cell.seed + 1), cell.method).to_json())
            return [sys.executable, "-c", PRELUDE + script, str(cell.folder), result]

        return command

    return command_of


@pytest.fixture
def runs(plan):
    """Say which cells were run, in order: ``method/seed<k>``."""
    plan.out.mkdir(parents=True, exist_ok=True)
    return lambda: (plan.out / "runs.txt").read_text().split()
