from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.retrieval import evaluation
from fed_plugin.retrieval.evaluation import distance_for, evaluate_dump
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.intervals import bootstrap_interval
from fed_plugin.retrieval.result import METRICS, Result
from fed_plugin.retrieval.thresholds import THRESHOLD_METRICS, verify_pairs


def reordered(dump, order):
    fields = ("features", "pids", "camids", "split", "names")
    return type(dump)(**{name: getattr(dump, name)[order] for name in fields}, about=dump.about)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_numbers_are_those_of_a_slow_loop(draw_dump, slow_ranking, distance):
    dump = draw_dump()
    q, g = dump.features[dump.query].astype(float), dump.features[dump.gallery].astype(float)
    if distance == "cosine":
        q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g))
        distances = 1 - q @ g.T
    else:
        distances = np.linalg.norm(q[:, None] - g[None], axis=2)
    labels = [ids[rows] for ids in (dump.pids, dump.camids) for rows in (dump.query, dump.gallery)]
    cmc, precisions, penalties = slow_ranking(distances, *labels, 10)
    result = evaluate_dump(dump, distance=distance)
    found = {name: metric.value for name, metric in result.metrics.items()}
    expected = [cmc[0], cmc[4], cmc[9], precisions.mean(), penalties.mean()]
    assert list(found) == ["Rank-1", "Rank-5", "Rank-10", "mAP", "mINP"]
    assert list(found.values()) == pytest.approx([100 * value for value in expected])
    assert result.queries.average_precisions == pytest.approx(precisions)


def test_the_rows_of_both_splits_may_stand_in_any_order(draw_dump):
    dump = draw_dump()
    shuffled = reordered(dump, np.random.default_rng(0).permutation(12))
    a, b = evaluate_dump(dump), evaluate_dump(shuffled)
    assert {n: m.value for n, m in a.metrics.items()} == pytest.approx(
        {n: m.value for n, m in b.metrics.items()}
    )
    assert set(a.queries.names) == set(b.queries.names)


def test_blocks_of_queries_change_nothing(draw_dump, monkeypatch):
    whole = evaluate_dump(draw_dump())
    monkeypatch.setattr(evaluation, "_BLOCK_ELEMENTS", 9)  # one query at a time
    blocks = evaluate_dump(draw_dump())
    assert replace(blocks, undefined=whole.undefined).to_json() == whole.to_json()


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_query_without_a_right_answer_is_left_out_by_name(draw_dump, monkeypatch, one_at_a_time):
    if one_at_a_time:
        monkeypatch.setattr(evaluation, "_BLOCK_ELEMENTS", 8)
    pids = draw_dump().pids.copy()
    pids[1] = 99
    result = evaluate_dump(draw_dump(pids=pids))
    assert result.queries.names == ("0.jpg", "2.jpg", "3.jpg")
    kept = np.delete(np.arange(12), 1)
    alone = evaluate_dump(reordered(draw_dump(pids=pids), kept))
    assert replace(alone, undefined=result.undefined).to_json() == result.to_json()


def test_no_right_answer_at_all_is_refused(draw_dump):
    dump = draw_dump(camids=np.zeros(12, dtype=int))
    with pytest.raises(ValueError, match="none of 4 queries has a gallery image"):
        evaluate_dump(dump)


def test_every_metric_is_the_mean_over_the_queries_with_its_interval(draw_dump):
    result = evaluate_dump(draw_dump())
    for name in METRICS:
        metric = result.metrics[name]
        values = result.queries.percentages(name)
        interval = bootstrap_interval(values)
        assert (metric.value, metric.low, metric.high) == (
            interval.mean,
            interval.low,
            interval.high,
        )
    assert result.queries.percentages("Rank-3") == pytest.approx(
        100.0 * (result.queries.first_hits < 3)
    )


def test_the_distance_is_the_one_asked_for_or_the_dumps_own_or_cosine(draw_dump):
    assert distance_for(draw_dump()) == "cosine"
    assert distance_for(draw_dump(about={"distance": "euclidean"})) == "euclidean"
    assert distance_for(draw_dump(about={"distance": "euclidean"}), "cosine") == "cosine"
    with pytest.raises(ValueError, match="distance 'hamming': expected one of cosine, euclidean"):
        evaluate_dump(draw_dump(about={"distance": "hamming"}))
    with pytest.raises(ValueError, match=r"distance \['cosine'\]: expected one of"):
        distance_for(draw_dump(about={"distance": ["cosine"]}))


