"""Cells: one method, data set and seed each, with a folder for the files of the run.

``OUT/<dataset>/<method>/seed<k>/`` holds ``cell.json`` (settings and state), ``train.log``,
``dump.npz`` (descriptors without part features), and ``result.json`` or ``failed.json``. The result
is written last: a cell with a result is finished.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin.console import WithoutTraceback, one_sentence_for_mistakes, printable_output
from fed_plugin.files import clear_folder, is_empty, write_file, write_json
from fed_plugin.pool import TRAINING, only_training
from fed_plugin.retrieval.card_files import card_of_dump
from fed_plugin.retrieval.evaluation import distance_for, evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.result import Result

FORMAT = "fed_plugin.cell/1"
RECORD = "cell.json"
CONFIG = "cell_config.yml"
DUMP = "dump.npz"
RESULT = "result.json"
FAILED = "failed.json"
FINAL_WEIGHTS = "model_final.pth"
LAST_CHECKPOINT = "last_checkpoint"


@dataclass(frozen=True, eq=False)
class NamedCell:
    """Base of what has a ``dataset``, a ``method`` and a ``seed``."""

    dataset: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"{self.dataset} / {self.method} / seed {self.seed}"


@dataclass(frozen=True)
class Cell(NamedCell):
    """Unit of work in a process of its own; ``kind`` is "trained", "untrained" or "dump".

    ``settings`` holds config values by key, or the hash of the dump; equal settings make equal
    cells. ``config_text`` is the whole config, None for a dump.
    """

    kind: str
    source: str
    source_sha256: str
    settings: dict[str, Any]
    folder: Path
    config_text: str | None = None


class CellRecord(msgspec.Struct, kw_only=True):
    """Content of ``cell.json``; older files have fewer keys.

    ``state`` is "running", "finished" or "failed"; ``seconds`` are those of the last attempt;
    ``ended`` is in UTC; ``resumed`` tells whether the training continued from a checkpoint.
    """

    format: Literal["fed_plugin.cell/1"] = "fed_plugin.cell/1"
    dataset: str
    method: str
    seed: int
    kind: str = ""
    source: str = ""
    source_sha256: str = ""
    settings: dict[str, Any] = {}
    state: str = ""
    seconds: float | None = None
    ended: str | None = None
    machine: str | None = None
    resumed: bool = False


class Failure(msgspec.Struct):
    """Content of ``failed.json``."""

    error: str = ""
    exit_status: int | None = None
    log: str = ""


@dataclass(frozen=True)
class CellState:
    """State of a cell's folder.

    ``kind`` is "new", "begun", "trained" (only the evaluation is missing), "failed", "finished", or
    "changed": finished with other settings than the plan. ``error`` holds the last lines of a
    failure.
    """

    kind: str
    differences: tuple[str, ...] = ()
    seconds: float | None = None
    error: str = ""


def look(cell: Cell) -> CellState:
    """Return the state of a cell's folder."""
    record = _read(cell.folder / RECORD, CellRecord)
    if record is None:
        return CellState("new")
    differences = _differences(record, cell)
    if read_result(cell.folder) is not None:
        kind = "changed" if differences else "finished"
        return CellState(kind, differences, record.seconds)
    failure = _read(cell.folder / FAILED, Failure)
    if failure is not None:
        return CellState("failed", differences, record.seconds, failure.error)
    if differences:
        return CellState("begun", differences)
    return CellState("trained" if is_trained(cell.folder) else "begun", seconds=record.seconds)


