"""``demo``: draw people, train the ViT baseline and FED alike, compare and picture them."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fed_plugin.cli.demo_table import Row, make_row, report
from fed_plugin.cli.progress import ProgressLine
from fed_plugin.cli.training_process import train_in_process
from fed_plugin.installed_configs import find_config

if TYPE_CHECKING:
    from fed_plugin.fastreid_adapter.description import Description

CONFIG = "synthocc_vit_tiny"
METHODS = {"ViT baseline": f"{CONFIG}_baseline", "FED": CONFIG, "FED plus": f"{CONFIG}_fed_plus"}
DATASET = "SynthOcc"
# Eight people in two batches: fewer neighbours, and a warm-up that ends.
OF_SIZE = {"tiny": ["SOLVER.WARMUP_ITERS", "4", "MODEL.FED.FDM.NUM_NEIGHBORS", "4"]}
INTERRUPTED = "`demo --reuse` does not repeat the trainings that are finished"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    parser.add_argument("--out", default="demo_output", help="folder; default: demo_output")
    parser.add_argument("--size", default="small", help="of SynthOcc: tiny, small or medium")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="a training per seed and method"
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=sorted(METHODS),
        default=["ViT baseline", "FED"],
        help="default: the ViT baseline and FED",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="do not repeat trainings that are finished in --out"
    )
    parser.add_argument(
        "opts", nargs=argparse.REMAINDER, help="config overrides for every training: KEY VALUE ..."
    )


def run(args: argparse.Namespace) -> None:
    """Draw, train, compare; leave the pictures and ``results.json`` in the folder."""
    out = Path(args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ["FASTREID_DATASETS"] = str(out / "datasets")  # fast-reid reads it when imported
    _draw(out / "datasets" / DATASET, args.size)

    from fed_plugin.cli import demo_pictures  # imports fast-reid

    logging.getLogger("fastreid").setLevel(logging.ERROR)  # the trainings' logs say it all

    overrides = [*OF_SIZE.get(args.size, ()), *args.opts]
    rows, described = [], {}
    for seed in args.seeds:
        rows.append(_untrained(seed, overrides))
        for method in args.methods:
            folder = out / method.replace(" ", "_").lower() / f"seed{seed}"
            if not (args.reuse and (folder / "model_final.pth").is_file()):
                _train(method, seed, folder, overrides)
            description = _describe(METHODS[method], [*overrides, *_weights(folder)])
            rows.append(make_row(method, seed, description, _seconds(folder)))
            _check_against_the_stock_evaluator(rows[-1], folder)
            described.setdefault(method, description)
    cfg = _config(CONFIG, overrides)
    about = _about(cfg, next(iter(described.values())))
    report(rows, out / "results.json", {"size": args.size, "about": about})
    for path in demo_pictures.draw_all(cfg, described, out / "datasets" / DATASET, out):
        print(f"picture: {path}")


def _draw(folder: Path, size: str) -> None:
    from fed_plugin.datasets.synthocc import build_synthocc

    with ProgressLine(f"drawing SynthOcc {size}") as progress:
        build_synthocc(folder, size, progress=progress)


def _train(method: str, seed: int, folder: Path, overrides: list[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    train_in_process(
        find_config(METHODS[method]),
        [*overrides, "SEED", str(seed), "OUTPUT_DIR", str(folder)],
        folder,
        what=f"training {method}, seed {seed}",
    )


def _seconds(folder: Path) -> float:
    """Read how long the host says the training took."""
    found = re.findall(r"Total training time: (\d+):(\d+):(\d+)", _log(folder))
    hours, minutes, seconds = map(int, found[-1])
    return 3600.0 * hours + 60 * minutes + seconds


def _log(folder: Path) -> str:
    return (folder / "train.log").read_text(errors="replace")


def _weights(folder: Path) -> list[str]:
    return ["MODEL.WEIGHTS", str(folder / "model_final.pth")]


def _config(name: str, overrides: list[str]) -> Any:
    from fed_plugin.fastreid_adapter.config_files import read_config

    return read_config(find_config(name), overrides)


def _describe(name: str, overrides: list[str]) -> Description:
    from fed_plugin.fastreid_adapter.description import describe_test_set

    return describe_test_set(_config(name, overrides), DATASET)


def _untrained(seed: int, overrides: list[str]) -> Row:
    description = _describe(METHODS["ViT baseline"], [*overrides, "SEED", str(seed)])
    return make_row("untrained ViT", seed, description, 0.0)


def _check_against_the_stock_evaluator(row: Row, folder: Path) -> None:
    """Refuse to print numbers that fast-reid's own evaluation of the same weights contradicts."""
    names, values = (
        re.findall(rf"^\| {first} .*$", _log(folder), re.MULTILINE)[-1].strip("| ").split("|")
        for first in ("Dataset", DATASET)
    )
    stock = {name.strip(): value for name, value in zip(names, values, strict=True)}
    for name, ours in (("Rank-1", row.rank1), ("mAP", row.mAP)):
        if abs(float(stock[name]) - ours) > 0.1:
            raise RuntimeError(
                f"{row.method}: fast-reid's evaluator found {name} {stock[name].strip()}, this "
                f"table {ours:.2f}; expected the same (log in {folder})"
            )


def _about(cfg: Any, description: Description) -> dict[str, Any]:
    """Return what a reader needs to judge and repeat the numbers."""
    import torch

    from fed_plugin import __version__

    return {
        "num_query": description.num_query,
        "num_gallery": len(description.paths) - description.num_query,
        "epochs": cfg.SOLVER.MAX_EPOCH,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "torch": torch.__version__,
        "fed_plugin": __version__,
        "command": shlex.join(["python", "-m", "fed_plugin", *sys.argv[1:]]),
    }
