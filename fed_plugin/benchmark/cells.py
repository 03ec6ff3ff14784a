"""Cells: one method, data set and seed each, with a folder that says what came of it.

``OUT/<dataset>/<method>/seed<k>/`` holds ``cell.json`` (what is run, and how far it is),
``train.log``, ``dump.npz`` (descriptors, without those of parts), ``result.json`` (written last:
there means finished) or ``failed.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin.console import WithoutTraceback, one_sentence_for_mistakes
from fed_plugin.files import write_atomically
from fed_plugin.retrieval.result import Result

if TYPE_CHECKING:
    from fed_plugin.retrieval.feature_dump import FeatureDump

FORMAT = "fed_plugin.cell/1"
RECORD = "cell.json"
CONFIG = "cell_config.yml"
DUMP = "dump.npz"
RESULT = "result.json"
FAILED = "failed.json"
FINAL_WEIGHTS = "model_final.pth"
LAST_CHECKPOINT = "last_checkpoint"


@dataclass(frozen=True)
class Cell:
    """What is run in a process of its own.

    Attributes:
        dataset: tested on.
        method: name in tables.
        seed: of training or of random weights.
        kind: "trained", "untrained" or "dump".
        source: path of the config or dump; name of an installed config.
        source_sha256: of that file.
        settings: what makes two cells the same; config values by key, or the dump's hash.
        folder: of the cell.
        config_text: the whole config, None for a dump.
    """

    dataset: str
    method: str
    seed: int
    kind: str
    source: str
    source_sha256: str
    settings: dict[str, Any]
    folder: Path
    config_text: str | None = None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.dataset} / {self.method} / seed {self.seed}"


@dataclass(frozen=True)
class CellState:
    """What is in a cell's folder.

    Attributes:
        kind: "new", "begun", "trained" (only its evaluation is missing), "failed", "finished", or
            "changed": finished, but not what the plan asks for.
        differences: sentences about what changed.
        seconds: the last attempt took; None where nobody wrote it down.
        error: last words of a failure.
    """

    kind: str
    differences: tuple[str, ...] = ()
    seconds: float | None = None
    error: str = ""


def look(cell: Cell) -> CellState:
    """Say what is in a cell's folder."""
    record = _read(cell.folder / RECORD)
    if record is None:
        return CellState("new")
    seconds = record.get("seconds")
    differences = _differences(record, cell)
    if read_result(cell.folder) is not None:
        return CellState("changed" if differences else "finished", differences, seconds)
    failure = _read(cell.folder / FAILED)
    if failure is not None:
        return CellState("failed", differences, seconds, str(failure.get("error", "")))
    if differences:
        return CellState("begun", differences)
    return CellState("trained" if is_trained(cell.folder) else "begun", seconds=seconds)


