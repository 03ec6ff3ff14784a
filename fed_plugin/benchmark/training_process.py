"""A training in a process of its own, watched through the files it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fed_plugin.console import ProgressLine

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is, by its own words: iterations, and the loss of the last ones."""

    done: int
    total: int
    loss: float


def train_in_process(config_file: str, overrides: list[str], folder: Path, what: str) -> None:
    """Run ``fed-plugin train`` and wait for it; its output goes to ``train.log``.

    Args:
        config_file: path of the config.
        overrides: ``KEY VALUE`` pairs, ``OUTPUT_DIR`` among them.
        folder: that output folder, made if it does not exist.
        what: name of the work, for the progress line.

    Raises:
        RuntimeError: the training failed; the message ends with its last words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "train.log"
    command = [sys.executable, "-m", "fed_plugin", "train", "--config-file", config_file]
    with log.open("wb") as output, ProgressLine(what) as progress:
        process = start_logged([*command, *overrides], output)
        try:
            while process.poll() is None:
                _show(folder / "metrics.json", progress)
                try:
                    process.wait(SECONDS_BETWEEN_LOOKS)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise RuntimeError(f"{what} failed ({log}): {' / '.join(last_words(log))}")


def start_logged(
    command: list[str], output: Any, environment: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process that finds the modules this one finds and writes all it says to a file.

    Args:
        command: to run.
        output: open file.
        environment: variables beside those of this process.
        **options: as ``subprocess.Popen`` takes them.
    """
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        command,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **path, **(environment or {})},
        **options,
    )


def last_words(log: Path, lines: int = 3) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").strip().splitlines()[-lines:]


def read_progress(metrics: Path) -> TrainingProgress | None:
    """Read how far the host's metrics file says the training is; None while it says nothing."""
    try:
        line = json.loads(metrics.read_text().splitlines()[-1])
        done = line["iteration"] + 1
    except (OSError, IndexError, KeyError, TypeError, ValueError, RecursionError):
        return None
    left = line.get("eta_seconds", 0.0) / max(line.get("time", 0.0), 1e-9)
    return TrainingProgress(done, done + round(left), line.get("total_loss", float("nan")))


def _show(metrics: Path, progress: ProgressLine) -> None:
    found = read_progress(metrics)
    if found is not None:
        progress(found.done, found.total, f"loss {found.loss:.2f}")
