"""``robustness``: accuracy of methods while more and more of every query is covered."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fed_plugin import arguments
from fed_plugin.benchmark.cells import (
    CONFIG,
    FINAL_WEIGHTS,
    RECORD,
    NamedCell,
    read_record,
    read_result,
)
from fed_plugin.benchmark.runner import clock
from fed_plugin.benchmark.summary import methods_of
from fed_plugin.console import ProgressLine, is_mistake, sentence
from fed_plugin.datasets.fingerprints import content_hash
from fed_plugin.files import OutputFile
from fed_plugin.pool import spread
from fed_plugin.robustness.curve import RobustnessCurve
from fed_plugin.robustness.occlusion import RobustnessSettings
from fed_plugin.robustness.pictures import (
    draw_curves,
    draw_sheet,
    group_curves,
    robustness_tables,
)
from fed_plugin.visualization.canvas import check_kind
from fed_plugin.visualization.lines import KINDS, styles_of

INTERRUPTED = "curves that were measured are kept; the same command goes on with the rest"
CURVE = "robustness.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Search a gallery for whole people, then with obstacles and other people pasted over one "
        "side of every query: Rank-1 and mAP against the share that stays visible, and the area "
        "under these curves (docs/robustness.md)."
    )
    add = parser.add_argument
    models = parser.add_mutually_exclusive_group(required=True)
    models.add_argument("--config-file", metavar="FILE", help="one model, with --weights")
    words = f"every finished cell with a model in a benchmark's folder; writes its {CURVE}"
    models.add_argument("--benchmark", metavar="OUT", help=words)
    arguments.add_weights(parser, untrained=True)
    add("--out", type=OutputFile, metavar="FILE", help=f"curve of one model; default: {CURVE}")
    add("--method", metavar="NAME", help="name of one model in tables; default as for dump")
    add("--dataset", metavar="NAME", help="default: the one in DATASETS.TESTS")
    add("--occluders", default="", metavar="FOLDER", help="default: drawn ones")
    words = "visible shares, falling; default: 0.875 to 0.25 in steps of 0.125"
    add("--visible", nargs="+", type=float, metavar="SHARE", help=words)
    add("--kinds", nargs="+", choices=("objects", "people"), help="default: both")
    add("--queries", type=int, default=300, help="at most; default: 300")
    words = "auto: the gallery where the set's queries are known to be occluded"
    add("--queries-from", choices=("auto", "query", "gallery"), default="auto", help=words)
    add("--seed", type=int, default=0, help="of what is pasted where; default: 0")
    words = "draw the curves of all models, as .png or .svg"
    add("--figure", type=OutputFile, metavar="FILE", help=words)
    words = "draw a query with all that is pasted on it"
    add("--sheet", type=OutputFile, metavar="FILE.png", help=words)
    add("--only", nargs="+", default=[], metavar="METHOD", help="methods of a benchmark")
    add("--jobs", type=int, default=1, help="cells at a time; default: 1")
    arguments.add_overrides(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, write, print a table."""
    _refuse_idle_arguments(args)
    settings = _settings(args)
    measure = measure_benchmark if args.benchmark else measure_one
    curves, cfg, dataset, failures = measure(args, settings)
    if args.figure:
        path, named = Path(args.figure), [curve.method for curve in curves]
        styles = styles_of([*methods_of(args.benchmark), *named] if args.benchmark else named)
        for place, group in enumerate(group_curves(curves), start=1):
            target = path.with_stem(f"{path.stem}_{place}") if place > 1 else path
            print(f"figure: {draw_curves(group.curves, target, styles)}")
    if args.sheet:
        print(f"what is pasted: {draw_sheet(cfg, dataset, settings, Path(args.sheet))}")
    return 1 if failures else 0


def _refuse_idle_arguments(args: argparse.Namespace) -> None:
    way, idle = "--config-file", {"--only": args.only, "--jobs": args.jobs != 1}
    if args.benchmark:
        way, idle = "--benchmark", {"--out": args.out, "--method": args.method}
        idle |= {"--weights": args.weights, "KEY VALUE": args.overrides}
    if given := [name for name, value in idle.items() if value]:
        raise ValueError(f"{given[0]}: not read with {way}; try without")
    if args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: expected 1 or more")
    if args.figure:
        check_kind(args.figure, "--figure", KINDS)
    if args.sheet:
        check_kind(args.sheet, "--sheet")


def _settings(args: argparse.Namespace) -> RobustnessSettings:
    given = {"visible_shares": args.visible, "kinds": args.kinds}
    return RobustnessSettings(
        **{name: tuple(values) for name, values in given.items() if values},
        queries=args.queries,
        source=args.queries_from,
        occluders=args.occluders,
        seed=args.seed,
    )


Measured = tuple[list[RobustnessCurve], Any, str, dict[str, str]]
"""Curves, config and data set of the first, and failures by name of the cell."""


def measure_one(args: argparse.Namespace, settings: RobustnessSettings) -> Measured:
    """Measure one model, and write and print its curve."""
    arguments.check_model_words(args, untrained=True, needed=False)
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.extract import only_test_set
    from fed_plugin.robustness.covered_search import measure_robustness

    cfg = read_config(args.config_file, arguments.model_overrides(args))
    dataset = args.dataset or only_test_set(cfg.DATASETS.TESTS)
    method = args.method or arguments.name_of_method(args.config_file, args.weights)
    with ProgressLine(f"covering queries of {dataset}") as progress:
        curve = measure_robustness(cfg, dataset, settings, method, progress)
    target = Path(args.out or CURVE)
    curve.save(target)
    print(f"{robustness_tables([curve])}\ncurves: {target}")
    return [curve], cfg, dataset, {}


