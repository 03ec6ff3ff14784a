"""2,000 training steps with loader workers: memory, open files and shared memory while they last.

``python tests/soak/long_run.py`` writes ``results/reliability/long_run.json`` and
``docs/long_run.svg``; minutes.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import small_run
from records import RESULTS, write_record

import projects_registry  # noqa: F401 - arms the mends

PICTURE = small_run.ROOT / "docs" / "long_run.svg"
WARM = 0.25  # share of the steps before which caches are still filled
ALLOWED_GROWTH = 0.02  # of the resident set between then and the end


def main() -> int:
    """Train, watch, write figures and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    with small_run.drawn_data(), tempfile.TemporaryDirectory() as folder:
        before = left_open()
        samples = train_and_watch(Path(folder), args.steps, args.workers)
        gc.collect()
        after = left_open()
    return _write(np.array(samples), before, after, args)


def train_and_watch(out: Path, steps: int, workers: int) -> list[tuple[int, float, float, int]]:
    """Return step, resident MB of this process, of its workers, and open files, again and again."""
    from fastreid.engine import DefaultTrainer

    epochs = steps // 8
    settings = {"SOLVER__MAX_EPOCH": epochs, "TEST__EVAL_PERIOD": max(1, epochs // 10)}
    settings |= {"SOLVER__CHECKPOINT_PERIOD": max(1, epochs // 10), "SOLVER__CHECKPOINT_ITERS": 100}
    samples: list[tuple[int, float, float, int]] = []
    stock = DefaultTrainer.run_step

    def run_step(self: Any) -> None:
        stock(self)
        if self.iter % max(1, steps // 200) == 0:
            own, children = resident()
            samples.append((self.iter, own, children, open_files()))

    DefaultTrainer.run_step = run_step
    try:
        trainer = small_run.train(
            small_run.configure(out, DATALOADER__NUM_WORKERS=workers, **settings)
        )
        trainer.data_loader.shutdown()
    finally:
        DefaultTrainer.run_step = stock
    return samples


def resident() -> tuple[float, float]:
    """Return the resident sets of this process and of its children, in MB."""
    children = Path("/proc/self/task").glob("*/children")
    pids = {pid for path in children for pid in path.read_text().split()}
    return _resident("self"), sum(map(_resident, pids))


def _resident(pid: str) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_files() -> int:
    """Return how many files this process holds open."""
    return len(os.listdir("/proc/self/fd"))


def left_open() -> dict[str, int]:
    """Return what a training could leave behind: open files, shared memory, processes.

    The host's log stays open on purpose: a process writes to it as long as it lives.
    """
    children = Path("/proc/self/task").glob("*/children")
    files = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return {
        "open files": len([path for path in files if not path.endswith("/log.txt")]),
        "files of shared memory": len(list(Path("/dev/shm").glob("torch_*"))),
        "child processes": sum(len(path.read_text().split()) for path in children),
    }


def _write(samples: Any, before: dict[str, int], after: dict[str, int], args: Any) -> int:
    steps = samples[:, 0]
    warm = samples[steps >= WARM * steps[-1]]
    rows, growth = [], {}
    for column, name in ((1, "training process, MB"), (2, "loader workers, MB"), (3, "open files")):
        slope = np.polyfit(warm[:, 0], warm[:, column], 1)[0] * (steps[-1] - warm[0, 0])
        growth[name] = slope / max(1.0, warm[:, column].mean())
        values = [
            samples[0, column],
            warm[0, column],
            samples[:, column].max(),
            samples[-1, column],
        ]
        rows.append([name, *(f"{v:.0f}" for v in values), f"{100 * growth[name]:+.1f} %"])
    leaks = {name: after[name] - before[name] for name in before}
    left = ", ".join(f"{count} {name}" for name, count in leaks.items())
    words = (
        f"{int(steps[-1]) + 1} steps with {args.workers} loader workers, evaluations and "
        "checkpoints between them. Growth is that of a straight line through all but the first "
        f"quarter. More than before, when it is over: {left}.\n\n![Resident memory over the "
        "steps](long_run.svg)"
    )
    columns = ["", "first", "after a quarter", "highest", "last", "growth"]
    path = write_record("long_run", columns, rows, words, args.out, left=leaks, growth=growth)
    _draw(samples, args.picture)
    bad = [n for n, g in growth.items() if g > ALLOWED_GROWTH] + [
        n for n, c in leaks.items() if c > 0
    ]
    sys.stdout.write(f"{words}\n{rows}\n{path}\n{f'FAILED: {bad}' if bad else 'ok'}\n")
    return int(bool(bad))


def _draw(samples: Any, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 2.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(samples[:, 0], samples[:, 1], color="#0072b2", label="training process")
    axes.plot(samples[:, 0], samples[:, 2], color="#d55e00", dashes=(4, 2), label="loader workers")
    axes.set(
        xlabel="training step", ylabel="resident memory, MB", ylim=(0, 1.2 * samples[:, 1:].max())
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    raise SystemExit(main())