def is_trained(folder: Path) -> bool:
    """Tell whether a training ended: the host names its last weights after it has written them."""
    try:
        name = (folder / LAST_CHECKPOINT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return name == FINAL_WEIGHTS and (folder / FINAL_WEIGHTS).is_file()


def prepare(cell: Cell, resume: bool) -> None:
    """Make a cell's folder ready for an attempt.

    The files of an earlier attempt are removed. A whole training of the same settings stays and is
    only evaluated; with ``resume`` a half training stays too.

    Raises:
        FileExistsError: The folder holds files that no cell wrote.
        FolderInUseError: Another process trains into the folder.
    """
    record = _read(cell.folder / RECORD, CellRecord)
    if record is None and not is_empty(cell.folder, *TRAINING):
        raise FileExistsError(
            f"{cell.folder}: holds files but no {RECORD}, so no cell wrote them; expected an empty "
            "folder, try another `out`"
        )
    same = record is not None and not _differences(record, cell)
    kept = record if same and (resume or is_trained(cell.folder)) else None
    with only_training(cell.folder):
        if kept is None:
            clear_folder(cell.folder, RECORD, *TRAINING)
        for name in (FAILED, RESULT):
            (cell.folder / name).unlink(missing_ok=True)
        half = not is_trained(cell.folder) and (cell.folder / LAST_CHECKPOINT).is_file()
        # first: a folder without a record is never touched again
        write_record(cell, "running", resumed=kept is not None and (half or kept.resumed))
        if cell.config_text is not None:
            write_file(cell.folder / CONFIG, cell.config_text)


def write_record(cell: Cell, state: str, **changes: Any) -> None:
    """Write ``cell.json``; values of an earlier state of the same attempt stay."""
    path = cell.folder / RECORD
    record = _read(path, CellRecord) if state != "running" else None
    if record is None:
        keys = ("dataset", "method", "seed", "kind", "source", "source_sha256", "settings")
        record = CellRecord(**{key: getattr(cell, key) for key in keys})
    record = msgspec.structs.replace(record, state=state, **changes)
    write_json(path, msgspec.to_builtins(record))


def read_result(cell_folder: Path) -> Result | None:
    """Read a cell's result; None where no whole result is there."""
    try:
        return Result.load(cell_folder / RESULT)
    except (OSError, ValueError):
        return None


def read_record(folder: Path) -> CellRecord:
    """Read a cell's ``cell.json``.

    Raises:
        ValueError: The file is not there, or is no record of a cell.
    """
    record = _read(folder / RECORD, CellRecord)
    if record is None:
        raise ValueError(
            f"{folder / RECORD}: expected the record of a cell ({FORMAT}); try removing its folder "
            "and running `fed-plugin benchmark` again"
        )
    return record


def _read(path: Path, kind: type) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def _differences(record: CellRecord, cell: Cell) -> tuple[str, ...]:
    was, now = record.settings, json.loads(json.dumps(cell.settings))
    pairs = {"it": (record.kind, cell.kind)} if record.kind != cell.kind else {}
    for key in sorted({*was, *now}):
        if was.get(key, ...) != now.get(key, ...):
            values = (repr(one[key]) if key in one else "the host's default" for one in (was, now))
            pairs[key] = tuple(values)
    return tuple(f"{key} was {old}, the plan says {new}" for key, (old, new) in pairs.items())


# The process of one cell: ``python -m fed_plugin.benchmark.cells FOLDER``.
#
# The process trains with the stock trainer by ``cell_config.yml``, describes the test set with the
# last weights, ranks, and writes ``dump.npz`` and ``result.json``. The runner's pipe closes when
# the runner dies; therefore the process ends when its standard input ends.

STOCK = "stock_evaluation.json"
TOLERANCE = 0.1
"""Largest difference in points between fast-reid's evaluation of the last weights and ours."""


def main(words: list[str]) -> int:
    """Run a cell; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fed_plugin.benchmark.cells")
    parser.add_argument("folder", type=Path, help="of a cell that the runner prepared")
    parser.add_argument("--resume", action="store_true", help="from the newest checkpoint")
    args = parser.parse_args(words)
    end_with_the_runner()
    with printable_output(), one_sentence_for_mistakes() as outcome:
        run_cell(args.folder, args.resume)
    return outcome.status


def end_with_the_runner() -> None:
    """Kill this process and its children as soon as its standard input ends.

    ``sys.stdin`` is not used: a forked worker would inherit its lock.
    """
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    def watch() -> None:
        while os.read(pipe, 1):
            continue
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_cell(folder: Path, resume: bool) -> None:
    """Train if the training is not finished, evaluate, and write the result.

    Raises:
        ValueError: The folder holds no cell.
        RuntimeError: fast-reid's evaluator computed other numbers.
    """
    record = read_record(folder)
    if record.kind == "trained" and not is_trained(folder):
        _train(folder, resume)

    is_dump = record.kind == "dump"
    dump = FeatureDump.load(record.source) if is_dump else _describe(folder, record)
    card = card_of_dump(dump, distance_for(dump))
    result = evaluate_dump(dump, method=record.method, card=card.to_json())
    _check_against_the_stock_evaluator(result, folder / STOCK)
    replace(dump, part_features=None).save(folder / DUMP)  # for the report's ranking lists
    result.save(folder / RESULT)


def _train(folder: Path, resume: bool) -> None:
    from fed_plugin.fastreid_adapter.training import parse_flags, train_or_evaluate

    words = ["--config-file", str(folder / CONFIG), *(["--resume"] if resume else [])]
    logging.getLogger("fastreid.engine.train_loop").addFilter(WithoutTraceback())
    metrics = train_or_evaluate(parse_flags(words, prog="benchmark")) or {}
    numbers = {name: float(value) for name, value in metrics.items() if np.isscalar(value)}
    write_json(folder / STOCK, numbers)


def _describe(folder: Path, record: CellRecord) -> FeatureDump:
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.extract import dump_test_set

    weights = ["MODEL.WEIGHTS", str(folder / FINAL_WEIGHTS)]
    cfg = read_config(str(folder / CONFIG), weights if record.kind == "trained" else [])
    about = {"method": record.method, "config": record.source}
    return dump_test_set(cfg, record.dataset, about)


def _check_against_the_stock_evaluator(result: Result, path: Path) -> None:
    if not path.is_file():
        return
    stock = json.loads(path.read_text())
    for name in ("Rank-1", "mAP", "mINP"):
        ours = result.metrics[name].value
        if name in stock and abs(stock[name] - ours) > TOLERANCE:
            raise RuntimeError(
                f"fast-reid's evaluation of the last epoch gives {name} {stock[name]:.2f}, ours "
                f"{ours:.2f}; expected the same ({path})"
            )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