# The finished cells of a benchmark that have a model.


@dataclass(frozen=True)
class ModelCell(NamedCell):
    """Finished cell with a model; empty ``weights`` stand for random weights."""

    folder: Path
    weights: str


def measure_benchmark(args: argparse.Namespace, settings: RobustnessSettings) -> Measured:
    """Measure the cells of a benchmark's folder that have no curve of these settings."""
    out = Path(args.benchmark)
    cells, without = chosen_model_cells(args)
    waiting = [cell for cell in cells if not is_measured(cell, settings)]
    if len(waiting) < len(cells):
        print(f"{len(cells) - len(waiting)} of {len(cells)} cells were measured before")
    failures = measure_all(waiting, settings, args.jobs)
    done = [cell for cell in cells if cell.name not in failures]
    curves = [RobustnessCurve.load(cell.folder / CURVE) for cell in done]
    print(f"{robustness_tables(curves)}\ncurves: {out / '*' / '*' / 'seed*' / CURVE}")
    for folder in without:
        print(f"left out, because the cell has no model: {folder}")
    for name, error in failures.items():
        print(f"FAILED: {name}: {error}", file=sys.stderr)
    from fed_plugin.fastreid_adapter.config_files import read_config

    return curves, read_config(str(cells[0].folder / CONFIG), []), cells[0].dataset, failures


def chosen_model_cells(args: argparse.Namespace) -> tuple[list[ModelCell], list[Path]]:
    """Return what :func:`find_model_cells` finds, of the methods and the data set of the arguments.

    Raises:
        FileNotFoundError: The folder holds no finished cell with a model.
        ValueError: ``--only`` names a method that the benchmark does not have.
    """
    out = Path(args.benchmark)
    cells, without = find_model_cells(out)
    known = sorted({cell.method for cell in cells})
    if unknown := [method for method in args.only if method not in known]:
        raise ValueError(f"--only {unknown[0]!r}: expected one of {', '.join(known)}")
    wanted = args.only or known
    cells = [x for x in cells if x.method in wanted and args.dataset in (None, x.dataset)]
    if not cells:
        raise FileNotFoundError(
            f"--benchmark {out}: no finished cell with a model"
            f"{f' of {args.dataset}' if args.dataset else ''}; expected the folder that fed-plugin "
            "benchmark writes to, with OUT/<dataset>/<method>/seed<k>/"
        )
    return cells, without


def find_model_cells(out: Path) -> tuple[list[ModelCell], list[Path]]:
    """Return the finished cells with a model, and the folders of the finished cells without."""
    cells, without = [], []
    for path in sorted(out.glob(f"*/*/seed*/{RECORD}")):
        folder = path.parent
        if read_result(folder) is None:
            continue
        record = read_record(folder)
        weights = "" if record.kind == "untrained" else str(folder / FINAL_WEIGHTS)
        if (folder / CONFIG).is_file() and (not weights or Path(weights).is_file()):
            cells.append(ModelCell(record.dataset, record.method, record.seed, folder, weights))
        else:
            without.append(folder)
    return sorted(cells, key=lambda cell: (cell.dataset, cell.method, cell.seed)), without


def is_measured(cell: ModelCell, settings: RobustnessSettings) -> bool:
    """Tell whether a cell has a curve of these settings and these weights."""
    try:
        curve = RobustnessCurve.load(cell.folder / CURVE)
    except (OSError, ValueError):
        return False
    return curve.settings == settings.as_json(content_hash(cell.weights) if cell.weights else None)


# Measurement of cells, one after another in this process or several at a time in processes.


def measure_all(
    cells: Sequence[ModelCell], settings: RobustnessSettings, jobs: int
) -> dict[str, str]:
    """Measure cells by one or several processes; return last lines of failed cells, by name."""
    failures: dict[str, str] = {}
    if jobs == 1:
        for place, cell in enumerate(cells):
            with cell_progress(place, len(cells), cell.name) as progress:
                failures.update(measure_cell(cell, settings, progress))
        return failures
    threads = max(1, (os.cpu_count() or 1) // jobs)
    work = partial(measure_cell, settings=settings, threads=threads)
    with ProgressLine("cells") as line:
        results = spread(work, cells, jobs, patient=False)
        for done, (cell, failed) in enumerate(results, start=1):
            failures.update(failed)
            line(done, len(cells), cell.name)
    return failures


@contextmanager
def cell_progress(place: int, count: int, name: str) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a cell, and when all cells are done if the others take as long."""
    start, waiting = time.perf_counter(), count - place - 1
    with ProgressLine(f"{place + 1}/{count} {name}") as line:

        def show(done: int, total: int) -> None:
            seconds = (time.perf_counter() - start) * total / max(done, 1)
            left = clock(seconds * (waiting + 1 - done / total))
            line(done, total, f"all cells: ETA {left}" if waiting else "")

        yield show


def measure_cell(
    cell: ModelCell, settings: RobustnessSettings, progress: Any = None, threads: int = 0
) -> dict[str, str]:
    """Measure one cell and write its curve; return a user's mistake by name of the cell.

    ``threads`` is the number of threads in a process of its own; 0 leaves the number as it is.
    """
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.robustness.covered_search import measure_robustness

    logging.getLogger("fastreid").setLevel(logging.ERROR)
    if threads and "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(threads)
    try:
        cfg = read_config(str(cell.folder / CONFIG), ["MODEL.WEIGHTS", cell.weights])
        curve = measure_robustness(cfg, cell.dataset, settings, cell.method, progress)
        curve.save(cell.folder / CURVE)
    except Exception as error:
        if not str(error) or not is_mistake(error):
            raise
        return {cell.name: sentence(error)}
    return {}
