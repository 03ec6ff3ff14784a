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
from PIL import Image

from fed_plugin.arguments import find_config, key_value_pairs
from fed_plugin.benchmark.training_process import train_in_process
from fed_plugin.cli.show import to_pictures
from fed_plugin.console import ProgressLine
from fed_plugin.files import OutputFolder, clear_folder, write_json
from fed_plugin.photos import read_rgb
from fed_plugin.pool import TRAINING, only_training
from fed_plugin.retrieval import RankingResult, bootstrap_interval, cosine_distance, rank
from fed_plugin.retrieval.estimates import Column, Estimate, as_text
from fed_plugin.retrieval.ranking import first_ranked
from fed_plugin.retrieval.result import correlate_visibility
from fed_plugin.synthocc import read_visibility
from fed_plugin.visualization import RankingLists, pair_sheet, ranking_sheet, visibility_sheet

if TYPE_CHECKING:  # fast-reid reads FASTREID_DATASETS when imported: `run` sets it before
    from fed_plugin.fastreid_adapter.extract import Description

# The table: results of a described test set.


Row = dict[str, Any]
"""Results of one method and seed: percentages, millions of parameters, seconds.

``visibility`` is the correlation of the predicted with the true visible share over all parts of all
queries; None for a method without predicted visibility.
"""

RANK1 = ("rank1", "rank1_low", "rank1_high")
COLUMNS: list[Column[Row]] = [
    Column("method", "method", itemgetter("method")),
    Column("seed", "seed", itemgetter("seed")),
    Column("rank1", "Rank-1 [95 %]", lambda row: Estimate(*map(row.get, RANK1))),
    Column("rank5", "Rank-5", itemgetter("rank5")),
    Column("rank10", "Rank-10", itemgetter("rank10")),
    Column("mAP", "mAP", itemgetter("mAP")),
    Column("mINP", "mINP", itemgetter("mINP")),
    Column("visibility", "vis. r", itemgetter("visibility"), ".2f"),
    Column("parameters", "M", itemgetter("parameters"), ".2f"),
    Column("seconds", "s", itemgetter("seconds"), ".0f"),
]


def make_row(method: str, seed: int, description: Description, seconds: float) -> Row:
    """Rank a described test set and summarise the ranking."""
    ranking = rank_description(description)
    interval = bootstrap_interval(100.0 * (ranking.first_hits == 0))
    return {
        **{"method": method, "seed": seed, "rank1": 100 * ranking.rank1},
        **{"rank1_low": interval.low, "rank1_high": interval.high},
        **{name: 100 * getattr(ranking, name) for name in ("rank5", "rank10", "mAP", "mINP")},
        "visibility": _visibility_correlation(description),
        "parameters": description.num_parameters / 1e6,
        "seconds": seconds,
    }


def _visibility_correlation(description: Description) -> float | None:
    if description.visibility is None:
        return None
    queries = [Path(path) for path in description.paths[: description.num_query]]
    rows = read_visibility(queries[0].parents[1])
    truth = np.array([rows[query.name].shares[1:] for query in queries])
    return correlate_visibility(description.visibility[: len(queries)], truth)


def rank_description(description: Description) -> RankingResult:
    """Rank the gallery of a described data set for its queries, by cosine."""
    query, gallery = slice(None, description.num_query), slice(description.num_query, None)
    return rank(
        cosine_distance(description.features[query], description.features[gallery]),
        description.pids[query],
        description.pids[gallery],
        description.camids[query],
        description.camids[gallery],
    )


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
    add(
        "--out",
        type=OutputFolder,
        default="demo_output",
        help="folder to write; default: demo_output",
    )
    add("--size", default="small", help="size of SynthOcc: tiny, small or medium")
    add("--seeds", type=int, nargs="+", default=[0], help="seeds; one training per seed and method")
    add(
        "--methods",
        nargs="+",
        choices=sorted(METHODS),
        default=["ViT baseline", "FED"],
        help="default: the ViT baseline and FED",
    )
    add("--reuse", action="store_true", help="do not repeat finished trainings of --out")
    words = "config overrides for every training: KEY VALUE ..."
    add("opts", nargs=argparse.REMAINDER, help=words)


def run(args: argparse.Namespace) -> None:
    """Draw people, train, compare; write pictures and ``results.json`` to the folder."""
    out, opts = Path(args.out).resolve(), key_value_pairs(args.opts)
    out.mkdir(parents=True, exist_ok=True)
    os.environ["FASTREID_DATASETS"] = str(out / "datasets")
    _draw(out / "datasets" / DATASET, args.size)

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
            rows.append(make_row(method, seed, description, _seconds(folder)))
            _check_against_the_stock_evaluator(rows[-1], folder)
            described.setdefault(method, description)
    cfg = _config(CONFIG, overrides)
    about = _about(cfg, next(iter(described.values())))
    report(rows, out / "results.json", {"size": args.size, "about": about})
    for path in draw_all(cfg, described, out / "datasets" / DATASET, out):
        print(f"picture: {path}")


