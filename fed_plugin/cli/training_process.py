"""A training in a process of its own, watched through the files it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fed_plugin.cli.progress import ProgressLine

SECONDS_BETWEEN_LOOKS = 1.0


def train_in_process(config_file: str, overrides: list[str], folder: Path, what: str) -> None:
    """Run ``python -m fed_plugin train`` and wait for it; its output goes to ``train.log``.

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
        process = subprocess.Popen(
            [*command, *overrides],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
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
        last = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise RuntimeError(f"{what} failed ({log}): {' / '.join(last)}")


def _show(metrics: Path, progress: ProgressLine) -> None:
    """Read how far the host's metrics file says the training is."""
    try:
        line = json.loads(metrics.read_text().splitlines()[-1])
    except (OSError, IndexError, json.JSONDecodeError):
        return
    done = line["iteration"] + 1
    left = line.get("eta_seconds", 0.0) / max(line.get("time", 0.0), 1e-9)
    progress(done, done + round(left), f"loss {line.get('total_loss', float('nan')):.2f}")
