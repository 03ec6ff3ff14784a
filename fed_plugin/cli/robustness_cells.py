"""Robustness of a benchmark's cells: of those that are finished and have a model."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.cli.benchmark.cells import CONFIG, FINAL_WEIGHTS, RECORD, read_record, read_result
from fed_plugin.cli.mistakes import is_mistake, sentence
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.cli.robustness import CURVE
from fed_plugin.cli.robustness_table import robustness_tables
from fed_plugin.retrieval.robustness_curve import RobustnessCurve

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings


@dataclass(frozen=True)
class ModelCell:
    """A finished cell with a model.

    Attributes:
        folder: of the cell.
        dataset: tested on.
        method: name in tables.
        seed: of the training, or of the random weights.
        weights: file of the model's; empty for random ones.
    """

    folder: Path
    dataset: str
    method: str
    seed: int
    weights: str

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.dataset} / {self.method} / seed {self.seed}"


def measure_cells(out: Path, settings: RobustnessSettings, jobs: int) -> int:
    """Measure the cells of a benchmark's folder that were not measured by these settings.

    Args:
        out: the benchmark's folder.
        settings: what is measured.
        jobs: cells at a time.

    Returns:
        Exit status: 1 if a cell failed.

    Raises:
        FileNotFoundError: there is no finished cell with a model.
        ValueError: ``jobs`` is below 1.
    """
    if jobs < 1:
        raise ValueError(f"--jobs {jobs}: expected 1 or more")
    cells, passed_over = find_model_cells(out)
    if not cells:
        raise FileNotFoundError(
            f"--benchmark {out}: found no finished cell with a model; expected the folder that "
            "python -m fed_plugin benchmark writes to, with OUT/<dataset>/<method>/seed<k>/"
        )
    waiting = [cell for cell in cells if not is_measured(cell, settings)]
    if len(waiting) < len(cells):
        print(f"{len(cells) - len(waiting)} of {len(cells)} cells were measured before")
    failures = _measure_all(waiting, settings, jobs)
    curves = [_read(cell.folder / CURVE) for cell in cells if cell.name not in failures]
    print(robustness_tables([curve for curve in curves if curve is not None]))
    print(f"curves: {out / '*' / '*' / 'seed*' / CURVE}")
    for folder in passed_over:
        print(f"left out, as it has no model: {folder}")
    for name, error in failures.items():
        print(f"FAILED: {name}: {error}", file=sys.stderr)
    return 1 if failures else 0


def find_model_cells(out: Path) -> tuple[list[ModelCell], list[Path]]:
    """Return the finished cells that have a model, and the folders of those that have none."""
    cells, without = [], []
    for path in sorted(out.glob(f"*/*/seed*/{RECORD}")):
        folder = path.parent
        if read_result(folder) is None:
            continue
        record = read_record(folder)
        weights = folder / FINAL_WEIGHTS
        random = record["kind"] == "untrained"
        if not (folder / CONFIG).is_file() or not (random or weights.is_file()):
            without.append(folder)
            continue
        cells.append(
            ModelCell(
                folder,
                str(record["dataset"]),
                str(record["method"]),
                int(record["seed"]),
                "" if random else str(weights),
            )
        )
    return sorted(cells, key=lambda cell: (cell.dataset, cell.method, cell.seed)), without


def is_measured(cell: ModelCell, settings: RobustnessSettings) -> bool:
    """Tell whether a cell has a curve by these settings and of these weights."""
    curve = _read(cell.folder / CURVE)
    asked = json.loads(json.dumps(settings.asked(cell.weights)))
    return curve is not None and curve.settings == asked


def _read(path: Path) -> RobustnessCurve | None:
    try:
        return RobustnessCurve.load(path)
    except (OSError, ValueError):
        return None


def _measure_all(cells: list[ModelCell], settings: Any, jobs: int) -> dict[str, str]:
    """Measure cells; return the last words of those that failed, by name."""
    failures: dict[str, str] = {}
    with ProgressLine("cells") as progress:
        if jobs == 1:
            for done, cell in enumerate(cells):
                note = f"{done + 1}/{len(cells)} {cell.name}"
                with ProgressLine(note) as inner:
                    failures.update(measure_cell(cell, settings, inner))
            return failures
        with _workers(jobs) as pool:
            tasks = {pool.submit(measure_cell, cell, settings): cell for cell in cells}
            for done, task in enumerate(as_completed(tasks), start=1):
                failures.update(task.result())
                progress(done, len(cells), tasks[task].name)
    return failures


def measure_cell(
    cell: ModelCell, settings: RobustnessSettings, progress: Any = None
) -> dict[str, str]:
    """Measure one cell and write its curve; return what went wrong, by its name."""
    from fed_plugin.fastreid_adapter.description import read_config
    from fed_plugin.fastreid_adapter.robustness import measure_robustness

    try:
        cfg = read_config(str(cell.folder / CONFIG), ["MODEL.WEIGHTS", cell.weights])
        curve = measure_robustness(cfg, cell.dataset, settings, cell.method, progress)
        curve.save(cell.folder / CURVE)
    except Exception as error:
        if not str(error) or not is_mistake(error):
            raise
        return {cell.name: sentence(error)}
    return {}


@contextmanager
def _workers(jobs: int) -> Iterator[Executor]:
    """Yield processes that share the cores and end at once when this block is left by an error."""
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=_begin_worker, initargs=(threads,)
    )
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _begin_worker(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(threads)
