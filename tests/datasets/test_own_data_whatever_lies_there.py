"""Folder trees, file names and tables that nobody thought of: read, or refused in a sentence."""

from __future__ import annotations

import csv
import io
import os
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from fed_plugin.datasets.own_data import read_own_data
from fed_plugin.datasets.own_split import Record, SplitRule, divide

SETTINGS = settings(max_examples=60, deadline=None)
LETTERS = st.characters(exclude_characters="/\0", exclude_categories=("Cs",))
BROKEN = st.integers(0xDC80, 0xDCFF).map(chr)  # how Python shows a byte that is no UTF-8
WORDS = st.text(LETTERS | BROKEN, min_size=1, max_size=8).filter(lambda w: w not in (".", ".."))
PEOPLE = st.sampled_from(["ann", "Bob B.", "0001", "1", "-1", "李", "Jose\u0301", ".h"]) | WORDS
STEMS = st.sampled_from(["1", "0001_c1s1_000151_00", "2_c2_0", "a b.c", "x_1", "DSC", ""]) | WORDS
SUFFIXES = st.sampled_from([".jpg", ".JPG", ".Png", ".tiff", ".txt", ".csv", "", ".jpg.bak"])
FILES = st.tuples(STEMS, SUFFIXES).map("".join).filter(lambda n: n not in ("", ".", ".."))
TOPS = st.sampled_from(["train", "Query", "bounding_box_test", "test", "val", "gallery", "extra"])
SOME = st.sampled_from(
    [
        [],
        ["ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "bob/2.jpg"],
        ["1_c1_0.jpg", "1_c2_0.jpg", "2_c1_0.jpg", "2_c2_0.jpg"],
        ["train/1_c1_0.jpg", "query/2_c1_0.jpg", "gallery/2_c2_0.jpg"],
    ]
)
PATHS = st.one_of(
    FILES,
    st.tuples(PEOPLE, FILES).map("/".join),
    st.tuples(TOPS, FILES).map("/".join),
    st.tuples(TOPS, PEOPLE, FILES).map("/".join),
    st.tuples(PEOPLE, PEOPLE, PEOPLE, FILES).map("/".join),
)


@SETTINGS
@given(some=SOME, paths=st.lists(PATHS, max_size=8), share=st.floats(0.01, 0.99))
def test_every_file_of_a_tree_is_an_item_or_named_or_the_tree_is_refused(
    some, paths, share, paths_of, plant_tree
):
    with tempfile.TemporaryDirectory() as folder:
        files = plant_tree(folder, some + paths)
        try:
            own = read_own_data(folder, SplitRule(share, queries=2))
        except ValueError as error:
            assert os.path.basename(folder) in str(error) and "\n" not in str(error)
            str(error).encode("utf-8")
            return
        items, named = paths_of(own), set(own.passed_over)
        assert len(items) == len(set(items)) and not named & set(items)
        assert set(items) | {path for path in named if not path.endswith("/")} == set(files)
        assert read_own_data(folder, SplitRule(share, queries=2)) == own
        "\n".join(own.explanation).encode("utf-8")
        assert all("\n" not in sentence for sentence in own.explanation)
        check_test_lists(own)


def check_test_lists(own):
    """Without a split on top: disjoint identities, and a right answer for every query."""
    if "none is given" not in " ".join(own.explanation):
        return
    test = {pid for _, pid, _ in own.query}
    assert test == {pid for _, pid, _ in own.gallery}
    assert test.isdisjoint({pid for _, pid, _ in own.train}) and own.train
    for _, pid, camid in own.query:
        assert any(pid == other and camid != camera for _, other, camera in own.gallery)


CAMERAS = st.lists(st.sampled_from("123"), min_size=1, max_size=6)
CROWDS = st.dictionaries(WORDS, CAMERAS, min_size=2, max_size=12)


def records_of(people, told):
    return [
        Record(f"/x/{who}/{n}.jpg", who, camera if told else None)
        for who, cameras in people.items()
        for n, camera in enumerate(cameras)
    ]


def sides(divided):
    return {r.identity for r in divided.train}, {r.identity for r in divided.query}


@SETTINGS
@given(people=CROWDS, told=st.booleans(), order=st.randoms(use_true_random=False))
def test_a_division_is_a_partition_whatever_the_order(people, told, order):
    records = records_of(people, told)
    divided = divide(records, SplitRule())
    lists = (divided.train, divided.query, divided.gallery)
    assert sorted(r.path for records in lists for r in records) == sorted(r.path for r in records)
    shuffled = divide(order.sample(records, len(records)), SplitRule())
    assert [set(records) for records in lists] == [
        *(set(shuffled.train), set(shuffled.query), set(shuffled.gallery)),
    ]


@SETTINGS
@given(people=CROWDS, told=st.booleans(), newcomer=WORDS, cameras=CAMERAS)
def test_a_newcomer_moves_nobody_who_did_not_hold_a_side_alone(people, told, newcomer, cameras):
    people.pop(newcomer, None)
    if len(people) < 2:
        return
    before = divide(records_of(people, told), SplitRule())
    after = divide(records_of({**people, newcomer: cameras}, told), SplitRule())
    if before.uses_cameras == after.uses_cameras and all(len(side) > 1 for side in sides(before)):
        assert [side - {newcomer} for side in sides(after)] == [*sides(before)]


GOOD = {
    "path": st.sampled_from(["1.jpg", "2.jpg", "./3.jpg", "4.jpg"]),
    "pid": st.sampled_from(["ann", "7", "07", "-1", "李", "a,b;c", '"']),
    "camid": st.sampled_from(["1", "c2"]),
    "split": st.sampled_from(["train", "query", "test", "gallery", "Val"]),
    "note": st.text(max_size=3),
}
BAD = st.sampled_from(["", "none.jpg", "table.csv", '"', "query"]) | st.text(max_size=4)


@st.composite
def tables(draw):
    """Write a table with few mistakes, so that about half of them can be read."""
    more = draw(st.sets(st.sampled_from(["camid", "split", "note"])))
    columns = draw(st.permutations(["path", "pid", *more]))
    files = draw(st.lists(GOOD["path"], min_size=1, max_size=5, unique=True))
    rows = [
        [file if column == "path" else draw(GOOD[column]) for column in columns] for file in files
    ]
    if draw(st.integers(0, 3)) == 0:
        draw(st.sampled_from(rows))[0] = draw(BAD)
    text = io.StringIO(newline="")
    separator, ending = draw(st.sampled_from(",;\t")), draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(text, delimiter=separator, lineterminator=ending)
    writer.writerows([list(columns), *rows])
    return text.getvalue().encode("utf-8", "replace")


@SETTINGS
@given(table=tables() | tables() | st.binary(max_size=60), bom=st.booleans())
def test_a_table_is_read_or_refused_by_its_name(table, bom, plant, paths_of):
    with tempfile.TemporaryDirectory() as folder:
        plant(folder, *(f"{number}.jpg" for number in range(1, 5)))
        file = os.path.join(folder, "table.csv")
        with open(file, "wb") as target:
            target.write(b"\xef\xbb\xbf" * bom + table)
        try:
            own = read_own_data(file)
        except (ValueError, FileNotFoundError) as error:
            assert "table.csv" in str(error) and "\n" not in str(error)
            return
        assert {os.path.basename(path) for path in paths_of(own)} <= {
            f"{n}.jpg" for n in range(1, 5)
        }
