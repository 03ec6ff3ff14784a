"""From a similarity to the probability that two photos show one person.

A logistic curve over the similarities of pairs whose truth is known (Platt's scaling). How often
right pairs occur differs from gallery to gallery, so that share, the prior, is kept apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.json_files import StoredAsJson

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
