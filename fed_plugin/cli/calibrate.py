"""``calibrate``: which similarity means one person, learnt on people that are in no test."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.retrieval.gallery_index import MATCHINGS

    parser.description = (
        "Fit the probability that two photos show one person on half of a dump's people, try it on "
        "the other half, and store it beside the weights for `search --min-probability`. No person "
        "is in both halves, so the printed figures are of people the curve never saw."
    )
    parser.add_argument("dump", metavar="DUMP.npz", help="a file that `dump` wrote")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="FILE.pth",
        help="the checkpoint of the dump; FILE.calibration.json is written beside it",
    )
    parser.add_argument("--matching", choices=MATCHINGS, default="cosine", help="as search's")
    parser.add_argument("--seed", type=int, default=0, help="of the halves; default: 0")
    parser.add_argument("--json", metavar="FILE", help="write what is printed there, too")
    parser.add_argument(
        "--picture",
        metavar="FILE",
        help="draw it, as .png or .svg: what was said and true, and what refusing costs",
    )


def run(args: argparse.Namespace) -> None:
    """Fit, try, write, print.

    Raises:
        FileNotFoundError: no such dump or weights.
        ValueError: the dump is of other weights, has no visibility to match by, too many pairs, or
            nothing can be fitted.
    """
    from fed_plugin.cli.calibration_picture import check_picture, draw_trial
    from fed_plugin.datasets.fingerprints import content_hash
    from fed_plugin.retrieval.calibration_trial import fit_and_try
    from fed_plugin.retrieval.feature_dump import FeatureDump
    from fed_plugin.retrieval.whole_files import check_writable, written_whole

    if not Path(args.weights).is_file():
        raise FileNotFoundError(f"--weights {args.weights}: no such file; expected a checkpoint")
    target = calibration_path(args.weights)
    for path in filter(None, (target, args.json, args.picture)):
        check_writable(path)
    check_picture(args.picture)
    dump = FeatureDump.load(args.dump)
    ours, of_dump = content_hash(args.weights), dump.about.get("weights_sha256")
    if of_dump != ours:
        raise ValueError(
            f"{args.dump}: is of other weights ({str(of_dump)[:12]}) than {args.weights} "
            f"({ours[:12]}); expected a dump by these, see `dump`"
        )
    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: expected 0 or more")
    try:
        fitted, tried = fit_and_try(dump, ours, args.matching, args.seed)
    except ValueError as error:
        raise ValueError(f"{args.dump}: {error}") from error
    _print_tables(tried)
    if args.json:
        known = {key: dump.about.get(key) for key in ("method", "config", "seed", "epoch")}
        with written_whole(args.json) as file:
            file.write((json.dumps({"of": known, **tried}, indent=1) + "\n").encode())
    if args.picture:
        draw_trial(tried, args.picture, Path(args.weights).name)
    fitted.save(target)
    print(target)


def _print_tables(tried: dict[str, Any]) -> None:
    from tabulate import tabulate

    ours, others = tried["fitted"], tried["tried"]
    print(
        f"fitted on {ours['pairs']} pairs of {ours['people']} people ({ours['right_pairs']} right)"
        f", tried on {others['pairs']} pairs of {others['people']} others ({others['right_pairs']} "
        "right)"
    )
    for rows in (
        [_bin(row) for row in tried["reliability"]],
        [_rate(row) for row in tried["rates"]],
        [_refusal(row) for row in tried["refusals"]],
    ):
        if rows:
            print(tabulate(rows, headers="keys"))


def calibration_path(weights: str) -> Path:
    """Return where the calibration of a checkpoint lies."""
    return Path(weights).with_suffix(".calibration.json")


def _bin(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "probability from": row["low"],
        "to": row["high"],
        "pairs": row["pairs"],
        "said": f"{row['said']:.3f}",
        "true": f"{row['true']:.3f}",
    }


def _rate(row: dict[str, Any]) -> dict[str, Any]:
    if row["tpr"] is None:
        return {"FPR": row["fpr"], "TPR": f"{row['wrong_pairs']} wrong pairs are too few"}
    return {
        "FPR": row["fpr"],
        "TPR": f"{row['tpr']:.3f}",
        "similarity above": f"{row['similarity_above']:.4f}",
        "probability above": f"{row['probability_above']:.3f}",
    }


def _refusal(row: dict[str, Any]) -> dict[str, str]:
    return {
        "--min-visibility": f"{row['threshold']:.1f}",
        "queries refused": f"{row['refused']:.1%}",
        "Rank-1 of the rest": _share(row["rank1"]),
        "Rank-1 of the refused": _share(row["refused_right"]),
    }


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
