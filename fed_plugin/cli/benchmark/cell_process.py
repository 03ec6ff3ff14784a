"""The process of one cell: ``python -m fed_plugin.cli.benchmark.cell_process FOLDER``.

Trains with the stock trainer by ``cell_config.yml``, describes the test set with the last weights,
ranks, and writes ``dump.npz`` and ``result.json``. It ends when its standard input does, as the
runner's pipe breaks when the runner dies.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import projects_registry  # noqa: F401 - arms the mends, also where the .pth line is not installed
from fed_plugin.cli.benchmark.cells import (
    CONFIG,
    DUMP,
    FINAL_WEIGHTS,
    RESULT,
    is_trained,
    read_record,
    write_json,
)
from fed_plugin.cli.mistakes import one_sentence_for_mistakes

if TYPE_CHECKING:
    from fed_plugin.retrieval.feature_dump import FeatureDump
    from fed_plugin.retrieval.result import Result

STOCK = "stock_evaluation.json"
TOLERANCE = 0.1
"""Points between fast-reid's own evaluation of the last weights and this one."""


def main(words: list[str]) -> int:
    """Run a cell; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fed_plugin.cli.benchmark.cell_process")
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
    from fed_plugin.retrieval.dump_card import card_of_dump
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
    from fed_plugin.cli.train import main as train
    from fed_plugin.fastreid_adapter.stock_training import parse_flags

    words = ["--config-file", str(folder / CONFIG), *(["--resume"] if resume else [])]
    found = train(parse_flags(words, prog="benchmark")) or {}
    numbers = {name: float(value) for name, value in found.items() if np.isscalar(value)}
    write_json(folder / STOCK, numbers)


def _describe(folder: Path, record: dict[str, Any]) -> FeatureDump:
    """Describe the test set with the weights of the last epoch; untrained, with the config's."""
    from fed_plugin.fastreid_adapter.config_files import read_config
    from fed_plugin.fastreid_adapter.dumping import dump_test_set

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
