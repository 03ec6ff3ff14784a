"""``demo``: draw people, train the ViT baseline and FED the same way, compare both."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import re
import shlex
import sys
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.arguments import find_config, key_value_pairs
from fed_plugin.benchmark.training_process import train_in_process
from fed_plugin.cli.show import draw_pairs, read_photo
from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFolder, clear_folder, write_json
from fed_plugin.pool import TRAINING, only_training
from fed_plugin.retrieval import cosine_distance
from fed_plugin.retrieval.estimates import Column, Estimate, as_text
from fed_plugin.retrieval.evaluation import evaluate_dump
from fed_plugin.retrieval.ranking import first_ranked
from fed_plugin.retrieval.result import correlate_visibility
from fed_plugin.synthocc import build_synthocc, read_visibility
from fed_plugin.visualization import RankingLists, ranking_sheet, visibility_sheet

if TYPE_CHECKING:  # fast-reid reads FASTREID_DATASETS when imported: `run` sets it before
    from fed_plugin.fastreid_adapter.extract import Description

# The table: results of a described test set.

Row = dict[str, Any]
"""Results of one method and seed: percentages, millions of parameters, seconds.

``visibility`` is the correlation of the predicted with the true visible share over all parts of all
queries; None for a method without predicted visibility.
"""

MORE = {"rank5": "Rank-5", "rank10": "Rank-10", "mAP": "mAP", "mINP": "mINP"}
COLUMNS: list[Column[Row]] = [
    Column("method", "method", itemgetter("method")),
    Column("seed", "seed", itemgetter("seed")),
    Column(
        *("rank1", "Rank-1 [95 %]"),
        lambda row: Estimate(row["rank1"], row["rank1_low"], row["rank1_high"]),
    ),
    *(Column(key, name, itemgetter(key)) for key, name in MORE.items()),
    Column("visibility", "vis. r", itemgetter("visibility"), ".2f"),
    Column("parameters", "M", itemgetter("parameters"), ".2f"),
    Column("seconds", "s", itemgetter("seconds"), ".0f"),
]


def make_row(method: str, seed: int, description: Description, seconds: float) -> Row:
    """Rank a described test set and summarise the ranking."""
    metrics = evaluate_dump(description.to_dump({})).metrics
    rank1 = metrics["Rank-1"]
    row = {"method": method, "seed": seed, "visibility": None}
    row |= {"rank1": rank1.value, "rank1_low": rank1.low, "rank1_high": rank1.high}
    row |= {key: metrics[name].value for key, name in MORE.items()}
    if description.visibility is not None:
        truth = _true_shares(description)[:, 1:]
        row["visibility"] = correlate_visibility(description.visibility[: len(truth)], truth)
    return {**row, "parameters": description.num_parameters / 1e6, "seconds": seconds}


def _true_shares(description: Description) -> NDArray[np.float64]:
    """Return the visible share of every query and of its parts, (Q, 1 + P)."""
    queries = [Path(path) for path in description.paths[: description.num_query]]
    rows = read_visibility(queries[0].parents[1])
    return np.array([rows[query.name].shares for query in queries])


def report(rows: list[Row], path: Path, context: dict[str, Any]) -> None:
    """Print the table and write the numbers, with ``context`` to judge the numbers by."""
    print(f"\nSynthOcc {context['size']}: occluded queries; gallery: whole people, other cameras")
    print(as_text(COLUMNS, rows))
    print("intervals: bootstrap over queries; vis. r: correlation of predicted and true visibility")
    print("M: million parameters; s: seconds of training\n")
    write_json(path, {**context, "rows": rows})
    print(f"numbers: {path}")


CONFIG = "synthocc_vit_tiny"
METHODS = {"ViT baseline": f"{CONFIG}_baseline", "FED": CONFIG, "FED plus": f"{CONFIG}_fed_plus"}
DATASET = "SynthOcc"
# Eight people in two batches: fewer neighbours, and a warm-up that ends.
OF_SIZE = {"tiny": ["SOLVER.WARMUP_ITERS", "4", "MODEL.FED.FDM.NUM_NEIGHBORS", "4"]}
INTERRUPTED = "`demo --reuse` does not repeat finished trainings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demo``."""
    add = parser.add_argument
    words = "folder to write; default: demo_output"
    add("--out", type=OutputFolder, default="demo_output", help=words)
    add("--size", default="small", help="size of SynthOcc: tiny, small or medium")
    add("--seeds", type=int, nargs="+", default=[0], help="seeds; one training per seed and method")
    methods, words = ["ViT baseline", "FED"], "default: the ViT baseline and FED"
    add("--methods", nargs="+", choices=sorted(METHODS), default=methods, help=words)
    add("--reuse", action="store_true", help="do not repeat finished trainings of --out")
    words = "config overrides for every training: KEY VALUE ..."
    add("opts", nargs=argparse.REMAINDER, help=words)


