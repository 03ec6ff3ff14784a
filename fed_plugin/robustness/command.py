"""``robustness``: what methods are worth when more and more of every query is covered."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.benchmark.cells import CONFIG, FINAL_WEIGHTS, RECORD, read_record, read_result
from fed_plugin.benchmark.runner import clock
from fed_plugin.console import ProgressLine, is_mistake, sentence
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.robustness.curve import RobustnessCurve
from fed_plugin.robustness.pictures import robustness_tables

if TYPE_CHECKING:
    from fed_plugin.robustness.occlusion import RobustnessSettings

INTERRUPTED = "curves that were measured are kept; the same command goes on with the rest"
CURVE = "robustness.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.description = (
        "Search a gallery for whole people, then with obstacles and other people pasted over one "
        "side of every query: Rank-1 and mAP against the share that stays visible, and the area "
        "under these curves (docs/robustness.md)."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config-file", metavar="FILE", help="one model's; MODEL.WEIGHTS at the end")
    what.add_argument(
        "--benchmark",
        metavar="OUT",
        help=f"every finished cell with a model in a benchmark's folder; writes its {CURVE}",
    )
    parser.add_argument("--out", metavar="FILE", help=f"of one model, default: {CURVE}")
    parser.add_argument("--method", metavar="NAME", help="of one model, in tables")
    parser.add_argument("--dataset", metavar="NAME", help="default: the one in DATASETS.TESTS")
    parser.add_argument("--occluders", default="", metavar="FOLDER", help="default: drawn ones")
    parser.add_argument(
        "--visible",
        nargs="+",
        type=float,
        metavar="SHARE",
        help="visible shares, falling; default: 0.875 to 0.25 in steps of 0.125",
    )
    parser.add_argument("--kinds", nargs="+", choices=("objects", "people"), help="default: both")
    parser.add_argument("--queries", type=int, default=300, help="at most; default: 300")
    parser.add_argument(
        "--queries-from",
        choices=("auto", "query", "gallery"),
        default="auto",
        help="auto: the gallery where the set's queries are known to be occluded",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is pasted where; default: 0")
    parser.add_argument(
        "--figure", metavar="FILE", help="draw the curves, as .png or .svg; of a benchmark of all"
    )
    parser.add_argument(
        "--sheet", metavar="FILE.png", help="draw a query with all that is pasted on it"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="METHOD", help="of a benchmark's")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time; default: 1")
    parser.add_argument(
        "overrides",
        nargs=argparse.REMAINDER,
        metavar="KEY VALUE",
        help="config overrides of one model, such as MODEL.WEIGHTS FILE.pth",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write, print a table.

    Raises:
        FileNotFoundError: no such config, checkpoint, data set or folder.
        ValueError: words that do not go together, or a checkpoint of another model.
    """
    from fed_plugin.files import check_writable

    _refuse_what_is_not_read(args)
    for path in filter(None, (args.out, args.figure, args.sheet)):
        check_writable(path)
    settings = _settings(args)
    status = 0
    if args.benchmark:
        found = measure_cells(
            Path(args.benchmark), settings, jobs=args.jobs, only=args.only, dataset=args.dataset
        )
        curves, status = found.curves, 1 if found.failures else 0
        cfg, dataset = found.config, found.dataset
    else:
        cfg, dataset, curve = measure_one(args, settings)
        curves = [curve]
    _draw(args, curves, cfg, dataset, settings)
    return status


def measure_one(
    args: argparse.Namespace, settings: RobustnessSettings
) -> tuple[Any, str, RobustnessCurve]:
    """Measure one model; return its config, the data set's name and the curve."""
    from fed_plugin.console import ProgressLine
    from fed_plugin.fastreid_adapter.config_files import find_config
    from fed_plugin.fastreid_adapter.extract import only_test_set
    from fed_plugin.robustness.pictures import robustness_tables

    config_file = find_config(args.config_file)

    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.robustness.covered_search import measure_robustness

    cfg = read_config(config_file, args.overrides)
    dataset = args.dataset or only_test_set(cfg.DATASETS.TESTS)
    with ProgressLine(f"covering queries of {dataset}") as progress:
        curve = measure_robustness(
            cfg, dataset, settings, args.method or Path(config_file).stem, progress
        )
    target = Path(args.out or CURVE)
    curve.save(target)
    print(robustness_tables([curve]))
    print(f"curves: {target}")
    return cfg, dataset, curve


def _refuse_what_is_not_read(args: argparse.Namespace) -> None:
    """Refuse words that only the other way of calling reads, and pictures of another kind.

    Raises:
        ValueError: one of them is there.
    """
    of_one = {"--out": args.out, "--method": args.method, "KEY VALUE": args.overrides}
    of_many = {"--only": args.only, "--jobs": args.jobs != 1}
    wrong = of_one if args.benchmark else of_many
    if found := [name for name, value in wrong.items() if value]:
        way = "--benchmark" if args.benchmark else "--config-file"
        raise ValueError(f"{found[0]}: not read with {way}; try without")
    for word, path, kinds in (
        ("--figure", args.figure, (".png", ".svg")),
        ("--sheet", args.sheet, (".png",)),
    ):
        if path and Path(path).suffix.lower() not in kinds:
            raise ValueError(f"{word} {path}: expected a name that ends in {' or '.join(kinds)}")


def _draw(
    args: argparse.Namespace,
    curves: Sequence[RobustnessCurve],
    cfg: Any,
    dataset: str,
    settings: RobustnessSettings,
) -> None:
    from fed_plugin.robustness.pictures import draw_curves, draw_sheet, group_curves

    if args.figure:
        path = Path(args.figure)
        for place, group in enumerate(group_curves(curves), start=1):
            target = path.with_stem(f"{path.stem}_{place}") if place > 1 else path
            print(f"figure: {draw_curves(group.curves, target)}")
    if args.sheet:
        print(f"what is pasted: {draw_sheet(cfg, dataset, settings, Path(args.sheet))}")


def _settings(args: argparse.Namespace) -> RobustnessSettings:
    from fed_plugin.robustness.occlusion import RobustnessSettings

    given = {"visible_shares": args.visible, "kinds": args.kinds}
    return RobustnessSettings(
        **{name: tuple(values) for name, values in given.items() if values},
        queries=args.queries,
        source=args.queries_from,
        occluders=args.occluders,
        seed=args.seed,
    )


# Measures cells one after another in this process, or several at a time in processes.


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
    from fed_plugin.robustness.covered_search import measure_robustness

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


# Robustness of a benchmark's cells: of those that are finished and have a model.


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
    from fed_plugin.fastreid_adapter.config_files import read_config

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
            f"{f' of {dataset}' if dataset else ''}; expected the folder that fed-plugin "
            "benchmark writes to, with OUT/<dataset>/<method>/seed<k>/"
        )
    waiting = [cell for cell in cells if not is_measured(cell, settings)]
    if len(waiting) < len(cells):
        print(f"{len(cells) - len(waiting)} of {len(cells)} cells were measured before")
    logging.getLogger("fastreid").setLevel(logging.ERROR)
    failures = measure_all(waiting, settings, jobs)
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
        random = record.kind == "untrained"
        if not (folder / CONFIG).is_file() or not (random or weights.is_file()):
            without.append(folder)
            continue
        cells.append(
            ModelCell(
                folder,
                record.dataset,
                record.method,
                record.seed,
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
    return curve.settings == settings.as_json(content_hash(cell.weights) if cell.weights else None)
