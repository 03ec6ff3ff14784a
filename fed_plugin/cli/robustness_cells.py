"""Robustness of a benchmark's cells: of those that are finished and have a model."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True)
class MeasuredCells:
    """What came of a benchmark's cells.

    Attributes:
        curves: of those that are measured.
        failures: last words of the others, by name.
        config: of the first cell.
        dataset: of the first cell.
    """

    curves: list[RobustnessCurve]
    failures: dict[str, str]
    config: Any
    dataset: str


def measure_cells(
    out: Path,
    settings: RobustnessSettings,
    *,
    jobs: int = 1,
    only: Sequence[str] = (),
    dataset: str | None = None,
) -> MeasuredCells:
    """Measure the cells of a benchmark's folder that were not measured by these settings.

    Args:
        out: the benchmark's folder.
        settings: what is measured.
        jobs: cells at a time.
        only: methods; all if empty.
        dataset: of the cells; None for all.

    Raises:
        FileNotFoundError: there is no such finished cell with a model.
        ValueError: ``jobs`` is below 1.
    """
    from fed_plugin.fastreid_adapter.description import read_config

    if jobs < 1:
        raise ValueError(f"--jobs {jobs}: expected 1 or more")
    cells, passed_over = find_model_cells(out)
    known = sorted({cell.method for cell in cells})
    if unknown := [method for method in only if method not in known]:
        raise ValueError(f"--only {unknown[0]!r}: expected one of {', '.join(known)}")
    cells = [
        cell
        for cell in cells
        if (not only or cell.method in only) and dataset in (None, cell.dataset)
    ]
    if not cells:
        raise FileNotFoundError(
            f"--benchmark {out}: found no finished cell with a model"
            f"{f' of {dataset}' if dataset else ''}; expected the folder that python -m fed_plugin "
            "benchmark writes to, with OUT/<dataset>/<method>/seed<k>/"
        )
    waiting = [cell for cell in cells if not is_measured(cell, settings)]
    if len(waiting) < len(cells):
        print(f"{len(cells) - len(waiting)} of {len(cells)} cells were measured before")
    logging.getLogger("fastreid").setLevel(logging.ERROR)
    failures = _measure_all(waiting, settings, jobs)
    curves = [
        RobustnessCurve.load(cell.folder / CURVE) for cell in cells if cell.name not in failures
    ]
    print(robustness_tables(curves))
    print(f"curves: {out / '*' / '*' / 'seed*' / CURVE}")
    for folder in passed_over:
        print(f"left out, as it has no model: {folder}")
    for name, error in failures.items():
        print(f"FAILED: {name}: {error}", file=sys.stderr)
    config = read_config(str(cells[0].folder / CONFIG), [])
    return MeasuredCells(curves, failures, config, cells[0].dataset)


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
    try:
        curve = RobustnessCurve.load(cell.folder / CURVE)
    except (OSError, ValueError):
        return False
    return curve.settings == settings.asked(cell.weights)


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
    logging.getLogger("fastreid").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(threads)
