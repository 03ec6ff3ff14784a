"""Similarities to probabilities."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fed_plugin.search.calibration import Calibration, fit_calibration, reliability


@pytest.fixture
def pairs():
    """A hundred thousand pairs whose truth follows log-odds of 12 s - 7."""
    draw = np.random.default_rng(0)
    similarity = draw.uniform(-0.2, 1, 100_000)
    return similarity, draw.uniform(size=100_000) < 1 / (1 + np.exp(7 - 12 * similarity))


def test_the_curve_that_drew_the_pairs_is_found(pairs):
    fitted = fit_calibration(*pairs)
    assert fitted.slope == pytest.approx(12, rel=0.02)
    assert fitted.offset == pytest.approx(-7, rel=0.02)
    bins = reliability(fitted.probabilities(pairs[0]), pairs[1], np.linspace(0, 1, 11))
    assert len(bins) == 10 and sum(one["pairs"] for one in bins) == 100_000
    assert all(abs(one["said"] - one["true"]) < 0.03 for one in bins)
    assert np.mean(fitted.probabilities(pairs[0])) == pytest.approx(pairs[1].mean(), abs=1e-4)


def test_the_curves_are_those_of_our_own_newton_method_before_scipy(pairs):
    for fitted, slope, offset in (
        (fit_calibration(*pairs), 11.925738086088113, -6.949067420368449),
        (fit_calibration([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), 3.0924538349908737, -1.5462269174954),
        (fit_calibration([0.1, 0.2, 0.15, 0.3], [0, 0, 1, 1]), 7.149833584205612, -1.3353671057115),
    ):
        assert fitted.slope == pytest.approx(slope, rel=1e-8)
        assert fitted.offset == pytest.approx(offset, rel=1e-8)


def test_another_prior_gives_the_curve_of_pairs_that_are_that_rare(pairs):
    similarity, right = pairs
    keep = ~right | (np.random.default_rng(1).uniform(size=len(right)) < 0.1)
    rare = fit_calibration(similarity[keep], right[keep])
    moved = fit_calibration(*pairs).probabilities(0.6, prior=rare.prior)
    assert moved == pytest.approx(float(rare.probabilities(0.6)), abs=0.02)
    assert moved < fit_calibration(*pairs).probabilities(0.6) - 0.2


def test_pairs_that_separate_stay_finite():
    fitted = fit_calibration([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert math.isfinite(fitted.slope) and fitted.slope > 0
    assert 0.5 < fitted.probabilities(0.9) < 1
    assert np.isfinite(fitted.probabilities([-1e6, 1e6])).all()


@pytest.mark.parametrize(
    ("similarity", "right", "message"),
    [
        ([0.1, 0.2], [True, True], "2 right and 0 wrong"),
        ([0.1, 0.2], [True, False], "more alike"),
        ([0.1, np.nan], [True, False], "finite"),
        ([0.1], [True, False], "finite pairs"),
    ],
)
def test_what_cannot_be_fitted_is_refused(similarity, right, message):
    with pytest.raises(ValueError, match=message):
        fit_calibration(similarity, right)


def test_files(pairs, tmp_path):
    fitted = fit_calibration(*pairs, "ab", "visibility")
    fitted.save(tmp_path / "a.json")
    assert Calibration.load(tmp_path / "a.json") == fitted
    known = json.loads((tmp_path / "a.json").read_text())
    odd = ({"slope": -1}, {"slope": True}, {"prior": 1}, {"matching": 7}, {"pairs": None}, {"a": 1})
    for content in ("[]", "{}", '{"slope": 1}', "x", *(json.dumps(known | one) for one in odd)):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(ValueError, match=r"a\.json"):
            Calibration.load(tmp_path / "a.json")
    with pytest.raises(ValueError, match="prior 1"):
        fitted.probabilities(0.5, prior=1)
