from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval import holm_adjusted, intervals, sign_flip_test


def slow_p_value(differences, groups):
    """Count every flip of every group's sign, in whole numbers."""
    sums = [
        sum(d for d, g in zip(differences, groups, strict=True) if g == group)
        for group in sorted(set(groups))
    ]
    observed = abs(sum(sums))
    flips = list(itertools.product((1, -1), repeat=len(sums)))
    as_large = sum(
        abs(sum(s * d for s, d in zip(signs, sums, strict=True))) >= observed for signs in flips
    )
    return as_large / len(flips)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=8),
    st.booleans(),
)
def test_every_small_case_equals_counting_all_flips(pairs, grouped):
    differences = [difference for difference, _ in pairs]
    groups = [group for _, group in pairs] if grouped else list(range(len(pairs)))
    if len(set(groups)) < 2 and grouped:
        return
    result = sign_flip_test(
        np.array(differences) / 10, np.zeros(len(pairs)), groups=groups if grouped else None
    )
    assert result.exact
    assert result.p_value == slow_p_value(differences, groups)
    assert result.difference == pytest.approx(np.mean(differences) / 10)


def test_for_hits_it_is_the_exact_mcnemar_test():
    a = np.array([1] * 9 + [0] * 2 + [1] * 20 + [0] * 5)  # better 9 times, worse twice
    b = np.array([0] * 9 + [1] * 2 + [1] * 20 + [0] * 5)
    expected = 2 * sum(math.comb(11, k) for k in range(3)) / 2**11
    result = sign_flip_test(a, b)
    assert result.exact and result.p_value == pytest.approx(expected)


def test_drawn_flips_come_near_all_flips():
    rng = np.random.default_rng(0)
    a, b = rng.random(12) + 0.12, rng.random(12)
    exact, drawn = sign_flip_test(a, b), sign_flip_test(a, b, flips=4000)
    assert exact.exact and not drawn.exact
    assert 0.01 < exact.p_value < 0.9
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.03)


def test_between_equal_methods_small_p_values_are_as_rare_as_they_say():
    rng = np.random.default_rng(1)
    drawn = [sign_flip_test(rng.random(40), rng.random(40), flips=199).p_value for _ in range(400)]
    assert 0.02 <= np.mean(np.array(drawn) <= 0.05) <= 0.08


def test_queries_of_one_identity_flip_together():
    rng = np.random.default_rng(2)
    groups = np.arange(12).repeat(20)
    difficulty = rng.normal(size=12).repeat(20)  # an identity helps one method or the other
    alone = sign_flip_test(difficulty + 0.3, np.zeros(240))
    together = sign_flip_test(difficulty + 0.3, np.zeros(240), groups=groups)
    assert alone.p_value < 0.01 < together.p_value
    assert alone.difference == together.difference


def test_methods_that_agree_everywhere_have_a_p_value_of_one():
    result = sign_flip_test([0.1, 0.5] * 50, [0.1, 0.5] * 50)
    assert (result.difference, result.p_value, result.exact) == (0, 1, True)


def test_a_p_value_of_drawn_flips_is_never_zero():
    result = sign_flip_test(np.ones(500), np.zeros(500), flips=99)
    assert (result.difference, result.p_value) == (1, 0.01)


def test_the_same_seed_gives_the_same_p_value_in_blocks_of_any_size(monkeypatch):
    rng = np.random.default_rng(3)
    a, b = rng.random(60), rng.random(60)
    whole = sign_flip_test(a, b, seed=3, flips=1000)
    assert whole != sign_flip_test(a, b, seed=4, flips=1000)
    monkeypatch.setattr(intervals, "_BLOCK_ELEMENTS", 700)
    assert sign_flip_test(a, b, seed=3, flips=1000) == whole
    assert sign_flip_test(a[:9], b[:9]).p_value == pytest.approx(
        slow_p_value(list(a[:9] - b[:9]), range(9))
    )


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a has 3 queries and b 2: expected the same queries"):
        sign_flip_test([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="flips=0: expected at least 1"):
        sign_flip_test([1], [2], flips=0)
    with pytest.raises(ValueError, match=r"groups has shape \(1,\): expected \(2,\)"):
        sign_flip_test([1, 2], [1, 2], groups=[1])


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less():
    # Holm, 1979, step by step: 3 * 0.01, then 2 * 0.02 (not below 0.03), then 0.5
    np.testing.assert_allclose(holm_adjusted([0.5, 0.01, 0.02]), [0.5, 0.03, 0.04])
    np.testing.assert_allclose(holm_adjusted([0.02, 0.02, 0.03]), [0.06, 0.06, 0.06])
    np.testing.assert_allclose(holm_adjusted([0.04]), [0.04])
    np.testing.assert_allclose(holm_adjusted([0.9, 0.8]), [1, 1])


def test_holm_calls_a_chance_difference_real_in_few_families():
    rng = np.random.default_rng(0)
    families = rng.random((4000, 8))
    called = np.mean([holm_adjusted(one).min() < 0.05 for one in families])
    assert called == pytest.approx(0.05, abs=0.012)
    assert np.mean(families.min(axis=1) < 0.05) > 0.3, "uncorrected"


@pytest.mark.parametrize("values", [[], [[0.5]], [1.5], [float("nan")]])
def test_what_is_no_p_value_is_refused(values):
    with pytest.raises(ValueError, match="expected numbers between 0 and 1"):
        holm_adjusted(values)