def test_a_method_is_named_by_the_caller_or_the_dump(draw_dump):
    assert evaluate_dump(draw_dump()).method == "unnamed"
    assert evaluate_dump(draw_dump(about={"method": "mine"})).method == "mine"
    assert evaluate_dump(draw_dump(about={"method": "mine"}), method="ours").method == "ours"


def test_intervals_may_draw_identities_in_the_place_of_queries(draw_dump):
    result = evaluate_dump(draw_dump(), groups="identity")
    assert result.groups == "identity" and evaluate_dump(draw_dump()).groups == "query"
    np.testing.assert_array_equal(result.queries.pids, [1, 2, 3, 1])
    interval = bootstrap_interval(result.queries.percentages("mAP"), groups=[1, 2, 3, 1])
    assert result.metrics["mAP"].interval == (interval.low, interval.high)
    with pytest.raises(ValueError, match="all queries are of one identity"):
        evaluate_dump(draw_dump(pids=np.ones(12, int)), groups="identity")


def test_rates_at_a_threshold_stand_behind_the_means_and_what_is_not_defined_says_why(draw_dump):
    rng = np.random.default_rng(0)
    pids = np.r_[np.arange(1000) % 20, np.arange(100) % 20]
    dump = draw_dump(
        features=(rng.normal(size=(1100, 20)) + 3 * np.eye(20)[pids]).astype(np.float32),
        pids=pids,
        camids=np.r_[np.zeros(1000, int), np.ones(100, int)],
        split=np.array(["query"] * 1000 + ["gallery"] * 100),
        names=np.array([f"{number}.jpg" for number in range(1100)]),
    )
    result = evaluate_dump(dump)
    assert tuple(result.metrics) == (*METRICS, *THRESHOLD_METRICS) and result.undefined == {}
    distmat = evaluation.cosine_distance(dump.features[:1000], dump.features[1000:])
    rates = verify_pairs(distmat, pids[:1000], pids[1000:], *[[n] * n for n in (1000, 100)], [0.01])
    found = result.metrics["TPR@FPR=1e-2"]
    assert found.value == pytest.approx(100 * rates.true_positive_rates[0]) and found.interval
    few = evaluate_dump(draw_dump())
    assert tuple(few.metrics) == METRICS and tuple(few.undefined) == THRESHOLD_METRICS


def test_too_many_pairs_are_ranked_in_blocks_and_have_no_rates_at_a_threshold(
    draw_dump, monkeypatch
):
    monkeypatch.setattr(evaluation, "_BLOCK_ELEMENTS", 31)
    reasons = set(evaluate_dump(draw_dump()).undefined.values())
    assert reasons == {"32 pairs of a query and a gallery image: expected 31 or less"}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_smallest_sets_have_numbers_in_their_range_or_a_reason(data):
    count_q, count_g = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    total = count_q + count_g
    few = st.lists(st.integers(0, 2), min_size=total, max_size=total).map(np.array)
    dump = FeatureDump(
        features=data.draw(few)[:, None].astype(np.float32) + 1,  # all alike by the cosine
        pids=data.draw(few),
        camids=data.draw(few),
        split=np.array(["query"] * count_q + ["gallery"] * count_g),
        names=np.array([f"{number}.jpg" for number in range(total)]),
    )
    try:
        result = evaluate_dump(dump, distance=data.draw(st.sampled_from(["cosine", "euclidean"])))
    except ValueError as error:
        assert "none of" in str(error)
        return
    assert set(METRICS) <= set(result.metrics)
    assert set(result.metrics) ^ set(result.undefined) == {*METRICS, *THRESHOLD_METRICS}
    for metric in result.metrics.values():
        low, high = metric.interval or (metric.value, metric.value)
        assert -1e-9 <= low <= metric.value + 1e-9 and metric.value <= high + 1e-9 <= 100 + 2e-9
    assert Result.from_json(result.to_json()).to_json() == result.to_json()
