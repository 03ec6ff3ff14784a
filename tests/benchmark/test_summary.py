"""Tables hold what may be compared, and say how many seeds stand behind a number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fed_plugin.benchmark.summary import results_tables
from fed_plugin.retrieval.protocol_card import ProtocolCard


@pytest.fixture
def finish(make_cell, make_result):
    """Write a cell's result, with a card of these fields."""

    def finish(method, seed=0, rank1=50.0, **fields):
        cell = make_cell(method, seed)
        cell.folder.mkdir(parents=True)
        result = replace(make_result(rank1, method), card=ProtocolCard(**fields).to_json())
        result.save(cell.folder / "result.json")
        return cell

    return finish


def test_mean_and_range_over_the_seeds_that_are_finished(finish, make_cell):
    cells = [finish("A", 0, 20.0), finish("A", 1, 30.0), make_cell("A", 2), make_cell("B")]
    table = results_tables(cells).splitlines()
    assert table[0] == "Set"
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table[3:]]
    assert rows[0] == ["A", "2/3", "25.0 (20.0 to 30.0) [0.0, 0.0]"]  # its query has no hit
    assert rows[1] == ["B", "0/1", "-"]
    assert len(table) == 5


def test_methods_of_another_protocol_get_a_table_of_their_own(finish):
    small, large = {"input_size": (96, 48), "flip": False}, {"input_size": (256, 128)}
    cells = [
        *(finish("A", seed=0, **small), finish("A", seed=1, **small)),
        *(finish("B", **large), finish("C", **small), finish("D", **large, flip=False)),
        finish("unknown"),
    ]
    first, second = results_tables(cells).split("\n\n")
    methods = [[line.split()[1] for line in part.splitlines()[3:]] for part in (first, second)]
    assert methods == [["A", "C", "unknown"], ["B", "D"]]
    assert second.startswith(
        "Set, not to be compared with the above: input_size is 256 x 128 (height x width), not 96 "
    )


def test_seeds_and_epochs_keep_nothing_apart(finish):
    cells = [finish("A", k, epoch=k) for k in range(2)]
    assert "not to be compared" not in results_tables(cells)


def test_seeds_of_two_protocols_are_two_rows(finish):
    cells = [finish("A", 0, 20.0, flip=False), finish("A", 1, 40.0, flip=True)]
    first, second = results_tables(cells).split("\n\n")
    assert "| 1/2     | 20.0 [" in first and "| 1/2     | 40.0 [" in second
    assert "flip is yes, not no" in second
