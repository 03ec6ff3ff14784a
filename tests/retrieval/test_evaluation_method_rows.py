"""Rows of tables: seeds of one method together, seeds of two protocols apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_plugin.retrieval.evaluation import evaluate_dump, method_rows
from fed_plugin.retrieval.intervals import bootstrap_interval
from fed_plugin.retrieval.protocol_card import ProtocolCard
from fed_plugin.retrieval.result import Queries


@pytest.fixture
def result(draw_dump):
    """Return a result drawn from a number, with a card of these fields."""

    def make(drawn, **fields):
        card = ProtocolCard(**fields).to_json() if fields else {}
        return evaluate_dump(draw_dump(drawn), card=card)

    return make


def test_the_seeds_of_a_method_are_one_row_and_missing_ones_are_counted(result):
    a, b = result(0, flip=False, seed=0), result(1, flip=False, seed=1)
    rows = method_rows([("S", "x", a), ("S", "y", None), ("S", "x", None), ("S", "x", b)])
    assert [(row.method, row.results, row.wanted) for row in rows] == [
        ("x", (a, b), 3),
        ("y", (), 1),
    ]
    assert [card.seed for card in rows[0].cards] == [0, 1] and rows[1].cards == []


def test_seeds_of_two_protocols_are_two_rows(result):
    one, other = result(0, flip=False), result(1, flip=True)
    rows = method_rows([("S", "x", one), ("S", "x", other), ("T", "x", other)])
    assert [(row.dataset, row.results) for row in rows] == [
        ("S", (one,)),
        ("S", (other,)),
        ("T", (other,)),
    ]


def test_the_summary_is_over_the_seeds(result):
    a, b = result(0), result(1)
    (row,) = method_rows([("S", "x", a), ("S", "x", b)])
    values = [one.metrics["mAP"].value for one in (a, b)]
    assert row.summary("mAP").mean == pytest.approx(sum(values) / 2)
    assert (row.summary("mAP").count, row.summary("mAP").lowest) == (2, min(values))


def test_a_metric_that_a_seed_lacks_has_no_summary(result):
    a, b = result(0), result(1)
    b = replace(b, metrics={name: one for name, one in b.metrics.items() if name != "mAP"})
    (row,) = method_rows([("S", "x", a), ("S", "x", b)])
    assert row.summary("mAP") is None and row.summary("mINP") is not None
    assert method_rows([("S", "x", None)])[0].summary("mINP") is None


def test_the_interval_over_queries_is_of_each_querys_mean_over_the_seeds(result):
    a, b = result(0), result(1)
    (row,) = method_rows([("S", "x", a), ("S", "x", b)])
    mean = (a.queries.percentages("mAP") + b.queries.percentages("mAP")) / 2
    assert row.over_queries("mAP") == bootstrap_interval(mean)
    assert row.over_queries("mAP", "identity") == bootstrap_interval(mean, groups=a.queries.pids)
    assert row.over_queries("mAP").mean == pytest.approx(row.summary("mAP").mean)


def test_the_queries_of_the_seeds_are_paired_by_name(result):
    a, b = result(0), result(1)
    turned = replace(
        b,
        queries=Queries(
            b.queries.names[::-1],
            *(getattr(b.queries, key)[::-1] for key in ("first_hits", "average_precisions")),
            b.queries.inverse_negative_penalties[::-1],
        ),
    )
    rows = [method_rows([("S", "x", a), ("S", "x", one)])[0] for one in (b, turned)]
    assert rows[0].over_queries("mAP") == rows[1].over_queries("mAP")


def test_other_queries_and_other_metrics_have_no_interval_over_queries(result, draw_dump):
    (row,) = method_rows([("S", "x", result(0))])
    assert row.over_queries("TPR@FPR=1e-2") is None
    names = np.array([f"other {number}.jpg" for number in range(12)])
    other = evaluate_dump(draw_dump(1, names=names))
    (row,) = method_rows([("S", "x", result(0)), ("S", "x", other)])
    assert row.over_queries("mAP") is None and row.summary("mAP") is not None
    assert method_rows([("S", "x", None)])[0].over_queries("mAP") is None
