"""Commands in forks of one process that has imported everything, each in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OUT, _ERR = ".stdout", ".stderr"


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit status, None after its time; what it said; how long it took."""

    status: int | None
    out: str
    err: str
    seconds: float


def import_everything() -> None:
    """Import what commands need, before the first fork; compute nothing, start no thread."""
    os.environ["FASTREID_DATASETS"] = "datasets"
    import torch

    torch.set_num_threads(1)
    import fed_plugin.cli.train
    import fed_plugin.costs.measure
    import fed_plugin.robustness.covered_search
    import fed_plugin.visualization  # noqa: F401


def run_forked(words: Sequence[str], folder: Path, seconds: float) -> Ended:
    """Run a command in a fork; its whole process group is gone when this returns.

    Args:
        words: behind ``fed-plugin``.
        folder: working directory; data sets lie in its ``datasets``.
        seconds: that it may take.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(words, folder)
    status = _wait(pid, start + seconds)
    with contextlib.suppress(ProcessLookupError):  # workers that are left, and what hangs
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        os.waitpid(pid, 0)
    took = time.monotonic() - start
    out, err = ((folder / name).read_text(errors="replace") for name in (_OUT, _ERR))
    return Ended(status, out, err, took)


def _wait(pid: int, until: float) -> int | None:
    while time.monotonic() < until:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def _child(words: Sequence[str], folder: Path) -> None:
    """Become the command: this never returns."""
    status = 1
    try:
        os.setsid()
        os.chdir(folder)
        for descriptor, name in ((0, os.devnull), (1, _OUT), (2, _ERR)):
            flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(name, flags, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        from fed_plugin.cli import main

        status = main(list(words))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
