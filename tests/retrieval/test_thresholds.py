"""TPR@FPR and DIR@FAR as metrics of a result, and what is said where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval import identify_open_set, leave_identities_out, verify_pairs
from fed_plugin.retrieval.thresholds import THRESHOLD_METRICS, not_computed, threshold_metrics


@pytest.fixture
def case(draw_case):
    """200 queries of 20 identities, half of which leave the gallery, and 12,000 pairs."""
    distmat, q_pids, g_pids, q_camids, g_camids = draw_case(0, 200, 60, pids=20, cameras=3)
    return distmat - 0.4 * (q_pids[:, None] == g_pids), q_pids, g_pids, q_camids, g_camids


def test_they_are_those_of_the_plain_functions_in_per_cent_with_intervals(case):
    found = threshold_metrics(*case)
    assert tuple(found.metrics) == THRESHOLD_METRICS and found.undefined == {}
    distmat, q_pids, g_pids, q_camids, g_camids = case
    kept = leave_identities_out(q_pids, g_pids)
    expected = [
        *verify_pairs(*case, (1e-2, 1e-3)).true_positive_rates,
        *identify_open_set(
            *(distmat[:, kept], q_pids, g_pids[kept], q_camids, g_camids[kept]), (0.1, 0.01)
        ).detection_rates,
    ]
    for metric, value in zip(found.metrics.values(), expected, strict=True):
        assert metric.value == pytest.approx(100 * value)
        assert 0 <= metric.low <= metric.value <= metric.high <= 100
    assert found.metrics["TPR@FPR=1e-2"].value > found.metrics["TPR@FPR=1e-3"].value > 0


def test_a_rate_of_less_than_one_error_is_not_defined(case):
    distmat, q_pids, g_pids, q_camids, g_camids = case
    few = slice(0, 24)
    found = threshold_metrics(distmat[few], q_pids[few], g_pids, q_camids[few], g_camids)
    wrong = int((q_pids[few, None] != g_pids).sum())
    assert 1000 < wrong and list(found.metrics) == [*THRESHOLD_METRICS[:2], "DIR@FAR=1e-1"]
    reason = found.undefined["DIR@FAR=1e-2"]
    assert reason.endswith("queries of identities that left the gallery: expected at least 100")
    tiny = slice(0, 10)
    found = threshold_metrics(distmat[tiny], q_pids[tiny], g_pids, q_camids[tiny], g_camids)
    assert found.undefined["TPR@FPR=1e-3"].endswith("wrong pairs: expected at least 1000")


def test_one_identity_has_none_of_them_and_says_why(case):
    distmat, q_pids, g_pids, q_camids, g_camids = case
    found = threshold_metrics(distmat, q_pids * 0, g_pids * 0, q_camids, g_camids)
    assert found.metrics == {} and tuple(found.undefined) == THRESHOLD_METRICS
    assert "and 0 wrong pairs" in found.undefined["TPR@FPR=1e-2"]
    assert "1 identities are in both" in found.undefined["DIR@FAR=1e-1"]


def test_queries_of_one_identity_have_a_rate_and_no_interval(case):
    distmat, _, g_pids, _, g_camids = case
    found = threshold_metrics(distmat, np.zeros(200, int), g_pids, np.full(200, 7), g_camids)
    metric = found.metrics["TPR@FPR=1e-2"]
    assert metric.interval is None and metric.value > 0


def test_queries_without_a_right_answer_count_with_their_wrong_pairs(case):
    distmat, q_pids, g_pids, q_camids, g_camids = case
    strangers = np.where(np.arange(200) < 100, 900 + np.arange(200), q_pids)
    found = threshold_metrics(distmat, strangers, g_pids, q_camids, g_camids)
    (value,) = verify_pairs(distmat, strangers, *case[2:], [0.01]).true_positive_rates
    assert found.metrics["TPR@FPR=1e-2"].value == pytest.approx(100 * value)


def test_what_is_not_computed_says_why_for_each():
    found = not_computed("too many")
    assert found.metrics == {}
    assert found.undefined == dict.fromkeys(THRESHOLD_METRICS, "too many")
