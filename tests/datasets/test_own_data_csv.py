from __future__ import annotations

import os

import pytest

from fed_plugin.datasets.own_data import read_table

ROWS = "path,pid,camid,split\n1.jpg,ann,1,train\n2.jpg,bob,1,query\n3.jpg,bob,2,gallery\n"


def rows(found):
    return [(os.path.basename(r.path), r.identity, r.camera, r.split) for r in found.records]


EXPECTED = [
    ("1.jpg", "ann", "1", "train"),
    ("2.jpg", "bob", "1", "query"),
    ("3.jpg", "bob", "2", "gallery"),
]


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        "\ufeff" + ROWS,
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\r"),
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", " , "),
        ROWS.replace("path,pid,camid,split", "Path,PID,CamID,Split"),
        ROWS.replace("\n", "\n\n") + ",,,\n\n",
        ROWS.rstrip("\n"),
        ROWS.replace("ann", '"ann"').replace("1.jpg", '"1.jpg"'),
        ROWS.replace("train", "bounding_box_train").replace("query", "Probe"),
        ROWS.replace("1.jpg", ".\\1.jpg"),
        ROWS.replace(",1,", ",01,"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_a_table_reads_the_same_however_it_was_saved(write_table, text):
    assert rows(read_table(write_table(text))) == EXPECTED


def test_columns_come_in_any_order_and_unknown_ones_are_named(write_table):
    text = 'split;note;pid;camid;path\ntrain;"a;b";ann;1;1.jpg\nquery;;bob;1;2.jpg\n'
    found = read_table(write_table(text + "gallery;;bob;2;3.jpg\n"))
    assert rows(found) == EXPECTED
    assert "Not used: 1 column, note." in found.sentences
    assert "its columns separated by semicolons." in found.sentences[0]


def test_a_quoted_cell_may_hold_the_separator(write_table, plant, tmp_path):
    plant(tmp_path, "a, b.jpg")
    table = write_table('path, pid\n"a, b.jpg", "Smith, Ann"\n1.jpg, bob\n')
    assert rows(read_table(table)) == [
        ("a, b.jpg", "Smith, Ann", None, None),
        ("1.jpg", "bob", None, None),
    ]


def test_camid_and_split_may_be_left_out_or_left_empty(write_table):
    expected = [("1.jpg", "ann", None, None), ("2.jpg", "bob", None, None)]
    assert rows(read_table(write_table("path,pid\n1.jpg,ann\n2.jpg,bob\n"))) == expected
    empty = "path,pid,camid,split\n1.jpg,ann,,\n2.jpg,bob,,\n"
    assert rows(read_table(write_table(empty))) == expected


def test_sentences_say_what_was_found(write_table):
    told = write_table(ROWS)
    assert read_table(told).sentences == [
        f"{told}: a table with 3 rows, its columns separated by commas.",
        "Split: by the column split, train is train, query is query, gallery is gallery.",
        "Cameras: 2, from the column camid.",
    ]
    plain = write_table("pid\tpath\nann\t1.jpg\n", name="plain.tsv")
    assert read_table(plain).sentences == [
        f"{plain}: a table with 1 row, its columns separated by tabs.",
        "Cameras: none, there is no column camid.",
    ]


def test_paths_are_relative_to_the_table_or_absolute(write_table, tmp_path, plant, monkeypatch):
    plant(tmp_path / "elsewhere", "x.jpg")
    table = write_table(f"path,pid\nelsewhere/../1.jpg,a\n{tmp_path}/elsewhere/x.jpg,b\n")
    paths = [str(tmp_path / "1.jpg"), str(tmp_path / "elsewhere/x.jpg")]
    assert [record.path for record in read_table(table).records] == paths
    monkeypatch.chdir(tmp_path)
    assert read_table("table.csv").records[0].path == "1.jpg"


def test_rows_that_repeat_are_taken_once_and_named(write_table):
    found = read_table(write_table("path,pid\n1.jpg,a\n./1.jpg,a\n2.jpg,b\n"))
    assert len(found.records) == 2
    assert "Listed twice, taken once: 1 row, ./1.jpg." in found.sentences


def test_an_image_may_be_query_and_gallery(write_table):
    found = read_table(write_table("path,pid,split\n1.jpg,a,query\n1.jpg,a,gallery\n"))
    assert [split for *_, split in rows(found)] == ["query", "gallery"]


def test_a_second_test_set_is_passed_over_by_name(write_table, tmp_path):
    text = "path,pid,split\n1.jpg,a,train\n2.jpg,b,test\n3.jpg,c,val\n"
    found = read_table(write_table(text))
    assert [split for *_, split in rows(found)] == ["train", "test"]
    assert found.passed_over == [str(tmp_path / "3.jpg")]
    assert "Split: by the column split, train is train, test is test, val is passed over." in (
        found.sentences
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected a header with the columns path and pid"),
        ("1.jpg,a\n", 1, "got '1.jpg,a'; try adding that line on top"),
        ("path;pid,camid\n", 1, "expected a header"),
        ("path,pid,pid\n1.jpg,a,b\n", 1, "expected one column pid, got 2"),
        ("path,pid\n", 2, "expected a row for each image, got no row"),
        ("path,pid\n1.jpg,a\n2.jpg\n", 3, "expected 2 cells separated by commas, got 1"),
        ("path,pid\n1.jpg,a\n\n2.jpg,b,c\n", 4, "expected 2 cells separated by commas, got 3"),
        ('path,pid\n1.jpg,"a\nb"\n2.jpg,b,c\n', 4, "expected 2 cells"),
        ('path,pid\n1.jpg,a\n2.jpg,"b\n3.jpg,c\n', 3, "try closing the quotes"),
        ("path,pid\n1.jpg,\n", 2, "expected a pid, got an empty cell"),
        ("path,pid\n,a\n", 2, "expected a path, got an empty cell"),
        ("path,pid\ntable.csv,a\n", 2, r"expected an image \(.jpg .*got path=table.csv"),
        ("path,pid,camid\n1.jpg,a,1\n2.jpg,a,\n", 3, "expected a camid in every row, or in none"),
        ("path,pid,split\n1.jpg,a,train\n2.jpg,a,\n", 3, "expected a split in every row"),
        ("path,pid,split\n1.jpg,a,trian\n", 2, "got split=trian; try one of these"),
        ("path,pid\n1.jpg,a\n1.jpg,b\n", 3, "with one identity and one camera, got others than"),
        ("path,pid,camid\n1.jpg,a,1\n1.jpg,a,2\n", 3, "got others than in line 2"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(write_table, text, line, message):
    with pytest.raises(ValueError, match=rf"table\.csv, line {line}: .*{message}"):
        read_table(write_table(text))


def test_an_image_that_is_not_there_is_refused_with_file_and_line(write_table):
    message = r"table\.csv, line 3: expected an image at path=nobody\.jpg, got nothing at /"
    with pytest.raises(FileNotFoundError, match=message):
        read_table(write_table("path,pid\n1.jpg,a\nnobody.jpg,b\n"))


@pytest.mark.parametrize(
    ("encoding", "got"), [("latin-1", "another encoding"), ("utf-16", "UTF-16")]
)
def test_another_encoding_is_refused_with_its_line(write_table, encoding, got):
    line = 3 if encoding == "latin-1" else 1
    message = rf"line {line}: expected text in UTF-8, got {got}; try saving as CSV UTF-8"
    with pytest.raises(ValueError, match=message):
        read_table(write_table("path,pid\n1.jpg,a\n2.jpg,José\n", encoding=encoding))


def test_queries_without_a_gallery_are_refused(write_table):
    with pytest.raises(ValueError, match=r"table\.csv, column split: .*queries without a gallery"):
        read_table(write_table("path,pid,split\n1.jpg,a,query\n"))
