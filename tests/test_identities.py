"""One parser of identities, and one mark for nobody, in folders, tables and arrays."""

from __future__ import annotations

import numpy as np
import pytest

from fed_plugin.datasets.own_data import read_folder, read_own_data, read_table
from fed_plugin.identities import canonical, identity_arrays, is_junk

SPELLINGS = [
    ("9", "9"),
    ("09", "9"),
    ("9.0", "9"),
    ("9.", "9"),
    (" 9 ", "9"),
    ("0009.000", "9"),
    ("000", "0"),
    ("-0.0", "0"),
    ("-1", "-1"),
    ("-1.0", "-1"),
    ("-01", "-1"),
    ("-5", "-5"),
    ("9.5", "9.5"),
    ("1e3", "1e3"),
    ("9.0.0", "9.0.0"),
    ("ann", "ann"),
    (" ann", " ann"),
    ("\u00a09\t", "9"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "expected"), SPELLINGS)
def test_a_whole_number_is_one_identity_in_every_spelling(name, expected):
    assert canonical(name) == expected == canonical(canonical(name))


@pytest.mark.parametrize(
    "pids", [[-1, 1], [-1.0, 1.0], ["-1", "1"], ["-1.0", "01"], [b"-1", b"1"], ["-01", "ann"]]
)
def test_junk_is_seen_in_every_kind_of_array(pids):
    assert is_junk(pids).tolist() == [True, False]


def test_numbers_and_names_of_one_person_are_one_identity():
    query, gallery = identity_arrays([9, -1], ["9.0", "-1.0", "09", "ann"])
    assert query.tolist() == ["9", "-1"] and gallery.tolist() == ["9", "-1", "9", "ann"]
    with pytest.raises(ValueError, match="NaN or infinite"):
        identity_arrays([1.0, np.nan], [1])


def test_a_table_with_fractions_holds_the_same_people_and_nobody(tmp_path):
    pids = ["9", "9.0", "09", " 9 ", "7.0", "7", "-1", "-1.0"]
    for place in range(len(pids)):
        (tmp_path / f"{place}.jpg").write_bytes(b"")
    rows = [
        f"{place}.jpg,{pid},{camid}"
        for place, (pid, camid) in enumerate(zip(pids, "10101010", strict=True))
    ]
    (tmp_path / "t.csv").write_text("path,pid,camid\n" + "\n".join(rows).replace(",1,", ",1.0,"))
    found = read_table(str(tmp_path / "t.csv"))
    assert {record.identity for record in found.records} == {"9", "7", "-1"}
    own = read_own_data(tmp_path / "t.csv")
    assert set(own.identities) == {7, 9} and len(own.passed_over) == 2
    assert "One identity, spelled differently" in "\n".join(own.explanation)


def test_folders_follow_the_same_rule(tmp_path):
    for folder in ("9", "9.0", "007", "-1.0", "-1"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}_x.jpg").write_bytes(b"")
    assert {r.identity for r in read_folder(str(tmp_path)).records} == {"9", "7", "-1"}
