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
