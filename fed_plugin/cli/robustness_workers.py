"""Measures cells one after another in this process, or several at a time in processes."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.cli.benchmark.board import clock
from fed_plugin.cli.benchmark.cells import CONFIG
from fed_plugin.cli.mistakes import is_mistake, sentence
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.cli.robustness import CURVE

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


def measure_all(
    cells: Sequence[ModelCell], settings: RobustnessSettings, jobs: int
) -> dict[str, str]:
    """Measure cells, and say how far that is.

    Args:
        cells: to measure.
        settings: what is measured.
        jobs: processes to share them among; with one they are measured in this process.

    Returns:
        Last words of those that failed, by name.
    """
    failures: dict[str, str] = {}
    if jobs == 1:
        for place, cell in enumerate(cells):
            with CellProgress(place, len(cells), cell.name) as progress:
                failures.update(measure_cell(cell, settings, progress))
        return failures
    with ProgressLine("cells") as line, _workers(jobs) as pool:
        tasks = {pool.submit(measure_cell, cell, settings): cell for cell in cells}
        for done, task in enumerate(as_completed(tasks), start=1):
            failures.update(task.result())
            line(done, len(cells), tasks[task].name)
    return failures


class CellProgress(ProgressLine):
    """Say how far a cell is, and when all cells are done if the others take as long.

    Args:
        place: of the cell, from 0.
        count: cells in all.
        name: of the cell.
    """

    def __init__(self, place: int, count: int, name: str) -> None:
        super().__init__(f"{place + 1}/{count} {name}")
        self.waiting = count - place - 1

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say that ``done`` of ``total`` images are described."""
        taken = (time.perf_counter() - self.start) * total / max(done, 1)
        left = clock(taken * (self.waiting + 1 - done / total))
        super().__call__(done, total, f"all cells: ETA {left}" if self.waiting else note)


def measure_cell(
    cell: ModelCell, settings: RobustnessSettings, progress: Any = None
) -> dict[str, str]:
    """Measure one cell and write its curve; return what went wrong, by its name."""
    from fed_plugin.fastreid_adapter.config_files import read_config
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
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(threads,),
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
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    logging.getLogger("fastreid").setLevel(logging.ERROR)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends this one
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(threads)


def _end_with_the_parent() -> None:
    """Wait for the parent to die, by a kill too, and die: nobody would take what is found."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