def run(args: argparse.Namespace) -> None:
    """Draw people, train, compare; write pictures and ``results.json`` to the folder."""
    out, opts = Path(args.out).resolve(), key_value_pairs(args.opts)
    out.mkdir(parents=True, exist_ok=True)
    os.environ["FASTREID_DATASETS"] = str(out / "datasets")
    with ProgressLine(f"drawing SynthOcc {args.size}") as progress:
        build_synthocc(out / "datasets" / DATASET, args.size, progress=progress)

    logging.getLogger("fastreid").setLevel(logging.ERROR)  # each training has its own log file

    overrides = [*OF_SIZE.get(args.size, ()), *opts]
    rows, described = [], {}
    for seed in args.seeds:
        untrained = _describe(METHODS["ViT baseline"], [*overrides, "SEED", str(seed)])
        rows.append(make_row("untrained ViT", seed, untrained, 0.0))
        for method in args.methods:
            folder = out / method.replace(" ", "_").lower() / f"seed{seed}"
            weights = folder / "model_final.pth"
            if not (args.reuse and weights.is_file()):
                _train(method, seed, folder, overrides)
            trained = [*overrides, "MODEL.WEIGHTS", str(weights)]
            description = _describe(METHODS[method], trained)
            log = (folder / "train.log").read_text(errors="replace")
            times = re.findall(r"Total training time: (\d+):(\d+):(\d+)", log)
            hours, minutes, seconds = map(int, times[-1])
            rows.append(make_row(method, seed, description, 3600 * hours + 60 * minutes + seconds))
            _check_against_the_stock_evaluator(rows[-1], log, folder)
            described.setdefault(method, description)
    cfg = _config(CONFIG, overrides)
    about = _about(cfg, next(iter(described.values())))
    report(rows, out / "results.json", {"size": args.size, "about": about})
    for path in draw_all(cfg, described, out):
        print(f"picture: {path}")


def _train(method: str, seed: int, folder: Path, overrides: list[str]) -> None:
    with only_training(folder):
        clear_folder(folder, *TRAINING)
    config, words = find_config(METHODS[method]), ["SEED", str(seed), "OUTPUT_DIR", str(folder)]
    train_in_process(config, [*overrides, *words], folder, f"training {method}, seed {seed}")


def _config(name: str, overrides: list[str]) -> Any:
    from fed_plugin.fastreid_adapter.config_files import read_config

    return read_config(find_config(name), overrides)


def _describe(name: str, overrides: list[str]) -> Description:
    from fed_plugin.fastreid_adapter.extract import describe_test_set

    return describe_test_set(_config(name, overrides), DATASET)


def _check_against_the_stock_evaluator(row: Row, log: str, folder: Path) -> None:
    """Refuse numbers that differ from fast-reid's own evaluation of the same weights."""
    names, values = (
        re.findall(rf"^\| {first} .*$", log, re.MULTILINE)[-1].strip("| ").split("|")
        for first in ("Dataset", DATASET)
    )
    stock = {name.strip(): value for name, value in zip(names, values, strict=True)}
    for name, ours in (("Rank-1", row["rank1"]), ("mAP", row["mAP"])):
        if abs(float(stock[name]) - ours) > 0.1:
            raise RuntimeError(
                f"{row['method']}: expected {name} {stock[name].strip()} as fast-reid's evaluator, "
                f"got {ours:.2f}; try the log in {folder}"
            )


def _about(cfg: Any, description: Description) -> dict[str, Any]:
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


# The pictures: augmented pairs, predicted visibility, ranking lists.

NUM_PAIRS = 16
NUM_QUERIES = 18
NUM_LISTS = 6
LIST_LENGTH = 8
TILE = (128, 64)


def draw_all(cfg: Any, described: dict[str, Description], out: Path) -> list[Path]:
    """Draw every sheet that the described methods allow."""
    from fed_plugin.fastreid_adapter.loaders import first_training_images

    paths = [out / "augmented_pairs.png"]
    draw_pairs(cfg, first_training_images(cfg, NUM_PAIRS), paths[0], CONFIG)
    for method, description in described.items():
        if description.visibility is not None:
            name = f"visibility_{method.replace(' ', '_').lower()}.png"
            paths.append(_visibility(method, description, out / name))
    paths.append(_rankings(described, out / "ranking_lists.png"))
    return paths


def _visibility(method: str, description: Description, path: Path) -> Path:
    shares = _true_shares(description)
    spread = np.linspace(0, len(shares) - 1, min(NUM_QUERIES, len(shares))).astype(int)
    order = np.argsort(shares[:, 0])[spread]
    images = np.stack([read_photo(description.paths[i], TILE) for i in order])
    truth = np.nan_to_num(shares[order, 1:], nan=1.0)
    title = f"{method}: visibility of occluded queries, predicted and true"
    return visibility_sheet(images, description.visibility[order], path, truth=truth, title=title)


def _rankings(described: dict[str, Description], path: Path) -> Path:
    """Draw the queries on which the methods differ most, with the lists of all methods."""
    first = next(iter(described.values()))
    results = [evaluate_dump(one.to_dump({})).queries for one in described.values()]
    precisions = np.stack([one.average_precisions for one in results])
    queries = np.argsort(-np.ptp(precisions, axis=0), kind="stable")[:NUM_LISTS]
    lists = {method: _lists(description, queries) for method, description in described.items()}
    images = np.stack([read_photo(first.paths[i], TILE) for i in queries])
    return ranking_sheet(images, lists, path, title="Queries on which the methods differ most")


def _lists(description: Description, queries: NDArray[np.int64]) -> RankingLists:
    dump, gallery = description.to_dump({}), description.paths[description.num_query :]
    distances = cosine_distance(dump.features[queries], dump.features[dump.gallery])
    first = first_ranked(distances, *dump.labels(queries), LIST_LENGTH)
    images = np.stack([[read_photo(gallery[i], TILE) for i in row] for row in first.places])
    return RankingLists(images, first.matches, 1 - first.distances)