def _draw(folder: Path, size: str) -> None:
    from fed_plugin.synthocc import build_synthocc

    with ProgressLine(f"drawing SynthOcc {size}") as progress:
        build_synthocc(folder, size, progress=progress)


def _train(method: str, seed: int, folder: Path, overrides: list[str]) -> None:
    with only_training(folder):
        clear_folder(folder, *TRAINING)
    train_in_process(
        find_config(METHODS[method]),
        [*overrides, "SEED", str(seed), "OUTPUT_DIR", str(folder)],
        folder,
        what=f"training {method}, seed {seed}",
    )


def _seconds(folder: Path) -> float:
    times = re.findall(r"Total training time: (\d+):(\d+):(\d+)", _log(folder))
    hours, minutes, seconds = map(int, times[-1])
    return 3600.0 * hours + 60 * minutes + seconds


def _log(folder: Path) -> str:
    return (folder / "train.log").read_text(errors="replace")


def _config(name: str, overrides: list[str]) -> Any:
    from fed_plugin.fastreid_adapter.config_files import read_config

    return read_config(find_config(name), overrides)


def _describe(name: str, overrides: list[str]) -> Description:
    from fed_plugin.fastreid_adapter.extract import describe_test_set

    return describe_test_set(_config(name, overrides), DATASET)


def _check_against_the_stock_evaluator(row: Row, folder: Path) -> None:
    """Refuse numbers that differ from fast-reid's own evaluation of the same weights."""
    names, values = (
        re.findall(rf"^\| {first} .*$", _log(folder), re.MULTILINE)[-1].strip("| ").split("|")
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


def draw_all(cfg: Any, described: dict[str, Description], dataset: Path, out: Path) -> list[Path]:
    """Draw every sheet that the described methods allow."""
    paths = [_pairs(cfg, out / "augmented_pairs.png")]
    for method, description in described.items():
        if description.visibility is not None:
            name = f"visibility_{method.replace(' ', '_').lower()}.png"
            paths.append(_visibility(method, description, dataset, out / name))
    paths.append(_rankings(described, out / "ranking_lists.png"))
    return paths


def _pairs(cfg: Any, path: Path) -> Path:
    from fed_plugin.fastreid_adapter.loaders import first_training_images
    from fed_plugin.modeling import visibility_target

    holistic, occluded = first_training_images(cfg, NUM_PAIRS).views.unbind(1)
    rule = cfg.MODEL.FED.OEM.TARGET
    targets = visibility_target(holistic, occluded, cfg.MODEL.FED.NUM_PARTS, rule)
    return pair_sheet(
        to_pictures(holistic),
        to_pictures(occluded),
        targets.numpy(),
        path,
        title=f"Training pairs and visibility targets ({rule})",
    )


def _visibility(method: str, description: Description, dataset: Path, path: Path) -> Path:
    truth = {name: row.shares for name, row in read_visibility(dataset).items()}
    queries = range(description.num_query)
    overall = [truth[Path(description.paths[i]).name][0] for i in queries]
    spread = np.linspace(0, len(overall) - 1, min(NUM_QUERIES, len(overall))).astype(int)
    order = np.argsort(overall)[spread]
    shares = np.array([truth[Path(description.paths[i]).name][1:] for i in order])
    return visibility_sheet(
        np.stack([_read(description.paths[i]) for i in order]),
        description.visibility[order],
        path,
        truth=np.nan_to_num(shares, nan=1.0),
        title=f"{method}: visibility of occluded queries, predicted and true",
    )


def _rankings(described: dict[str, Description], path: Path) -> Path:
    """Draw the queries on which the methods differ most, with the lists of all methods."""
    first = next(iter(described.values()))
    precisions = np.stack([rank_description(d).average_precisions for d in described.values()])
    queries = np.argsort(-np.ptp(precisions, axis=0), kind="stable")[:NUM_LISTS]
    return ranking_sheet(
        np.stack([_read(first.paths[i]) for i in queries]),
        {method: _lists(description, queries) for method, description in described.items()},
        path,
        title="Queries on which the methods differ most",
    )


def _lists(description: Description, queries: NDArray[np.int64]) -> RankingLists:
    Q = description.num_query
    pids, camids = description.pids, description.camids
    first = first_ranked(
        cosine_distance(description.features[queries], description.features[Q:]),
        pids[queries],
        pids[Q:],
        camids[queries],
        camids[Q:],
        LIST_LENGTH,
    )
    return RankingLists(
        np.stack([[_read(description.paths[Q + i]) for i in row] for row in first.places]),
        first.matches,
        1 - first.distances,
    )


def _read(path: str) -> NDArray[np.uint8]:
    height, width = TILE
    return np.asarray(Image.fromarray(read_rgb(path)).resize((width, height)))
