"""From a similarity to the probability that two photos show one person.

A logistic curve over the similarities of pairs whose truth is known (Platt's scaling). How often
right pairs occur differs from gallery to gallery, so that share, the prior, is kept apart.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.files import StoredAsJson
from fed_plugin.retrieval.distances import cosine_distance, visible_similarity
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.thresholds import allowed_errors

_STEPS = 100
_FIELDS = ("slope", "offset", "prior", "pairs", "right_pairs", "weights_sha256", "matching")


@dataclass(frozen=True)
class Calibration(StoredAsJson):
    """Hold a fitted curve: ``log-odds = slope * similarity + offset``.

    Attributes:
        slope: per unit of similarity; above 0.
        offset: log-odds at similarity 0, at ``prior``.
        prior: share of right pairs in the log-odds, in (0, 1).
        pairs: it was fitted on.
        right_pairs: of them of one person.
        weights_sha256: of the model whose similarities they are; empty if not known.
        matching: of ``MATCHINGS``.
    """

    CALLED: ClassVar[str] = "a calibration"

    slope: float
    offset: float
    prior: float
    pairs: int
    right_pairs: int
    weights_sha256: str = ""
    matching: str = "cosine"

    def probabilities(
        self, similarity: ArrayLike, prior: float | None = None
    ) -> NDArray[np.float64]:
        """Return the probability that pairs show one person.

        Args:
            similarity: of any shape.
            prior: share of right pairs where it is used; None takes the fitted pairs' share.

        Raises:
            ValueError: a prior outside of (0, 1).
        """
        shift = 0.0 if prior is None else _log_odds(prior) - _log_odds(self.prior)
        odds = self.slope * np.asarray(similarity, np.float64) + self.offset + shift
        return np.exp(-np.logaddexp(0, -odds))

    def to_json(self) -> dict[str, Any]:
        """Return what the file holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Any) -> Calibration:
        """Read what :meth:`to_json` returns.

        Raises:
            ValueError: It is something else.
        """
        if not isinstance(content, dict) or set(content) != set(_FIELDS):
            raise ValueError(f"expected {', '.join(_FIELDS)}")
        numbers = [content[name] for name in _FIELDS[:5]]
        if not all(type(x) in (int, float) and math.isfinite(x) for x in numbers):
            raise ValueError(f"expected finite numbers, got {numbers}")
        if content["slope"] <= 0:
            raise ValueError(f"slope {content['slope']}: expected above 0, more alike is more sure")
        if not all(isinstance(content[name], str) for name in _FIELDS[5:]):
            raise ValueError(f"expected words for {' and '.join(_FIELDS[5:])}")
        _log_odds(content["prior"])
        return cls(**content)


@dataclass(frozen=True)
class ReliabilityBin:
    """Hold the pairs of one range of probabilities: what was said, and what was true.

    Args:
        low: lower end.
        high: upper end.
        pairs: in the range.
        said: their mean probability.
        true: their share of right pairs.
    """

    low: float
    high: float
    pairs: int
    said: float
    true: float


def fit_calibration(
    similarity: ArrayLike, right: ArrayLike, weights_sha256: str = "", matching: str = "cosine"
) -> Calibration:
    """Fit the curve by Newton's method; Platt's targets keep it finite where pairs separate.

    Args:
        similarity: (N,) of pairs.
        right: (N,) bool: of one person?
        weights_sha256: kept with the curve.
        matching: kept with the curve.

    Raises:
        ValueError: shapes differ, a number is not finite, only right or only wrong pairs, or wrong
            pairs that are as similar as right ones or more.
    """
    x, truth = np.asarray(similarity, np.float64).ravel(), np.asarray(right, bool).ravel()
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if x.shape != truth.shape or not np.isfinite(x).all():
        raise ValueError(f"similarity and right: expected finite pairs, got {x.shape, truth.shape}")
    if not positives or not negatives:
        raise ValueError(
            f"{positives} right and {negatives} wrong pairs: expected some of both; try more people"
        )
    if x[truth].mean() <= x[~truth].mean():
        raise ValueError(
            f"right pairs have a mean similarity of {x[truth].mean():.3f}, wrong pairs of "
            f"{x[~truth].mean():.3f}: expected right ones to be more alike; try a trained model"
        )
    target = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, scale = x.mean(), x.std()
    z = np.stack([(x - centre) / scale, np.ones_like(x)])
    theta = np.array([0.0, _log_odds(target.mean())])

    def loss(at: NDArray[np.float64]) -> float:
        odds = at @ z
        return float(np.sum(np.logaddexp(0, odds) - target * odds))

    now = loss(theta)
    for _ in range(_STEPS):
        said = np.exp(-np.logaddexp(0, -(theta @ z)))
        gradient = z @ (said - target)
        hessian = (z * (said * (1 - said))) @ z.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while loss(theta - step) > now and np.abs(step).max() > 1e-12:
            step /= 2
        theta = theta - step
        now = loss(theta)
        if np.abs(step).max() < 1e-10:
            break
    slope, offset = float(theta[0] / scale), float(theta[1] - theta[0] * centre / scale)
    prior = positives / len(truth)
    return Calibration(slope, offset, prior, len(truth), positives, weights_sha256, matching)


