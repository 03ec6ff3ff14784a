"""``calibrate``: which similarity means one person, learnt on people that are in no test."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
RATES = (1e-1, 1e-2, 1e-3)
MOST_PAIRS = 64_000_000


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


def run(args: argparse.Namespace) -> None:
    """Fit, try, write, print.

    Raises:
        FileNotFoundError: no such dump or weights.
        ValueError: the dump is of other weights, has no visibility to match by, too many pairs, or
            nothing can be fitted.
    """
    from tabulate import tabulate

    from fed_plugin.datasets.fingerprints import content_hash
    from fed_plugin.retrieval.calibration import fit_calibration, reliability
    from fed_plugin.retrieval.feature_dump import FeatureDump
    from fed_plugin.retrieval.whole_files import check_writable

    if not Path(args.weights).is_file():
        raise FileNotFoundError(f"--weights {args.weights}: no such file; expected a checkpoint")
    target = calibration_path(args.weights)
    check_writable(target)
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
        validation, test = _halves(dump, args.seed)
        fitted = fit_calibration(*_pairs(dump, validation, args.matching)[:2], ours, args.matching)
        similarity, right, hits, queries = _pairs(dump, test, args.matching)
        if not right.any():
            raise ValueError(
                "the half of the people to try the curve on has no right pair; expected one from "
                "another camera, try another --seed, or more people"
            )
    except ValueError as error:
        raise ValueError(f"{args.dump}: {error}") from error
    print(
        f"fitted on {fitted.pairs} pairs of {len(validation)} people ({fitted.right_pairs} right), "
        f"tried on {len(similarity)} pairs of {len(test)} others ({int(right.sum())} right)"
    )
    probability = fitted.probabilities(similarity)
    bins = reliability(probability, right, EDGES)
    print(tabulate([_bin(one) for one in bins], headers="keys"))
    print(tabulate(_rates(similarity, right, fitted), headers="keys"))
    if dump.visibility is not None and hits.size:
        print(tabulate(_refusals(dump.visibility[queries], hits), headers="keys"))
    fitted.save(target)
    print(target)


def calibration_path(weights: str) -> Path:
    """Return where the calibration of a checkpoint lies."""
    return Path(weights).with_suffix(".calibration.json")


def _halves(dump: Any, seed: int) -> tuple[set[int], set[int]]:
    """Divide the queries' people in two."""
    people = np.unique(dump.pids[dump.query])
    drawn = np.random.default_rng(seed).permutation(people)
    if len(people) < 4:
        raise ValueError(f"{len(people)} people among the queries: expected 4 or more")
    half = len(people) // 2
    return set(drawn[:half].tolist()), set(drawn[half:].tolist())


def _pairs(
    dump: Any, people: set[int], matching: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Return the pairs that the camera rule allows among some people.

    Returns:
        Similarities (N,), whether right (N,), whether each query's first answer is right (V,) and
        the rows of those queries (V,); queries without a right answer are no part of the last two.
    """
    from fed_plugin.retrieval.distances import cosine_distance
    from fed_plugin.retrieval.part_matching import visible_similarity

    chosen = sorted(people)
    query, gallery = (x[np.isin(dump.pids[x], chosen)] for x in (dump.query, dump.gallery))
    if not len(query) or not len(gallery):
        raise ValueError("one half of the people has no gallery photo; try --seed, or more people")
    if len(query) * len(gallery) > MOST_PAIRS:
        raise ValueError(f"{len(query) * len(gallery)} pairs: expected {MOST_PAIRS} or fewer")
    if matching == "visibility":
        if dump.visibility is None:
            raise ValueError("--matching visibility: the dump holds none; try cosine")
        sides = [(dump.features[x], dump.visibility[x]) for x in (query, gallery)]
        similarity = visible_similarity(*sides[0], *sides[1])
    else:
        similarity = 1 - cosine_distance(dump.features[query], dump.features[gallery])
    same = dump.pids[query][:, None] == dump.pids[gallery]
    allowed = ~(same & (dump.camids[query][:, None] == dump.camids[gallery]))
    answered = (same & allowed).any(axis=1)
    first = np.where(allowed, similarity, -np.inf).argmax(axis=1)
    hits = same[np.arange(len(query)), first]
    return similarity[allowed], same[allowed], hits[answered], query[answered]


def _bin(one: Any) -> dict[str, Any]:
    return {
        "probability from": one.low,
        "to": one.high,
        "pairs": one.pairs,
        "said": f"{one.said:.3f}",
        "true": f"{one.true:.3f}",
    }


def _rates(
    similarity: NDArray[np.float64], right: NDArray[np.bool_], fitted: Any
) -> list[dict[str, Any]]:
    """Say what similarity, and what probability, keeps false positives at a rate."""
    from fed_plugin.retrieval.verification import allowed_errors

    wrong = np.sort(similarity[~right])[::-1]
    rows = []
    for rate in RATES:
        allowed = allowed_errors(rate, len(wrong))
        if not allowed:
            rows.append({"FPR": rate, "TPR": f"{len(wrong)} wrong pairs are too few"})
            continue
        limit = wrong[min(allowed, len(wrong) - 1)]
        rows.append(
            {
                "FPR": rate,
                "TPR": f"{(similarity[right] > limit).mean():.3f}",
                "similarity above": f"{limit:.4f}",
                "probability above": f"{fitted.probabilities(limit):.3f}",
            }
        )
    return rows


def _refusals(visibility: NDArray[np.floating], hits: NDArray[np.bool_]) -> list[dict[str, str]]:
    from fed_plugin.retrieval.refusals import refusal_curve

    return [
        {
            "--min-visibility": f"{row.threshold:.1f}",
            "queries refused": f"{row.refused:.1%}",
            "Rank-1 of the rest": _share(row.rank1),
            "Rank-1 of the refused": _share(row.refused_right),
        }
        for row in refusal_curve(visibility, hits)
    ]


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.1%}"
