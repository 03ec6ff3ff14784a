"""Two results on the same queries: paired by name, query by query or identity by identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.retrieval import paired_bootstrap, sign_flip_test
from fed_plugin.retrieval.evaluation import compare_results, evaluate_dump


def reordered(dump, order):
    fields = ("features", "pids", "camids", "split", "names")
    return type(dump)(**{name: getattr(dump, name)[order] for name in fields}, about=dump.about)


@pytest.mark.parametrize("groups", ["query", "identity"])
def test_differences_pair_the_queries_by_name(draw_dump, groups):
    a = evaluate_dump(draw_dump(seed=1), method="a")
    order = np.r_[3, 1, 0, 2, 4:12]
    b, shuffled = (
        evaluate_dump(dump) for dump in (draw_dump(seed=2), reordered(draw_dump(seed=2), order))
    )
    assert b.queries.names != shuffled.queries.names
    drawn = {"groups": [1, 2, 3, 1] if groups == "identity" else None}
    for name, metric in compare_results(a, b, groups=groups).items():
        pair = a.queries.percentages(name), b.queries.percentages(name)
        interval, test = paired_bootstrap(*pair, **drawn), sign_flip_test(*pair, **drawn)
        assert metric.value == pytest.approx(a.metrics[name].value - b.metrics[name].value)
        assert metric.interval == (interval.low, interval.high)
        assert metric.p == test.p_value
    assert compare_results(a, shuffled, groups=groups) == compare_results(a, b, groups=groups)


def test_a_method_is_no_better_than_itself(draw_dump):
    result = evaluate_dump(draw_dump())
    found = compare_results(result, result).values()
    assert {(one.value, one.p) for one in found} == {(0.0, 1.0)}


@pytest.mark.parametrize("turned", [False, True])
def test_other_queries_are_not_compared(draw_dump, turned):
    pids = draw_dump().pids.copy()
    pids[1] = 99
    pair = [evaluate_dump(draw_dump()), evaluate_dump(draw_dump(pids=pids))]
    with pytest.raises(ValueError, match="expected the same queries"):
        compare_results(*(reversed(pair) if turned else pair))


def test_queries_of_the_same_names_and_other_identities_are_not_compared(draw_dump):
    a, b = evaluate_dump(draw_dump()), evaluate_dump(draw_dump(pids=draw_dump().pids % 3))
    with pytest.raises(
        ValueError, match=r"'2.jpg' is of another identity in .*: expected the same"
    ):
        compare_results(a, b)


def without_pids(result):
    return replace(result, queries=replace(result.queries, pids=None))


def test_an_older_result_is_compared_by_query_and_not_by_identity(draw_dump):
    a, b = (evaluate_dump(draw_dump(seed)) for seed in (1, 2))
    assert compare_results(without_pids(a), b) == compare_results(a, b)
    with pytest.raises(ValueError, match=r"expected queries.pids; try scoring its feature dump"):
        compare_results(without_pids(a), b, groups="identity")


def test_one_identity_cannot_be_drawn_from(draw_dump):
    one = evaluate_dump(draw_dump(pids=np.ones(12, int)))
    with pytest.raises(ValueError, match="all queries are of one identity: expected at least 2"):
        compare_results(one, one, groups="identity")
    with pytest.raises(ValueError, match="groups 'camera': expected one of query, identity"):
        compare_results(one, one, groups="camera")