def is_trained(folder: Path) -> bool:
    """Tell whether a training ended: the host names its last weights once they are there whole."""
    try:
        named = (folder / LAST_CHECKPOINT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return False
    return named == FINAL_WEIGHTS and (folder / FINAL_WEIGHTS).is_file()


def prepare(cell: Cell, resume: bool) -> None:
    """Make a cell's folder ready for an attempt.

    What an attempt left is removed, but for a whole training of the same settings, which is only
    evaluated, and, with ``resume``, for a half one.

    Raises:
        FileExistsError: the folder holds something that no cell wrote.
    """
    record = _read(cell.folder / RECORD)
    if cell.folder.exists() and record is None and any(cell.folder.iterdir()):
        raise FileExistsError(
            f"{cell.folder}: holds files but no {RECORD}, so no cell wrote them; expected an empty "
            "folder, try another `out`"
        )
    same = record is not None and not _differences(record, cell)
    kept = same and (resume or is_trained(cell.folder))
    if not kept:
        shutil.rmtree(cell.folder, ignore_errors=True)
    cell.folder.mkdir(parents=True, exist_ok=True)
    for name in (FAILED, RESULT):
        (cell.folder / name).unlink(missing_ok=True)
    if cell.config_text is not None:
        (cell.folder / CONFIG).write_text(cell.config_text, encoding="utf-8")
    half = bool(kept and not is_trained(cell.folder))
    resumed = half and (cell.folder / LAST_CHECKPOINT).is_file()
    write_record(cell, "running", resumed=resumed or bool(kept and record.get("resumed")))


def write_record(cell: Cell, state: str, **more: Any) -> None:
    """Write ``cell.json``; what an earlier one of the same attempt said beyond it stays."""
    earlier = (_read(cell.folder / RECORD) or {}) if state != "running" else {}
    content = {
        "format": FORMAT,
        "dataset": cell.dataset,
        "method": cell.method,
        "seed": cell.seed,
        "kind": cell.kind,
        "source": cell.source,
        "source_sha256": cell.source_sha256,
        "settings": cell.settings,
    }
    write_json(cell.folder / RECORD, {**earlier, **content, "state": state, **more})


def write_json(path: Path, content: Any) -> None:
    """Write a file of JSON, whole or not at all."""
    with write_atomically(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def read_result(cell_folder: Path) -> Result | None:
    """Read a cell's result; None where there is none, or something else lies in its place."""
    try:
        return Result.load(cell_folder / RESULT)
    except (OSError, ValueError):
        return None


def read_record(folder: Path) -> dict[str, Any]:
    """Read a cell's ``cell.json``.

    Raises:
        ValueError: there is none, or it is no record of a cell.
    """
    record = _read(folder / RECORD)
    if record is None or not record.keys() >= {"dataset", "method", "seed"}:
        raise ValueError(
            f"{folder / RECORD}: expected the record of a cell ({FORMAT}); try removing its folder "
            "and running `fed-plugin benchmark` again"
        )
    return record


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format", FORMAT) != FORMAT:
        return None
    return content


def _differences(record: dict[str, Any], cell: Cell) -> tuple[str, ...]:
    """Name what a record says otherwise than the plan."""
    was = record.get("settings", {})
    now = json.loads(json.dumps(cell.settings))
    found = [
        f"{key} was {_said(was, key)}, the plan says {_said(now, key)}"
        for key in sorted({*was, *now})
        if was.get(key, ...) != now.get(key, ...)
    ]
    if record.get("kind") != cell.kind:
        found.insert(0, f"it was {record.get('kind')}, the plan says {cell.kind}")
    return tuple(found)


def _said(settings: dict[str, Any], key: str) -> str:
    return repr(settings[key]) if key in settings else "the host's default"


# The process of one cell: ``python -m fed_plugin.cli.benchmark.cell_process FOLDER``.
#
# Trains with the stock trainer by ``cell_config.yml``, describes the test set with the last
# weights, ranks, and writes ``dump.npz`` and ``result.json``. It ends when its standard input does,
# as the runner's pipe breaks when the runner dies.

STOCK = "stock_evaluation.json"
TOLERANCE = 0.1
"""Points between fast-reid's own evaluation of the last weights and this one."""


def main(words: list[str]) -> int:
    """Run a cell; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fed_plugin.benchmark.cells")
    parser.add_argument("folder", type=Path, help="of a cell that the runner prepared")
    parser.add_argument("--resume", action="store_true", help="from the newest checkpoint")
    args = parser.parse_args(words)
    end_with_the_runner()
    with one_sentence_for_mistakes() as outcome:
        run_cell(args.folder, args.resume)
    return outcome.status


def end_with_the_runner() -> None:
    """Kill this process and all it started as soon as its standard input ends.

    Not through ``sys.stdin``, whose lock a forked worker would inherit.
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
    """Train where there is something to train, evaluate, write the result.

    Raises:
        ValueError: the folder holds no cell.
        RuntimeError: fast-reid's evaluator found other numbers.
    """
    record = read_record(folder)
    if record["kind"] == "trained" and not is_trained(folder):
        _train(folder, resume)
    from fed_plugin.retrieval.card_files import card_of_dump
    from fed_plugin.retrieval.evaluation import distance_for, evaluate_dump
    from fed_plugin.retrieval.feature_dump import FeatureDump

    if record["kind"] == "dump":
        dump = FeatureDump.load(record["source"])
    else:
        dump = _describe(folder, record)
    card = card_of_dump(dump, distance_for(dump))
    result = evaluate_dump(dump, method=record["method"], card=card.to_json())
    _check_against_the_stock_evaluator(result, folder / STOCK)
    replace(dump, part_features=None).save(folder / DUMP)  # for the report's ranking lists
    result.save(folder / RESULT)


def _train(folder: Path, resume: bool) -> None:
    """Train, and keep what the host's last evaluation found."""
    from fed_plugin.fastreid_adapter.training import parse_flags, train_or_evaluate

    words = ["--config-file", str(folder / CONFIG), *(["--resume"] if resume else [])]
    logging.getLogger("fastreid.engine.train_loop").addFilter(WithoutTraceback())
    found = train_or_evaluate(parse_flags(words, prog="benchmark")) or {}
    numbers = {name: float(value) for name, value in found.items() if np.isscalar(value)}
    write_json(folder / STOCK, numbers)


def _describe(folder: Path, record: dict[str, Any]) -> FeatureDump:
    """Describe the test set with the weights of the last epoch; untrained, with the config's."""
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.extract import dump_test_set

    weights = ["MODEL.WEIGHTS", str(folder / FINAL_WEIGHTS)]
    cfg = read_config(str(folder / CONFIG), weights if record["kind"] == "trained" else [])
    about = {"method": record["method"], "config": record["source"]}
    return dump_test_set(cfg, record["dataset"], about)


def _check_against_the_stock_evaluator(result: Result, path: Path) -> None:
    """Refuse numbers that fast-reid's own evaluation of the same weights contradicts."""
    if not path.is_file():
        return
    stock = json.loads(path.read_text())
    for name in ("Rank-1", "mAP", "mINP"):
        ours = result.metrics[name].value
        if name in stock and abs(stock[name] - ours) > TOLERANCE:
            raise RuntimeError(
                f"fast-reid's evaluation of the last epoch found {name} {stock[name]:.2f}, this "
                f"one {ours:.2f}; expected the same ({path})"
            )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
