"""Whether a trained model ranks in bf16 as it does in fp32.

    python benchmarks/speed/bf16_ranking.py runs/fed runs/fed_plus

takes folders in which a training left ``config.yaml`` and ``model_final.pth``, describes their test
set in both precisions, and writes ``benchmarks/results/speed/bf16_ranking.json``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import write_row
from tabulate import tabulate

PRECISIONS = ("fp32", "bf16")
METRICS = ("Rank-1", "Rank-5", "mAP", "mINP")
TARGET = "Rank-1 on SynthOcc unchanged within 0.3 points"
FLOOR = "0: descriptors differ by 2^-9 per rounding, which only moves what is as near as that"


def main() -> None:
    """Describe, rank, compare and write the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished trainings")
    args = parser.parse_args()
    measured = {run.name: compare(run) for run in args.runs}
    rows = [
        [name, metric, *(found[precision][metric] for precision in PRECISIONS)]
        + [found["bf16"][metric] - found["fp32"][metric]]
        for name, found in measured.items()
        for metric in METRICS
    ]
    print(tabulate(rows, ["run", "metric", *PRECISIONS, "difference"], floatfmt=".2f"))
    write_row("bf16_ranking", TARGET, FLOOR, measured)


def compare(run: Path) -> dict[str, Any]:
    """Return the metrics of a run's model in both precisions, in percent, and how far it moved."""
    with tempfile.TemporaryDirectory() as folder:
        dumps = {name: Path(folder, f"{name}.npz") for name in PRECISIONS}
        found: dict[str, Any] = {}
        for name, dump in dumps.items():
            config = ("--config-file", run / "config.yaml", "--weights", run / "model_final.pth")
            command("dump", *config, "-o", dump, "MODEL.FED.PRECISION", name)
            command("evaluate", dump, "--json", dump.with_suffix(".json"))
            result = json.loads(dump.with_suffix(".json").read_text())
            found[name] = {
                metric: round(result["metrics"][metric]["value"], 3) for metric in METRICS
            }
        exact, coarse = (np.load(dump)["features"] for dump in dumps.values())
    cosine = (exact * coarse).sum(axis=1)
    cosine /= np.linalg.norm(exact, axis=1) * np.linalg.norm(coarse, axis=1)
    return {**found, "smallest_cosine_of_both": round(float(cosine.min()), 6)}


def command(*words: object) -> None:
    """Run a command of the plugin; its output is not shown unless it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "fed_plugin", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{words[0]} failed:\n{done.stdout[-2000:]}")


if __name__ == "__main__":
    main()
