"""The quick tests on every supported end of the versions: ``make test-matrix [CELLS=py313]``.

Each cell is a virtual environment ``.venv-matrix/NAME`` (5 GB with PyTorch, removed after its run
unless ``--keep``) with this checkout installed in it. A cell that did not run this time keeps its
row in ``benchmarks/results/reliability/versions.json``, with its day.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from records import RESULTS, as_markdown, write_record

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / ".venv-matrix"
CELLS = {
    "oldest": ("3.11", "requirements/oldest.txt"),
    "py313": ("3.13", "requirements/pins.txt"),
}
ADAPTER = ("config", "datasets", "golden_through_the_host", "memory_init", "meta_arch")
ADAPTER += ("training", "transforms")
QUICK = (
    "tests/modeling",
    "tests/retrieval",
    "tests/transforms",
    "tests/fastreid_adapter/mends",
    *(f"tests/fastreid_adapter/test_{name}.py" for name in ADAPTER),
    "tests/test_projects_registry.py",
    "tests/test_soak_import_hook.py",
)
"""The method and its golden figures, the mends, the hook, and trainings that move weights."""

PACKAGES = ("torch", "torchvision", "numpy")
COLUMNS = ("Cell", "Python", *PACKAGES, "passed", "failed", "skipped", "seconds", "day")
ASK = "import sys, json; print(json.dumps(sys.version_info[:2]))"
VERSIONS = f"""
import json, platform
from importlib.metadata import version
print(json.dumps([platform.python_version(), *map(version, {PACKAGES})]))
"""


def main() -> int:
    """Run the cells one after another; return 1 if a test failed or a cell could not be made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", help=f"of {', '.join(CELLS)}; default: all")
    parser.add_argument("--keep", action="store_true", help="keep the environments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    unknown = set(args.cells) - set(CELLS)
    if unknown:
        parser.error(f"CELLS: expected some of {', '.join(CELLS)}, got {', '.join(unknown)}")
    rows = _earlier_rows(args.out)
    broken = []
    for cell in args.cells or CELLS:
        try:
            rows[cell] = run_cell(cell)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            rows.pop(cell, None)
            broken.append(cell)
            print(f"{cell} did not run: {error}")
        if not args.keep:
            shutil.rmtree(ENVIRONMENTS / cell, ignore_errors=True)
    table = [rows[cell] for cell in CELLS if cell in rows]
    failed = sum(row[COLUMNS.index("failed")] for row in table)
    words = (
        f"{len(table)} of {len(CELLS)} ends of what setup.py allows ran the quick tests; "
        f"{failed} tests failed. Skipped tests are those of defects that a release does not have, "
        "and of what a machine lacks."
    )
    path = write_record("versions", COLUMNS, table, words, args.out, tests=QUICK)
    print(as_markdown(json.loads(path.read_text(encoding="utf-8"))))
    return int(bool(broken or failed))


def run_cell(cell: str) -> list[Any]:
    """Make a cell's environment, if it is not there, and run the quick tests in it.

    Raises:
        FileNotFoundError: no interpreter of the cell's Python.
        subprocess.CalledProcessError: something could not be installed, or pytest did not run.
    """
    number, pins = CELLS[cell]
    folder = ENVIRONMENTS / cell
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([find_python(number), "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    print(f"== {cell}: installing {pins} into {folder.relative_to(ROOT)}", flush=True)
    bare = ["--no-deps", "--no-build-isolation"]
    for words in (["-r", pins], ["--no-deps", "-r", "requirements/host.txt"], [*bare, "."]):
        subprocess.run([*pip, *words], cwd=ROOT, check=True)
    report = folder / "report.xml"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    beside = ["-n", str(min(os.cpu_count() or 1, 4)), "--dist", "loadfile"]
    command = [str(python), "-m", "pytest", "-q", *beside, f"--junitxml={report}", *QUICK]
    status = subprocess.run(command, cwd=ROOT, env=env).returncode
    if status not in (0, 1):  # interrupted, no tests, an internal error
        raise subprocess.CalledProcessError(status, command[:4])
    seconds = round(time.monotonic() - start)
    have = json.loads(subprocess.check_output([str(python), "-c", VERSIONS], text=True))
    return [cell, *have, *counts(report), seconds, date.today().isoformat()]


def counts(report: Path) -> list[int]:
    """Read passed, failed and skipped tests of a JUnit report; an error is a failure."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, failures, errors, skipped = (
        int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
    )
    return [total - failures - errors - skipped, failures + errors, skipped]


def find_python(number: str) -> str:
    """Find an interpreter, on PATH or of pyenv.

    Raises:
        FileNotFoundError: there is none that runs.
    """
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found: Sequence[str | None] = (
        shutil.which(f"python{number}"),
        *sorted(glob.glob(f"{pyenv}/versions/{number}.*/bin/python")),
    )
    for path in filter(None, found):
        answer = subprocess.run([path, "-c", ASK], capture_output=True, text=True)
        if answer.returncode == 0 and json.loads(answer.stdout) == [*map(int, number.split("."))]:
            return path
    raise FileNotFoundError(f"expected Python {number}, got none; try installing python{number}")


def _earlier_rows(folder: Path) -> dict[str, list[Any]]:
    path = folder / "versions.json"
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return {row[0]: row for row in content["rows"] if content["columns"] == list(COLUMNS)}


if __name__ == "__main__":
    raise SystemExit(main())
