"""Robustness of a benchmark's cells: of those that are finished and have a model."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.cli.benchmark.cells import CONFIG, FINAL_WEIGHTS, RECORD, read_record, read_result
from fed_plugin.cli.robustness import CURVE
from fed_plugin.cli.robustness_table import robustness_tables
from fed_plugin.cli.robustness_workers import ModelCell, measure_all
from fed_plugin.retrieval.robustness_curve import RobustnessCurve

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.robustness_settings import RobustnessSettings


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
            f"{f' of {dataset}' if dataset else ''}; expected the folder that python -m fed_plugin "
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
        random = record.get("kind") == "untrained"
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
