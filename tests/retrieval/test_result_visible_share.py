from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.retrieval.result import EDGES, Queries, by_visible_share, correlate_visibility

NAMES = tuple("abcdef")
SHARES = dict(zip(NAMES, (0.1, 0.4, 0.45, 0.5, 0.9, 1.0), strict=True))


@pytest.fixture
def queries():
    aps = np.array([0.1, 0.2, 0.4, 0.5, 0.8, 1.0])
    return Queries(NAMES, np.array([4, 0, 9, 0, 0, 0]), aps, aps)


def test_a_range_holds_its_lower_end_and_the_last_one_both(queries):
    rows = by_visible_share(queries, SHARES, (0, 0.4, 0.5, 1))
    assert [(row.low, row.high, row.count) for row in rows] == [
        (0, 0.4, 1),
        (0.4, 0.5, 2),
        (0.5, 1, 3),
    ]
    assert [row.metrics["Rank-1"].value for row in rows] == [0, 50, 100]
    assert [row.metrics["mAP"].value for row in rows] == pytest.approx([10, 30, 230 / 3])
    assert rows[2].metrics["mAP"].low < 230 / 3 < rows[2].metrics["mAP"].high


def test_all_queries_are_in_a_row_and_empty_ranges_in_none(queries):
    rows = by_visible_share(queries, {**SHARES, "not ranked": 0.65})
    assert sum(row.count for row in rows) == 6 and len(rows) < len(EDGES) - 1
    mean = sum(row.count * row.metrics["mAP"].value for row in rows) / 6
    assert mean == pytest.approx(50)


@pytest.mark.parametrize(
    ("shares", "edges", "message"),
    [
        ({}, EDGES, "'a' and 5 more queries have no visible share"),
        ({**SHARES, "b": 1.5}, EDGES, "'b' has the visible share 1.5: expected one from 0 to 1"),
        ({**SHARES, "c": float("nan")}, EDGES, "'c' has the visible share nan"),
        (SHARES, (0.5, 0.5), "expected two numbers or more that rise"),
        (SHARES, (1,), "expected two numbers or more that rise"),
    ],
)
def test_shares_that_do_not_fit_are_refused(queries, shares, edges, message):
    with pytest.raises(ValueError, match=message):
        by_visible_share(queries, shares, edges)


def test_correlation_leaves_out_parts_that_show_nothing_of_the_person():
    true = np.array([[0.0, np.nan], [0.5, 1.0]])
    predicted = np.array([[0.1, 0.9], [0.3, 0.5]])
    assert correlate_visibility(predicted, true) == pytest.approx(1.0)
    assert correlate_visibility(1 - predicted, true) == pytest.approx(-1.0)
    assert correlate_visibility(np.ones((2, 2)), true) == 0.0
