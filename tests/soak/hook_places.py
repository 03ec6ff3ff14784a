"""Situations of the import hook that need more than files: mounts, users, pip, the real host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from hook_environment import PTH, Environment, copy_checkout
from hook_judge import LOADS, USE, Outcome, Situation, judge

STOCK = "[]\n"
REAL = {"FASTREID_PROJECTS": "FED", "PYTHONPATH": ""}
KEYS = "from fastreid.config import get_cfg; print('FED' in get_cfg().MODEL)"
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def read_only_mount(folder: Path, wheel: Path) -> Outcome | None:
    """Site-packages on a read-only mount."""
    environment = Environment(folder, wheel)
    mounted = ("unshare", "--mount", "sh", "-c", READ_ONLY, "sh", str(environment.site))
    if not _runs(*mounted, "true"):
        return None
    probe = environment.run("-c", f"open('{environment.site}/x', 'w')", before=mounted)
    outcome = judge(Situation("", before=mounted), environment)
    if "Read-only file system" not in probe.stderr:
        return Outcome(outcome.starts, outcome.reads, ("the mount can be written to",))
    return _nothing_written(environment, outcome)


def another_user(folder: Path, wheel: Path) -> Outcome | None:
    """Site-packages of another user, who may only read them."""
    environment = Environment(folder, wheel)
    for path in (folder, *folder.parents):
        if path.stat().st_uid == 0 and path.name.startswith("import_hook"):
            path.chmod(0o755)
    if not _runs(*NOBODY, str(environment.python), "-S", "-c", "pass"):
        return None
    return _nothing_written(environment, judge(Situation("", before=NOBODY), environment))


def no_bytecode(folder: Path, wheel: Path) -> Outcome:
    """PYTHONDONTWRITEBYTECODE=1."""
    environment = Environment(folder, wheel)
    situation = Situation("", env={"PYTHONDONTWRITEBYTECODE": "1"})
    return _nothing_written(environment, judge(situation, environment))


def real_host(folder: Path, wheel: Path) -> Outcome | None:
    """The real fast-reid and FED."""
    if find_spec("fastreid") is None:
        return None
    environment = Environment(folder, wheel)
    environment.see_packages()
    return judge(Situation("", words=("-c", KEYS), env=REAL, prints="True\n"), environment)


def real_host_without_torch(folder: Path, wheel: Path) -> Outcome | None:
    """The real fast-reid, no torch: configs can be read, FED's keys included."""
    if find_spec("fastreid") is None:
        return None
    environment = Environment(folder, wheel)
    environment.see_packages(without="torch")
    why = r"^FED was not loaded, fastreid goes on without it: .*No module named 'torch'$"
    situation = Situation("", words=("-c", KEYS), env=REAL, prints="True\n", reads=why)
    return judge(situation, environment)


def real_model_without_torch(folder: Path, wheel: Path) -> Outcome | None:
    """The real fast-reid's models, no torch."""
    if find_spec("fastreid") is None:
        return None
    environment = Environment(folder, wheel)
    environment.see_packages(without="torch")
    words = ("-c", "import fastreid.modeling")
    why = r"^ModuleNotFoundError: No module named 'torch'$"
    return judge(Situation("", words=words, env=REAL, prints="", reads=why, ends=1), environment)


def uninstalled(folder: Path, wheel: Path, editable: bool = False) -> Outcome:
    """Uninstalled by pip."""
    environment = Environment(folder, None)
    environment.see_packages()
    what = ["-e", copy_checkout(folder)] if editable else [wheel]
    flags = ["--no-deps", "--no-index", "--no-build-isolation"]
    environment.run("-m", "pip", "-q", "install", *flags, *what, env={"PYTHONPATH": ""})
    loaded = judge(Situation("", words=("-c", USE), prints=LOADS), environment)
    environment.run("-m", "pip", "-q", "uninstall", "--yes", "fed_plugin", env={"PYTHONPATH": ""})
    outcome = judge(Situation("", prints=STOCK), environment)
    left = ("its .pth is still there",) if (environment.site / PTH).exists() else ()
    return Outcome(outcome.starts, outcome.reads, (*loaded.wrong, *outcome.wrong, *left))


def uninstalled_editable(folder: Path, wheel: Path) -> Outcome:
    """Uninstalled by pip, from an editable install."""
    return uninstalled(folder, wheel, editable=True)


PLACES: tuple[Callable[[Path, Path], Outcome | None], ...] = (
    read_only_mount,
    another_user,
    no_bytecode,
    real_host,
    real_host_without_torch,
    real_model_without_torch,
    uninstalled,
    uninstalled_editable,
)
"""Each takes a folder of its own and the wheel; None: this machine cannot be put there."""


def _runs(*words: str) -> bool:
    if shutil.which(words[0]) is None:
        return False
    return subprocess.run(words, capture_output=True).returncode == 0


def _nothing_written(environment: Environment, outcome: Outcome) -> Outcome:
    written = list(environment.site.rglob("__pycache__"))
    wrong = (f"written: {written}",) if written else ()
    return Outcome(outcome.starts, outcome.reads, (*outcome.wrong, *wrong))
