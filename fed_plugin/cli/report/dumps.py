"""Dumps of finished cells: who the queries are, and what was ranked first."""

from __future__ import annotations

from collections.abc import Sequence

from fed_plugin.cli.benchmark.cells import DUMP
from fed_plugin.cli.report.benchmark_folder import FinishedCell
from fed_plugin.retrieval.feature_dump import FeatureDump


def load_dump(cell: FinishedCell) -> FeatureDump | None:
    """Read the dump that a cell left; None if there is none that can be read."""
    path = cell.file(DUMP)
    try:
        return FeatureDump.load(path) if path else None
    except (OSError, ValueError):
        return None


def people_of(cells: Sequence[FinishedCell]) -> dict[str, int]:
    """Return identities by name of the query, of the first dump that is there; empty if none is.

    Args:
        cells: of one data set.
    """
    for cell in cells:
        dump = load_dump(cell)
        if dump is not None:
            rows = dump.query
            return dict(zip(dump.names[rows].tolist(), dump.pids[rows].tolist(), strict=True))
    return {}
