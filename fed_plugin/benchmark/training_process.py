"""Trainings in a process of their own, watched through the files that the host writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.console import ProgressLine

LOG = "train.log"
LENGTH = re.compile(r"Training (\d+) epochs x (\d+) iterations")
"""Line of the log that ``fastreid_adapter.training`` writes before the first iteration."""

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class TrainingProgress:
    """Iterations of a training, and the loss of the last iterations."""

    done: int
    total: int
    loss: float

    @property
    def share(self) -> float:
        """Share of the iterations that are done."""
        return self.done / self.total


class TrainingWatch:
    """Progress of one training, read from its folder.

    The log gives the number of iterations (epochs times iterations), once and for all; the last
    line of the host's ``metrics.json`` gives the iterations that are done.
    """

    def __init__(self, folder: Path) -> None:
        self.log, self.metrics = folder / LOG, folder / "metrics.json"
        self.total = 0
        self.last: TrainingProgress | None = None

    def look(self) -> TrainingProgress | None:
        """Return the progress; None before the first line of both files."""
        try:
            if not self.total:
                epochs, iterations = LENGTH.findall(self.log.read_text(errors="replace"))[-1]
                self.total = int(epochs) * int(iterations)
            line = json.loads(self.metrics.read_text().splitlines()[-1])
            done, loss = int(line["iteration"]) + 1, float(line.get("total_loss", "nan"))
            if self.total:
                self.last = TrainingProgress(min(done, self.total), self.total, loss)
        except (OSError, LookupError, TypeError, ArithmeticError, ValueError, RecursionError):
            pass  # no file yet, or half a line
        return self.last


def train_in_process(config_file: str, overrides: list[str], folder: Path, what: str) -> None:
    """Run ``fed-plugin train`` to its end; the output goes to ``train.log`` in the folder.

    ``overrides`` are ``KEY VALUE`` pairs, with ``OUTPUT_DIR``; ``what`` names the work on the
    console.

    Raises:
        RuntimeError: The training failed; the message ends with the last lines of the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, watch = folder / LOG, TrainingWatch(folder)
    command = python_command("fed_plugin", "train", "--config-file", config_file)
    with log.open("wb") as output, ProgressLine(what) as progress:
        process = start_logged([*command, *overrides], output)
        try:
            while process.poll() is None:
                if at := watch.look():
                    progress(at.done, at.total, f"loss {at.loss:.2f}")
                try:
                    process.wait(SECONDS_BETWEEN_LOOKS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise RuntimeError(f"{what} failed ({log}): {' / '.join(last_lines(log))}")


def start_logged(
    command: list[str], output: Any, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process with the modules of this process; its output goes to an open file."""
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options["env"] = {**os.environ, **path, **(environment or {})}
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)


def python_command(module: str, *words: str) -> list[str]:
    """Return the command that runs a module with the flags and the modules of this process.

    ``python -m`` would look into the working directory first, and ``python -I`` ignores
    ``PYTHONPATH``.
    """
    path = [os.path.abspath(entry) for entry in sys.path]
    program = (
        f"import sys; sys.path[:] = {path!r}; import runpy; "
        f"runpy.run_module({module!r}, None, '__main__', True)"
    )
    return [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", program, *words]


def last_lines(log: Path, count: int = 3) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").strip().splitlines()[-count:]