def reliability(
    probability: ArrayLike, right: ArrayLike, edges: Sequence[float]
) -> list[ReliabilityBin]:
    """Compare what was said with what was true, range by range; empty ranges are left out.

    Args:
        probability: (N,) in [0, 1].
        right: (N,) bool.
        edges: rising, from 0 to 1; a range holds its lower end, the last one both.
    """
    said, truth = np.asarray(probability, np.float64), np.asarray(right, bool)
    place = np.minimum(np.searchsorted(edges, said, side="right") - 1, len(edges) - 2)
    bins = []
    for i in range(len(edges) - 1):
        inside = place == i
        if inside.any():
            mean, share = float(said[inside].mean()), float(truth[inside].mean())
            bins.append(ReliabilityBin(edges[i], edges[i + 1], int(inside.sum()), mean, share))
    return bins


def _log_odds(probability: float) -> float:
    if not 0 < probability < 1:
        raise ValueError(f"prior {probability}: expected a share above 0 and below 1")
    return math.log(probability / (1 - probability))


# ``calibrate``: which similarity means one person, learnt on people that are in no test.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's words."""
    from fed_plugin.search.gallery_index import MATCHINGS

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
    from fed_plugin.datasets.fingerprints import content_hash
    from fed_plugin.files import check_writable, write_atomically
    from fed_plugin.retrieval.feature_dump import FeatureDump

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
        with write_atomically(args.json) as file:
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


# A calibration as a picture: what was said beside what was true, and what refusing costs.

KINDS = (".png", ".svg")


def check_picture(path: str | None) -> None:
    """Refuse a file name that no picture can have.

    Raises:
        ValueError: it ends neither in ``.png`` nor in ``.svg``.
    """
    if path and Path(path).suffix.lower() not in KINDS:
        raise ValueError(f"--picture {path}: expected a file name that ends in .png or .svg")


def draw_trial(tried: dict[str, Any], path: str, name: str) -> Path:
    """Draw what ``fit_and_try`` found.

    Args:
        tried: its record.
        path: ``.png`` or ``.svg``.
        name: of the checkpoint.
    """
    from fed_plugin.visualization.lines import Curve, Panel, training_figure

    bins = [row for row in tried["reliability"] if row["pairs"]]
    ends = (0.0, 100.0)
    said, true = ([100 * row[key] for row in bins] for key in ("said", "true"))
    panels = [
        Panel(
            "How often the pair was one person, %",
            "probability that was said, %",
            [Curve("pairs of people not seen", 0, said, true), Curve("said = true", 1, ends, ends)],
        )
    ]
    rows = [row for row in tried["refusals"] if row["rank1"] is not None]
    if rows:
        refused, rest = ([100 * row[key] for row in rows] for key in ("refused", "rank1"))
        curves = [Curve("Rank-1 of the rest", 2, refused, rest)]
        lost = [row for row in rows if row["refused_right"] is not None]
        if lost:
            points = ([100 * row[key] for row in lost] for key in ("refused", "refused_right"))
            curves.append(Curve("Rank-1 of the refused", 3, *points))
        panels.append(Panel("Right first answers, %", "queries refused by visibility, %", curves))
    counts = tried["tried"]
    return training_figure(
        panels,
        path,
        f"{name}: what a similarity means",
        f"Tried on {counts['pairs']} pairs of {counts['people']} people, {counts['right_pairs']} "
        f"of them right, that the curve was not fitted on; matching {tried['matching']}.",
    )


# When too little of a person is visible: what refusing to answer costs, and what it gains.

THRESHOLDS = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class RefusalRow:
    """Hold what one threshold does.

    Args:
        threshold: queries whose mean visibility is below get no answer.
        refused: share of the queries.
        rank1: share of right first answers among those answered; NaN if none is.
        refused_right: share of the refused whose first answer would have been right: the cost; NaN
            if none is refused.
    """

    threshold: float
    refused: float
    rank1: float
    refused_right: float


