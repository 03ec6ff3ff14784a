"""What a fitted curve is worth on people it never saw: one record for table, JSON and picture."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.calibration import Calibration, fit_calibration, reliability
from fed_plugin.retrieval.distances import cosine_distance
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.part_matching import visible_similarity
from fed_plugin.retrieval.refusals import refusal_curve
from fed_plugin.retrieval.verification import allowed_errors

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
