"""What lies in a benchmark's folder: finished cells, and what became of the others."""

from __future__ import annotations

import datetime
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fed_plugin.cli.benchmark.cells import FAILED, RESULT, read_record
from fed_plugin.cli.benchmark.summary import FORMAT, RESULTS
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.result import Result


@dataclass(frozen=True, eq=False)
class FinishedCell:
    """Hold a method's result on a data set with one seed.

    Attributes:
        dataset: tested on.
        method: its name.
        seed: of training or of random weights.
        kind: "trained", "untrained" or "dump".
        source: name or path of its config or dump.
        settings: config values that differ from fast-reid's defaults.
        seconds: training and evaluation took; None if nobody wrote it down.
        resumed: whether its training was stopped and went on.
        result: what was measured.
        folder: of the cell; None if it is not there.
        ended: when, in UTC; None if nobody wrote it down.
        machine: that it ran on; None likewise.
    """

    dataset: str
    method: str
    seed: int
    kind: str
    source: str
    settings: Mapping[str, Any]
    seconds: float | None
    resumed: bool
    result: Result
    folder: Path | None
    ended: str | None = None
    machine: str | None = None

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return f"{self.dataset} / {self.method} / seed {self.seed}"

    def file(self, name: str) -> Path | None:
        """Return a file of the cell's folder; None if it is not there."""
        path = self.folder and self.folder / name
        return path if path and path.is_file() else None


@dataclass(frozen=True)
class Benchmark:
    """Hold what a folder says of a plan.

    Attributes:
        folder: of the benchmark.
        plan: its name.
        written: when the results were joined, in UTC.
        cells: finished ones, in the plan's order.
        unfinished: a sentence for each that failed or never ended.
        wanted: (data set, method, seed) of cells that have a folder or a result.
    """

    folder: Path
    plan: str
    written: datetime.datetime
    cells: tuple[FinishedCell, ...]
    unfinished: tuple[str, ...] = ()
    wanted: tuple[tuple[str, str, int], ...] = field(default=())


def read_benchmark(folder: str | os.PathLike[str]) -> Benchmark:
    """Read ``results.json`` and look for what it does not hold.

    Raises:
        FileNotFoundError: No benchmark wrote its results here.
        ValueError: The file is something else, or holds no finished cell.
    """
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected the folder of a benchmark with a finished cell, try "
            "the last line that `python -m fed_plugin benchmark PLAN.yml` prints"
        )
    records = dict(_records(path.parent))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"expected results of a benchmark ({FORMAT})")
        cells = tuple(_finished(row, records) for row in content["cells"])
        plan = str(content["plan"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: not the results of a benchmark: {error!r:.200}") from error
    if not cells:
        raise ValueError(f"{path}: no cell is finished; expected at least one")
    done = {(cell.dataset, cell.method, cell.seed) for cell in cells}
    others = {key: place for key, place in records.items() if key not in done}
    return Benchmark(
        path.parent,
        plan,
        datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc),
        cells,
        tuple(_became(key, place) for key, place in others.items()),
        (*done, *others),
    )


def _finished(row: Mapping[str, Any], records: Mapping[Any, Path]) -> FinishedCell:
    result = Result.from_json(row["result"])
    if result.card:
        ProtocolCard.from_json(result.card)
    key = str(row["dataset"]), str(row["method"]), int(row["seed"])
    return FinishedCell(
        *key,
        kind=str(row["kind"]),
        source=str(row["source"]),
        settings=dict(row["settings"]),
        seconds=_seconds(row.get("seconds")),
        resumed=bool(row.get("resumed")),
        result=result,
        folder=records.get(key),
        ended=row.get("ended"),
        machine=row.get("machine"),
    )


def _seconds(value: Any) -> float | None:
    """Return a time; None for what is none.

    Raises:
        ValueError: it is no number.
        TypeError: likewise.
    """
    if value is not None and not (math.isfinite(value) and value >= 0):
        raise ValueError(f"seconds is {value}: expected a time")
    return value


def _records(folder: Path) -> Iterator[tuple[tuple[str, str, int], Path]]:
    """Yield data set, method and seed of every cell's folder."""
    for path in sorted(folder.glob("*/*/seed*/cell.json")):
        try:
            record = read_record(path.parent)
            yield (
                (str(record["dataset"]), str(record["method"]), int(record["seed"])),
                path.parent,
            )
        except (ValueError, KeyError, TypeError):
            continue


def _became(key: tuple[str, str, int], folder: Path) -> str:
    """Say in a sentence why a cell is not among the results."""
    name = f"{key[0]} / {key[1]} / seed {key[2]}"
    try:
        error = str(json.loads((folder / FAILED).read_text(encoding="utf-8"))["error"])
        return f"{name} failed: {error.strip().partition(chr(10))[0]}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    if (folder / RESULT).is_file():
        return f"{name} has a result that the last call of `benchmark` did not join ({RESULTS})"
    return f"{name} is not finished"
