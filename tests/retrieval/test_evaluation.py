from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval import evaluation
from fed_plugin.retrieval.evaluation import compare_results, distance_for, evaluate_dump
from fed_plugin.retrieval.intervals import bootstrap_interval, paired_bootstrap


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
    assert evaluate_dump(draw_dump()).to_json() == whole.to_json()


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
    assert alone.to_json() == result.to_json()


def test_no_right_answer_at_all_is_refused(draw_dump):
    dump = draw_dump(camids=np.zeros(12, dtype=int))
    with pytest.raises(ValueError, match="none of 4 queries has a gallery image"):
        evaluate_dump(dump)


def test_every_metric_is_the_mean_over_the_queries_with_its_interval(draw_dump):
    result = evaluate_dump(draw_dump())
    for name, metric in result.metrics.items():
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


def test_a_method_is_named_by_the_caller_or_the_dump(draw_dump):
    assert evaluate_dump(draw_dump()).method == "unnamed"
    assert evaluate_dump(draw_dump(about={"method": "mine"})).method == "mine"
    assert evaluate_dump(draw_dump(about={"method": "mine"}), method="ours").method == "ours"


def test_differences_pair_the_queries_by_name(draw_dump):
    a = evaluate_dump(draw_dump(seed=1), method="a")
    order = np.r_[3, 1, 0, 2, 4:12]
    b, shuffled = (
        evaluate_dump(dump) for dump in (draw_dump(seed=2), reordered(draw_dump(seed=2), order))
    )
    assert b.queries.names != shuffled.queries.names
    for name, metric in compare_results(a, b).items():
        interval = paired_bootstrap(a.queries.percentages(name), b.queries.percentages(name))
        assert metric.value == pytest.approx(a.metrics[name].value - b.metrics[name].value)
        assert (metric.low, metric.high) == (interval.low, interval.high)
    assert compare_results(a, shuffled) == compare_results(a, b)
    assert {m.value for m in compare_results(a, a).values()} == {0.0}


@pytest.mark.parametrize("turned", [False, True])
def test_other_queries_are_not_compared(draw_dump, turned):
    pids = draw_dump().pids.copy()
    pids[1] = 99
    pair = [evaluate_dump(draw_dump()), evaluate_dump(draw_dump(pids=pids))]
    with pytest.raises(ValueError, match="expected the same queries"):
        compare_results(*(reversed(pair) if turned else pair))
