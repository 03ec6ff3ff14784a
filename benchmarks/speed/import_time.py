"""What the plugin adds to the start of Python and to ``import fastreid``.

Makes two throw-away virtual environments that share all packages of the running interpreter, the
plugin installed into one of them as pip does it, and starts interpreters of both in turns.

    python benchmarks/speed/import_time.py --rounds 40

writes ``benchmarks/results/speed/import_time.json``. ``--explain`` prints what the import of
the plugin spends its time on (``-X importtime``) and writes nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

from interleaved import compared, in_turns, print_table, write_row

ROOT = Path(__file__).parents[2]
WITHOUT, WITH = "without the plugin", "with it"
STATEMENTS = {
    "start": "pass",
    "import fastreid": "import fastreid",
    "import fastreid.config": "import fastreid.config",
    "import fastreid.modeling": "import fastreid.modeling",
}
HEAVY = ("import fastreid.config", "import fastreid.modeling")
"""With the plugin the first of these loads all that it registers; it takes seconds."""
INSTALLED = ("setup.py", "pyproject.toml", "LICENSE", "projects_registry.py")
TARGET = "import fastreid: + <= 50 ms; start of the interpreter: + <= 2 ms"
FLOOR = (
    "start: one line compiled and run, 0.2 ms. import fastreid: some 25 small files read and "
    "unmarshalled, 0.2 ms each, and one look through the entry points of all installed packages, "
    "5-10 ms"
)


def main() -> None:
    """Measure in turns and write the row, or explain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--heavy", type=int, default=10, help="rounds of imports of seconds")
    parser.add_argument("--explain", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pythons = {WITHOUT: environment(Path(folder, "without"))}
        pythons[WITH] = environment(Path(folder, "with"))
        install(pythons[WITH], Path(folder, "checkout"))
        if args.explain:
            print(explanation(pythons[WITH]))
            return
        rounds = {what: args.heavy if what in HEAVY else args.rounds for what in STATEMENTS}
        measured = {what: measure(pythons, what, count) for what, count in rounds.items()}
    write_row("import_time", TARGET, FLOOR, {"rounds": rounds, **measured})


def measure(pythons: dict[str, Path], what: str, rounds: int) -> dict[str, object]:
    """Run a statement in new interpreters of both environments; return seconds and what is added.

    ``cpu`` is that of the interpreters, start and end included as in ``wall``.
    """
    cpu: dict[str, list[float]] = {name: [] for name in pythons}

    def start(name: str) -> None:
        before = children_seconds()
        run(pythons[name], "-c", STATEMENTS[what])
        cpu[name].append(children_seconds() - before)

    steps = {name: lambda name=name: start(name) for name in pythons}
    taken = in_turns(steps, rounds=rounds, warm_up=2, progress=False)
    for name, clocks in taken.items():
        clocks["cpu"] = cpu[name][-rounds:]
    found = compared(taken, WITHOUT)
    print(f"\n{what}")
    print_table(found, unit="ms")
    added = {
        f"{statistic}_{clock}": round(
            1000 * (found[WITH][clock][statistic] - found[WITHOUT][clock][statistic]), 2
        )
        for clock in ("wall", "cpu")
        for statistic in ("min", "median")
    }
    print(f"added, ms: {added}")
    return {**found, "added_ms": added}


def environment(folder: Path) -> Path:
    """Make an environment that sees the running interpreter's packages; return its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "shared.pth").write_text("\n".join(shared))
    return folder / "bin" / "python"


def install(python: Path, checkout: Path) -> None:
    """Install a copy of this checkout, bytecode and ``.pth`` line included."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("fed_plugin", "configs"):
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name in INSTALLED:
        shutil.copy(ROOT / name, checkout)
    flags = ["--no-deps", "--no-index", "--no-build-isolation", "--compile"]
    run(python, "-m", "pip", "-q", "install", *flags, str(checkout))


def run(python: Path, *words: str) -> str:
    """Run an interpreter away from the checkout; return what it wrote to stderr."""
    unwanted = ("FASTREID_", "PYTHON")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    command = [str(python), *words]
    folder = python.parent
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")
    return done.stderr


def children_seconds() -> float:
    """Return the CPU time of all processes that have been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def explanation(python: Path, most: int = 30) -> str:
    """Return the modules that ``import fastreid`` imports, the slowest by themselves first."""
    lines = run(python, "-X", "importtime", "-c", "import fastreid").splitlines()
    rows = [line for line in lines if line.startswith("import time:") and "self" not in line]
    rows.sort(key=lambda line: -int(line.split(":")[1].split("|")[0]))
    return "\n".join([lines[0], *rows[:most]])


if __name__ == "__main__":
    main()
