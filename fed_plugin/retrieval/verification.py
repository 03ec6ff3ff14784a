"""Verify pairs: the share of right pairs accepted where few wrong ones are (TPR@FPR).

One threshold serves all queries. A query and a gallery image are a right pair if their identity is
the same and their camera is not, a wrong pair if their identity differs; same identity and camera
is no pair, as in :mod:`fed_plugin.retrieval.ranking`. A query without a right answer still has its
wrong pairs.

**Rule.** TPR@FPR=f is the largest true positive rate of any threshold whose false positive rate is
*at most* f. Nothing is interpolated: such a threshold exists, and every pair nearer than it is
accepted. Pairs at one distance are accepted or refused together, so that ties, which no threshold
can part, never help. With fewer than 1 / f wrong pairs not one of them may be accepted.

NOTE(host): fast-reid prints numbers of this name under ``TEST.ROC`` which are others. It labels
wrong pairs as the positive class, so that its "TPR@FPR=1e-04" is the share of *wrong* pairs refused
where 1e-4 of the *right* pairs are refused, read at the point of the curve nearest to 1e-4 on
either side. From its ``evaluate_roc`` scores the numbers of this module follow exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fed_plugin.retrieval.pairs import Pairs


@dataclass(frozen=True)
class VerificationResult:
    """Hold true positive rates at chosen false positive rates.

    Attributes:
        false_positive_rates: (F,) rates asked for, as they were given.
        true_positive_rates: (F,) float64 in [0, 1], share of right pairs accepted.
        reached_rates: (F,) float64, false positive rates at the thresholds, never above those asked
            for: below them where distances tie or wrong pairs are few.
        thresholds: (F,) float64; a pair is accepted if its distance is *smaller*. Infinite where
            every pair is accepted.
        positive_pairs: number of right pairs.
        negative_pairs: number of wrong pairs.
    """

    false_positive_rates: NDArray[np.float64]
    true_positive_rates: NDArray[np.float64]
    reached_rates: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    positive_pairs: int
    negative_pairs: int


def verify_pairs(
    distmat: ArrayLike,
    q_pids: ArrayLike,
    g_pids: ArrayLike,
    q_camids: ArrayLike,
    g_camids: ArrayLike,
    false_positive_rates: Sequence[float] = (1e-4, 1e-3, 1e-2),
) -> VerificationResult:
    """Compute TPR@FPR over all pairs of a query and a gallery image, exactly.

    The pairs are never sorted: the wrong pairs are read in blocks of rows, of which only the
    nearest are kept. Beside its input it holds one block and twice the share of wrong pairs that
    the largest rate below one allows.

    Args:
        distmat: (Q, G) distances, any real dtype, smaller is nearer; infinities are allowed.
        q_pids: (Q,) identities of the queries, numbers or strings.
        g_pids: (G,) identities of the gallery.
        q_camids: (Q,) cameras of the queries.
        g_camids: (G,) cameras of the gallery.
        false_positive_rates: (F,) numbers in [0, 1], in any order.

    Raises:
        ValueError: The shapes do not fit, a distance is NaN, a rate is out of [0, 1], or there is
            no right or no wrong pair.
        TypeError: The distances are not real numbers.
    """
    pairs = Pairs(distmat, q_pids, g_pids, q_camids, g_camids)
    rates = checked_rates("false_positive_rates", false_positive_rates)
    positives = sum(int(np.count_nonzero(block.right)) for block in pairs)
    negatives = sum(int(np.count_nonzero(block.wrong)) for block in pairs)
    if not positives or not negatives:
        count_q, count_g = pairs.distmat.shape
        raise ValueError(
            f"{positives} right and {negatives} wrong pairs between {count_q} queries and "
            f"{count_g} gallery images: expected at least one of each; try a gallery with other "
            "identities, and with the queries' own from other cameras"
        )
    allowed = np.array([allowed_errors(rate, negatives) for rate in rates])
    free = allowed >= negatives  # every pair may be accepted
    nearest = nearest_wrong(pairs, keep=int(allowed[~free].max(initial=-1)) + 1)
    limits = nearest[allowed[~free]]  # the first wrong pair that is one too many

    thresholds, reached, accepted = np.full(rates.shape, np.inf), np.ones(rates.shape), free * 1.0
    thresholds[~free] = limits
    reached[~free] = np.searchsorted(nearest, limits) / negatives
    accepted[~free] = _right_below(pairs, limits) / positives
    return VerificationResult(rates, accepted, reached, thresholds, positives, negatives)


def checked_rates(name: str, rates: Sequence[float]) -> NDArray[np.float64]:
    """Return error rates as an array (F,), or refuse them by ``name``.

    Raises:
        ValueError: There is none, or one is out of [0, 1].
    """
    checked = np.asarray(rates, dtype=np.float64)
    if checked.ndim != 1 or checked.size == 0 or not ((checked >= 0) & (checked <= 1)).all():
        raise ValueError(f"{name}={rates}: expected shares between 0 and 1; try (0.001, 0.01)")
    return checked


def allowed_errors(rate: float, count: int) -> int:
    """Return how many of ``count`` may go wrong at a ``rate``, meant as it is written.

    In floating point 0.29 * 100 is below 29; here it is 29.
    """
    return int(Fraction(repr(float(rate))) * count)


def nearest_wrong(pairs: Pairs, keep: int) -> NDArray:
    """Return the ``keep`` smallest distances of wrong pairs, ascending.

    Args:
        pairs: to go through.
        keep: how many; all of them if there are fewer.
    """
    waiting: list[NDArray] = []
    bound = None
    for block in pairs:
        wanted = block.wrong
        if bound is not None:
            wanted = wanted & (block.distances < bound)  # an equal one would change nothing
        waiting.append(block.distances[wanted])
        if sum(map(len, waiting)) >= 2 * keep > 0:
            held = np.partition(np.concatenate(waiting), keep - 1)[:keep].copy()
            waiting, bound = [held], held[-1]
    return np.sort(np.concatenate(waiting))[:keep]


def _right_below(pairs: Pairs, limits: NDArray) -> NDArray[np.int64]:
    """Return (F,) how many right pairs are nearer than each of the limits."""
    counts = np.zeros(limits.shape, dtype=np.int64)
    for block in pairs:
        counts += np.searchsorted(np.sort(block.distances[block.right]), limits)
    return counts
