"""Arm the import hook before any test imports the host, also where the .pth line is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import projects_registry

projects_registry.arm()


@pytest.fixture(scope="session")
def run_python():
    """Run an interpreter on this checkout: ``run_python(*words, root=..., check=True)``.

    ``root`` is where the host finds data sets; keywords ``env`` and ``timeout`` go through. It
    returns what ``subprocess.run`` does, output captured as text.
    """
    checkout = Path(__file__).parents[1]

    def run(*words, root, check=True, timeout=300, env=None):
        names = {"PYTHONPATH": checkout, "FASTREID_DATASETS": root, "OMP_NUM_THREADS": 1}
        environment = {**os.environ, **{n: str(v) for n, v in {**names, **(env or {})}.items()}}
        result = subprocess.run(
            [sys.executable, *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
        return result

    return run
