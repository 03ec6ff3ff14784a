"""Cards on disk: their own files, and those inside results and feature dumps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fed_plugin.retrieval.card_files import read_card, write_card
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.retrieval.protocol_card import FORMAT, ProtocolCard

CARD = ProtocolCard(dataset="SynthOcc", flip=False, input_size=(64, 32), training_sets=("A",))


def dump(about):
    return FeatureDump(
        features=np.eye(2, dtype=np.float32),
        pids=np.array([1, 1]),
        camids=np.array([0, 1]),
        split=np.array(["query", "gallery"]),
        names=np.array(["a.jpg", "b.jpg"]),
        about=about,
    )


def test_a_card_file_is_read_as_it_was_written_and_nothing_else_is_left(tmp_path):
    write_card(CARD, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == CARD
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_the_card_of_a_result_is_found(tmp_path):
    content = {"format": "fed_plugin.result/1", "metrics": {}, "card": CARD.to_json()}
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert read_card(tmp_path / "result.json") == CARD


def test_the_card_of_a_feature_dump_is_found(tmp_path):
    dump({"method": "x", "card": CARD.to_json()}).save(tmp_path / "dump.npz")
    assert read_card(tmp_path / "dump.npz") == CARD


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; expected a card"),
        ("{", "no JSON"),
        ("[1]", "expected a protocol card"),
        ('{"card": {}, "method": "x"}', "holds no protocol card; expected one under 'card'"),
        ('{"card": [1]}', "expected a protocol card"),
        ("{}", "got nothing"),
        (json.dumps({"format": FORMAT, "flip": "on"}), "flip: expected true or false"),
        ('{"card": ' + json.dumps({"format": "x"}) + "}", "got 'x'"),
    ],
)
def test_a_file_without_a_card_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "file.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        read_card(path)
    assert str(error.value).startswith(str(path)) and message in str(error.value)


def test_noise_is_no_card(tmp_path):
    (tmp_path / "file.json").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="no JSON"):
        read_card(tmp_path / "file.json")


def test_a_dump_without_a_card_says_where_one_is_expected(tmp_path):
    dump({"method": "x"}).save(tmp_path / "dump.npz")
    with pytest.raises(ValueError, match=r"dump.npz: about: holds no protocol card.*'method'"):
        read_card(tmp_path / "dump.npz")


def result(method, **fields):
    card = ProtocolCard(**{"dataset": "SynthOcc", **fields}).to_json()
    return {"format": "fed_plugin.result/1", "method": method, "card": card}


@pytest.fixture
def results(tmp_path):
    """Write a benchmark's results.json of two methods, of which one changed its input size."""
    cells = [
        *(("A", seed, {"seed": seed}) for seed in (0, 1)),
        *(("B/c", seed, {"input_size": size}) for seed, size in enumerate(((256, 128), (96, 48)))),
    ]
    rows = [
        {"dataset": "S", "method": method, "seed": seed, "result": result(method, **fields)}
        for method, seed, fields in cells
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"format": "fed_plugin.results/1", "cells": rows}))
    return path


@pytest.mark.parametrize("name", ["A", "A/seed0", "S/A", "S/A/seed0"])
def test_a_result_of_a_benchmark_is_chosen_by_name(results, name):
    assert read_card(f"{results}#{name}").seed == 0, "of several that agree, the first"
    assert read_card(f"{results}#A/seed1").seed == 1
    assert read_card(f"{results}#B/c/seed1").input_size == (96, 48)


def test_without_a_name_or_with_another_the_names_are_listed(results):
    with pytest.raises(ValueError, match=r"4 results and no name says which; .*'S/A/seed0', 'S/A"):
        read_card(results)
    with pytest.raises(ValueError, match=r"results.json: holds 4 results and none is called 'C'"):
        read_card(f"{results}#C")


def test_a_name_of_two_protocols_is_refused(results):
    message = r"2 results are called 'B/c' and differ in input_size; .*one of 'S/B/c/seed0', 'S/B"
    with pytest.raises(ValueError, match=message):
        read_card(f"{results}#B/c")


def test_many_names_are_cut(results, tmp_path):
    many = [result(f"m{number}") for number in range(30)]
    (tmp_path / "all.json").write_text(json.dumps(many))
    with pytest.raises(ValueError, match=r"'m7' and 22 more$"):
        read_card(tmp_path / "all.json")
    assert read_card(f"{tmp_path / 'all.json'}#m29").dataset == "SynthOcc"


def test_a_single_result_in_a_list_needs_no_name(tmp_path):
    (tmp_path / "all.json").write_text(json.dumps([result("A", seed=5)]))
    assert read_card(tmp_path / "all.json").seed == 5


def test_a_name_behind_a_single_card_is_refused(tmp_path):
    write_card(CARD, tmp_path / "card.json")
    with pytest.raises(ValueError, match="holds one card; expected no name behind it, got #A"):
        read_card(f"{tmp_path / 'card.json'}#A")
    write_card(CARD, tmp_path / "card#A.json")
    assert read_card(tmp_path / "card#A.json") == CARD, "a file may be called so"


def test_a_folder_speaks_through_its_result_else_its_dump(results, tmp_path):
    cell = tmp_path / "cell"
    cell.mkdir()
    with pytest.raises(FileNotFoundError, match=r"cell: a folder without result.json, results.js"):
        read_card(cell)
    dump({"card": CARD.to_json()}).save(cell / "dump.npz")
    assert read_card(cell) == CARD
    (cell / "result.json").write_text(json.dumps(result("A", seed=9)))
    assert read_card(cell).seed == 9
    assert read_card(f"{tmp_path}#A/seed1").seed == 1, "a benchmark's folder, through results.json"


def test_a_robustness_file_has_a_card_and_costs_have_none(tmp_path):
    content = {"format": "fed_plugin.robustness/1", "levels": [], "card": CARD.to_json()}
    (tmp_path / "robustness.json").write_text(json.dumps(content))
    assert read_card(tmp_path / "robustness.json") == CARD
    (tmp_path / "costs.json").write_text(json.dumps({"format": "fed_plugin.costs/1", "rows": []}))
    with pytest.raises(ValueError, match=r"costs.json: holds no protocol card"):
        read_card(tmp_path / "costs.json")


@pytest.mark.parametrize("cells", [[{"method": "A"}], [{"method": "A", "result": 3}]])
def test_a_benchmark_without_results_is_named(tmp_path, cells):
    (tmp_path / "results.json").write_text(json.dumps({"cells": cells}))
    with pytest.raises(ValueError, match=r"results.json: None/A/seedNone: holds no protocol card"):
        read_card(tmp_path / "results.json")


@pytest.mark.parametrize("name", ["noise.npz", "noise.json"])
def test_noise_names_its_file_once(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xff")
    with pytest.raises(ValueError) as error:
        read_card(tmp_path / name)
    assert str(error.value).count(name) == 1