def refusal_curve(
    visibility: NDArray[np.floating], hits: ArrayLike, thresholds: Sequence[float] = THRESHOLDS
) -> list[RefusalRow]:
    """Compute cost and benefit of refusing queries of which too little is visible.

    Args:
        visibility: (V, P) in [0, 1], as the model estimates it.
        hits: (V,) was the first answer right?
        thresholds: of the mean over the parts.
    """
    visible, right = np.asarray(visibility).mean(axis=1), np.asarray(hits, bool)
    rows = []
    for threshold in thresholds:
        refused = visible < threshold
        kept, lost = right[~refused], right[refused]
        rows.append(
            RefusalRow(
                float(threshold),
                float(refused.mean()),
                float(kept.mean()) if kept.size else float("nan"),
                float(lost.mean()) if lost.size else float("nan"),
            )
        )
    return rows


# What a fitted curve is worth on people it never saw: one record for table, JSON and picture.

EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
RATES = (1e-1, 1e-2, 1e-3)
MOST_PAIRS = 64_000_000


def fit_and_try(
    dump: FeatureDump, weights_sha256: str, matching: str, seed: int
) -> tuple[Calibration, dict[str, Any]]:
    """Fit a curve on half of a dump's people and try it on the other half.

    Args:
        dump: queries and gallery, with their people and cameras.
        weights_sha256: of the model that made it.
        matching: of ``MATCHINGS``.
        seed: of the halves.

    Returns:
        The ``Calibration``, and what JSON can hold: ``fitted`` and ``tried`` (people, pairs, right
        pairs), ``reliability`` (a row per range of probabilities), ``rates`` (TPR by FPR) and
        ``refusals`` (a row per ``--min-visibility``; empty without visibility).

    Raises:
        ValueError: nothing can be fitted or tried, or too many pairs.
    """
    validation, test = _halves(dump, seed)
    fitted = fit_calibration(*_pairs(dump, validation, matching)[:2], weights_sha256, matching)
    similarity, right, hits, queries = _pairs(dump, test, matching)
    if not right.any():
        raise ValueError(
            "the half of the people to try the curve on has no right pair; expected one from "
            "another camera, try another --seed, or more people"
        )
    refusals = []
    if dump.visibility is not None and hits.size:
        refusals = [asdict(row) for row in refusal_curve(dump.visibility[queries], hits)]
    bins = reliability(fitted.probabilities(similarity), right, EDGES)
    return fitted, {
        "matching": matching,
        "seed": seed,
        "fitted": _counts(validation, fitted.pairs, fitted.right_pairs),
        "tried": _counts(test, len(similarity), int(right.sum())),
        "queries_tried": len(hits),
        "reliability": [asdict(one) for one in bins],
        "rates": _rates(similarity, right, fitted),
        "refusals": [{k: _number(v) for k, v in row.items()} for row in refusals],
    }


def _counts(people: set[int], pairs: int, right: int) -> dict[str, int]:
    return {"people": len(people), "pairs": pairs, "right_pairs": right}


def _halves(dump: FeatureDump, seed: int) -> tuple[set[int], set[int]]:
    """Divide the queries' people in two."""
    people = np.unique(dump.pids[dump.query])
    drawn = np.random.default_rng(seed).permutation(people)
    if len(people) < 4:
        raise ValueError(f"{len(people)} people among the queries: expected 4 or more")
    half = len(people) // 2
    return set(drawn[:half].tolist()), set(drawn[half:].tolist())


def _pairs(
    dump: FeatureDump, people: set[int], matching: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    """Return the pairs that the camera rule allows among some people.

    Returns:
        Similarities (N,), whether right (N,), whether each query's first answer is right (V,) and
        the rows of those queries (V,); queries without a right answer are no part of the last two.
    """
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


def _rates(
    similarity: NDArray[np.float64], right: NDArray[np.bool_], fitted: Calibration
) -> list[dict[str, Any]]:
    """Say what similarity, and what probability, keeps false positives at a rate."""
    wrong = np.sort(similarity[~right])[::-1]
    rows = []
    for rate in RATES:
        allowed = allowed_errors(rate, len(wrong))
        if not allowed:
            rows.append({"fpr": rate, "tpr": None, "wrong_pairs": len(wrong)})
            continue
        limit = wrong[min(allowed, len(wrong) - 1)]
        rows.append(
            {
                "fpr": rate,
                "tpr": float((similarity[right] > limit).mean()),
                "similarity_above": float(limit),
                "probability_above": float(fitted.probabilities(limit)),
            }
        )
    return rows


def _number(value: float) -> float | None:
    """Return a number that JSON can hold."""
    return None if np.isnan(value) else value
