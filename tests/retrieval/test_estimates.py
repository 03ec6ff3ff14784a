"""An estimate is formatted in one place, and a new column reaches every renderer by one line."""

from __future__ import annotations

import pytest

from fed_plugin.retrieval import Estimate, Interval
from fed_plugin.retrieval.estimates import Column, as_text, csv_cell, escaped, number_text

COLUMNS = [
    Column("method", "method", lambda row: row[0]),
    Column("map", "mAP", lambda row: row[1]),
]
ROWS = [
    ("A|B", Estimate(61.234, 59.8, 62.7, lowest=60.0, highest=62.0)),
    ("=C", Estimate(50.0)),
    ("none", None),
]


@pytest.mark.parametrize(
    ("estimate", "spec", "text"),
    [
        (Estimate(61.234), "", "61.2"),
        (Estimate(61.234, 59.8, 62.7), ".1f", "61.2 [59.8, 62.7]"),
        (
            Estimate(61.2, 59.8, 62.7, lowest=60, highest=62),
            ".1f",
            "61.2 (60.0 to 62.0) [59.8, 62.7]",
        ),
        (Estimate(61.2, lowest=61.2, highest=61.2), ".1f", "61.2"),  # of one seed
        (Estimate(1.25, 0.26, 2.1, 0.0123), "+.1f", "+1.2 [+0.3, +2.1] * p = 0.012"),
        (Estimate(-1.25, -2.1, -0.26), "+.1f", "-1.2 [-2.1, -0.3] *"),
        (Estimate(0.04, -0.04, 0.1, 0.0001), "+.1f", "0.0 [0.0, +0.1] p < 0.001"),
        (Estimate(0.5, 0.1, 0.9), "+.2f", "+0.50 [+0.10, +0.90] *"),
    ],
)
def test_an_estimate_prints_what_is_known(estimate, spec, text):
    assert format(estimate, spec) == text


def test_a_rounded_zero_has_no_sign_and_large_numbers_no_exponent():
    assert [number_text(value, "+.1f") for value in (0.04, -0.04, 0.06)] == ["0.0", "0.0", "+0.1"]
    assert number_text(123456.0, ".3g") == "123000"
    assert number_text(0.00123456, "+.3g") == "+0.00123"


def test_ends_come_in_pairs_and_are_finite():
    with pytest.raises(ValueError, match="both ends of an interval"):
        Estimate(1.0, low=0.0)
    with pytest.raises(ValueError, match="both ends of a range"):
        Estimate(1.0, highest=2.0)
    with pytest.raises(ValueError, match="finite"):
        Estimate(float("nan"))
    assert Estimate(1.0, 0.0, 2.0).interval == (0.0, 2.0) and Estimate(1.0).interval is None
    assert not Estimate(1.0).excludes_zero and not Estimate(1.0, 0.0, 2.0).excludes_zero


def test_the_earlier_name_and_mean_stay():
    assert Interval is Estimate and Estimate(3.0).mean == 3.0


def test_a_table_walks_the_columns_and_a_new_column_is_one_line():
    assert as_text(COLUMNS, ROWS).splitlines()[2:] == [
        "| A|B      | 61.2 (60.0 to 62.0) [59.8, 62.7] |",
        "| =C       | 50.0                             |",
        "| none     | -                                |",
    ]
    more = [*COLUMNS, Column("gain", "gain", lambda row: Estimate(1.0, 0.5, 2.0), "+.2f")]
    assert "gain" in as_text(more, ROWS) and "+1.00 [+0.50, +2.00] *" in as_text(more, ROWS)
    assert more[2].parts(ROWS[0]) == ["+1.00", "[+0.50, +2.00]"]
    assert [column.parts(ROWS[2]) for column in COLUMNS] == [["none"], ["-"]]


def test_an_estimate_in_json_has_what_is_known():
    assert Estimate(1.0).to_json() == {"value": 1.0, "low": None, "high": None}
    assert ROWS[0][1].to_json() == {
        "value": 61.234,
        "low": 59.8,
        "high": 62.7,
        "lowest": 60.0,
        "highest": 62.0,
    }


def test_texts_are_safe_for_markdown_and_spreadsheets():
    assert escaped("a|b\n[c]") == "a\\|b \\[c\\]"
    assert [csv_cell(value) for value in ("=C", "C", 1.5, 3)] == ["'=C", "C", "1.5000", 3]
