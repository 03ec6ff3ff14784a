"""Probability that two photos show one person, learned from pairs of known people.

The curve is logistic in the similarity (Platt scaling). The share of right pairs, the prior,
differs between galleries; therefore the curve keeps the prior apart.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.arguments import check_file
from fed_plugin.files import OutputFile, check_apart, check_writable, decode, write_json
from fed_plugin.retrieval.distances import cosine_distance, visible_similarity
from fed_plugin.retrieval.estimates import Column, as_text
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.thresholds import Pairs, allowed_errors
from fed_plugin.search import MATCHINGS

_EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
_RATES = (1e-1, 1e-2, 1e-3)
_MOST_PAIRS = 64_000_000


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fitted curve ``log-odds = slope * similarity + offset``.

    Attributes:
        slope: change per unit of similarity, above 0.
        offset: log-odds at similarity 0 and at ``prior``.
        prior: share of right pairs among the fitted pairs, in (0, 1).
        pairs, right_pairs: number of fitted pairs, and of those that show one person.
        weights_sha256: hash of the model's weights; empty if not known.
        matching: one of ``MATCHINGS``.
    """

    slope: float
    offset: float
    prior: float
    pairs: int
    right_pairs: int
    weights_sha256: str = ""
    matching: str = "cosine"

    def __post_init__(self) -> None:
        if not self.slope > 0:
            raise ValueError(
                f"slope {self.slope}: expected above 0, as more similar is more probable"
            )
        _log_odds(self.prior)

    def probabilities(
        self, similarity: ArrayLike, prior: float | None = None
    ) -> NDArray[np.float64]:
        """Return the probability that pairs show one person, for similarities of any shape.

        The prior is the share of right pairs in the gallery; None takes that of the fitted pairs.

        Raises:
            ValueError: ``prior`` is not in (0, 1).
        """
        from scipy.special import expit

        shift = 0.0 if prior is None else _log_odds(prior) - _log_odds(self.prior)
        return expit(self.slope * np.asarray(similarity, np.float64) + self.offset + shift)

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        write_json(path, msgspec.to_builtins(self), indent=None)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read a file.

        Raises:
            FileNotFoundError: the file does not exist.
            ValueError: the file is no calibration; the message names file and key.
        """
        return decode(path, cls, "a calibration")


def calibration_path(weights: str) -> Path:
    """Return the path of the calibration of a checkpoint."""
    return Path(weights).with_suffix(".calibration.json")


def _log_odds(probability: float) -> float:
    if not 0 < probability < 1:
        raise ValueError(f"prior {probability}: expected a share above 0 and below 1")
    return math.log(probability / (1 - probability))


def fit_calibration(
    similarity: ArrayLike, right: ArrayLike, weights_sha256: str = "", matching: str = "cosine"
) -> Calibration:
    """Fit the curve by maximum likelihood; Platt's targets keep separable pairs finite.

    Similarities are (N,); ``right`` is (N,) bool, True for pairs that show one person. The hash and
    the matching are stored with the curve.

    Raises:
        ValueError: the shapes differ, a number is not finite, one kind of pairs is missing, or
            right pairs are in the mean no more similar than wrong pairs.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

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
    z = np.stack([(x - centre) / scale, np.ones_like(x)])  # (2, N)

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = theta @ z
        entropy = np.logaddexp(0, odds) - target * odds
        return float(entropy.mean()), z @ (expit(odds) - target) / len(x)

    def hessian(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        probability = expit(theta @ z)
        return (z * (probability * (1 - probability))) @ z.T / len(x)

    start = [0.0, _log_odds(float(target.mean()))]
    theta = minimize(loss, start, jac=True, hess=hessian, method="trust-exact", tol=1e-12).x
    slope, offset = float(theta[0] / scale), float(theta[1] - theta[0] * centre / scale)
    prior = positives / len(truth)
    return Calibration(slope, offset, prior, len(truth), positives, weights_sha256, matching)


def reliability(
    probability: ArrayLike, right: ArrayLike, edges: Sequence[float]
) -> list[dict[str, Any]]:
    """Compare probabilities with the truth, range by range; empty ranges are left out.

    Probabilities are (N,) in [0, 1], ``right`` is (N,) bool. The edges ascend from 0 to 1; a range
    holds its lower end, the last range both ends. The result is a row per range: ``low``, ``high``,
    ``pairs``, ``said`` (mean probability) and ``true`` (share of right pairs).
    """
    chance, truth = np.asarray(probability, np.float64), np.asarray(right, bool)
    place = np.minimum(np.searchsorted(edges, chance, side="right") - 1, len(edges) - 2)
    rows = []
    for i in np.unique(place).tolist():
        inside = place == i
        means = {"said": float(chance[inside].mean()), "true": float(truth[inside].mean())}
        rows.append({"low": edges[i], "high": edges[i + 1], "pairs": int(inside.sum()), **means})
    return rows


def fit_and_try(
    dump: Any, weights_sha256: str, matching: str, seed: int
) -> tuple[Calibration, dict[str, Any]]:
    """Fit a curve on half of a dump's people, and try the curve on the other half.

    The hash is that of the weights of the dump's model; the seed is that of the halves.

    Returns:
        The curve, and a record for JSON: ``fitted`` and ``tried`` (people, pairs, right pairs),
        ``reliability`` and ``rates`` (true positive rate by false positive rate).

    Raises:
        ValueError: a half has no pair of a kind, or there are too many pairs.
    """
    people = np.unique(dump.pids[dump.query])
    if len(people) < 4:
        raise ValueError(f"{len(people)} people among the queries: expected 4 or more")
    validation, test = np.split(np.random.default_rng(seed).permutation(people), [len(people) // 2])
    fitted = fit_calibration(*_pairs(dump, validation, matching), weights_sha256, matching)
    similarity, right = _pairs(dump, test, matching)
    if not right.any():
        raise ValueError(
            "the half of the people to try the curve on has no right pair; expected one from "
            "another camera, try another --seed, or more people"
        )
    return fitted, {
        "matching": matching,
        "seed": seed,
        "fitted": _counts(validation, fitted.pairs, fitted.right_pairs),
        "tried": _counts(test, len(similarity), int(right.sum())),
        "reliability": reliability(fitted.probabilities(similarity), right, _EDGES),
        "rates": _rates(similarity, right, fitted),
    }


def _counts(people: NDArray[np.int64], pairs: int, right: int) -> dict[str, int]:
    return {"people": len(people), "pairs": pairs, "right_pairs": right}


def _pairs(
    dump: Any, people: NDArray[np.int64], matching: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return similarity (N,) and right (N,) of people's pairs that the ranking's rules allow."""
    of_people = [np.isin(dump.pids[x], people) for x in (dump.query, dump.gallery)]
    query, gallery = dump.query[of_people[0]], dump.gallery[of_people[1]]
    if not len(query) or not len(gallery):
        raise ValueError("one half of the people has no gallery photo; try --seed, or more people")
    if len(query) * len(gallery) > _MOST_PAIRS:
        raise ValueError(f"{len(query) * len(gallery)} pairs: expected {_MOST_PAIRS} or fewer")
    if matching == "visibility":
        if dump.visibility is None:
            raise ValueError("--matching visibility: the dump holds none; try cosine")
        sides = [(dump.features[x], dump.visibility[x]) for x in (query, gallery)]
        similarity = visible_similarity(*sides[0], *sides[1])
    else:
        similarity = 1 - cosine_distance(dump.features[query], dump.features[gallery])
    labels = [one[of_people[k % 2]] for k, one in enumerate(dump.labels())]
    scores, right = Pairs(-similarity, *labels).scores()
    return scores, right.astype(bool)


def _rates(
    similarity: NDArray[np.float64], right: NDArray[np.bool_], fitted: Calibration
) -> list[dict[str, Any]]:
    """Return the similarity and the probability that keep false positives at each rate."""
    wrong = np.sort(similarity[~right])[::-1]
    rows: list[dict[str, Any]] = []
    for rate in _RATES:
        row = {"fpr": rate, "tpr": None, "wrong_pairs": len(wrong)}
        if allowed := allowed_errors(rate, len(wrong)):
            limit = float(wrong[min(allowed, len(wrong) - 1)])
            row = {"fpr": rate, "tpr": float((similarity[right] > limit).mean())}
            row |= {"similarity_above": limit}
            row |= {"probability_above": float(fitted.probabilities(limit))}
        rows.append(row)
    return rows


def draw_trial(tried: dict[str, Any], path: str, name: str) -> Path:
    """Draw the record of :func:`fit_and_try` as PNG or SVG; ``name`` is the checkpoint's."""
    from fed_plugin.visualization.lines import Curve, Panel, training_figure

    ends = (0.0, 100.0)
    mean, share = ([100 * row[key] for row in tried["reliability"]] for key in ("said", "true"))
    curves = [Curve("people not fitted", 0, mean, share), Curve("probability", 1, ends, ends)]
    title, axis = "Share of pairs that show one person, %", "probability by the curve, %"
    counts = tried["tried"]
    explanation = (
        f"Tried on {counts['pairs']} pairs of {counts['people']} people, {counts['right_pairs']} "
        "of the pairs right. Ranked among half of the people; the curve was fitted on the other "
        f"half. Matching {tried['matching']}."
    )
    heading = f"{name}: probability by similarity"
    return training_figure([Panel(title, axis, curves)], path, heading, explanation)


# The command ``calibrate``.


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.description = (
        "Fit the probability that two photos show one person on half of the people in a dump, try "
        "the curve on the other half, and store the curve beside the weights for `search "
        "--min-probability`. No person is in both halves: the printed figures are of people that "
        "the curve was not fitted on."
    )
    add = parser.add_argument
    add("dump", metavar="DUMP.npz", help="a file that `dump` wrote")
    words = "the checkpoint of the dump; FILE.calibration.json is written beside it"
    add("--weights", required=True, metavar="FILE.pth", help=words)
    add("--matching", choices=MATCHINGS, default="cosine", help="as for search")
    add("--seed", type=int, default=0, help="seed of the halves; default: 0")
    add("--json", type=OutputFile, metavar="FILE", help="write the printed figures there too")
    add("--picture", type=OutputFile, metavar="FILE", help="draw the curve, as .png or .svg")


def run(args: argparse.Namespace) -> None:
    """Fit, try, write, print."""
    target = calibration_path(args.weights)
    _check_arguments(args, target)
    from fed_plugin.datasets.fingerprints import content_hash

    dump = FeatureDump.load(args.dump)
    ours, of_dump = content_hash(args.weights), dump.about.get("weights_sha256")
    if of_dump != ours:
        raise ValueError(
            f"{args.dump}: is of other weights ({str(of_dump)[:12]}) than {args.weights} "
            f"({ours[:12]}); expected a dump by these weights, see `dump`"
        )
    try:
        fitted, tried = fit_and_try(dump, ours, args.matching, args.seed)
    except ValueError as error:
        raise ValueError(f"{args.dump}: {error}") from error
    _print_tables(tried)
    if args.json:
        known = {key: dump.about.get(key) for key in ("method", "config", "seed", "epoch")}
        write_json(args.json, {"of": known, **tried})
    if args.picture:
        draw_trial(tried, args.picture, Path(args.weights).name)
    fitted.save(target)
    print(target)


def _check_arguments(args: argparse.Namespace, target: Path) -> None:
    check_file(args.weights, "a checkpoint", f"--weights {args.weights}")
    check_writable(target)
    check_apart(target, filter(None, (args.json, args.picture, args.dump)))
    if args.picture and Path(args.picture).suffix.lower() not in (".png", ".svg"):
        raise ValueError(
            f"--picture {args.picture}: expected a file name that ends in .png or .svg"
        )
    if args.seed < 0:
        raise ValueError(f"--seed {args.seed}: expected 0 or more")


_TABLES = {  # keys of a row, titles, formats of numbers
    "reliability": (
        *(("low", "probability from", "g"), ("high", "to", "g"), ("pairs", "pairs", "d")),
        *(("said", "mean probability", ".3f"), ("true", "share right", ".3f")),
    ),
    "rates": (
        *(("fpr", "FPR", "g"), ("tpr", "TPR", ".3f")),
        ("similarity_above", "similarity above", ".4f"),
        ("probability_above", "probability above", ".3f"),
        ("wrong_pairs", "wrong pairs, too few", "d"),
    ),
}


def _print_tables(tried: dict[str, Any]) -> None:
    ours, others = tried["fitted"], tried["tried"]
    print(
        f"fitted on {ours['pairs']} pairs of {ours['people']} people ({ours['right_pairs']} right)"
        f", tried on {others['pairs']} pairs of {others['people']} others ({others['right_pairs']} "
        f"right)\nranked among half of the people each: of {ours['people'] + others['people']} "
        f"people, the gallery of the figures below holds {others['people']}; a gallery of all has "
        "more wrong answers for each right one, and lower probabilities (`search --prior`)"
    )
    for name, columns in _TABLES.items():
        rows = tried[name]
        used = [
            Column(key, title, lambda row, key=key: row.get(key), spec)
            for key, title, spec in columns
            if any(key in row for row in rows)
        ]
        if rows:
            print(as_text(used, rows))
