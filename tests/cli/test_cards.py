"""``cards diff`` and ``cards show``: what is printed, and the exit status."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from fed_plugin.cli import main
from fed_plugin.retrieval.card_files import write_card


@pytest.fixture
def compare(full_card, tmp_path, capsys):
    """Compare a card that knows everything with a changed copy; return exit status and output."""

    def run(*words, **changes):
        for name, card in (("a.json", full_card), ("b.json", replace(full_card, **changes))):
            write_card(card, tmp_path / name)
        status = main(["cards", "diff", *words, *(str(tmp_path / n) for n in ("a.json", "b.json"))])
        return status, capsys.readouterr().out

    return run


def test_one_protocol_is_status_0_and_one_sentence(compare):
    status, output = compare()
    assert status == 0
    assert output == "The two follow one protocol: they may stand in one table.\n"


def test_a_difference_is_status_1_with_both_values_and_why(compare):
    status, output = compare(flip=True, input_size=(384, 128))
    assert status == 1
    assert "  flip   (a second look at every image)\n    A: no\n    B: yes\n" in output
    assert "    A: 256 x 128 (height x width)\n    B: 384 x 128 (height x width)\n" in output
    assert output.endswith("may not stand in one table: they differ in input_size, flip.\n")


def test_what_is_not_known_is_listed_apart_and_keeps_nothing_apart(compare):
    status, output = compare(epoch_choice=None)
    assert status == 0
    assert "Not known:\n  epoch_choice\n    A: last\n    B: not known\n" in output
    assert "Different:" not in output and "As far as is known, the two follow" in output


def test_strict_keeps_apart_what_is_not_known(compare):
    status, output = compare("--strict", epoch_choice=None)
    assert status == 1
    assert output.endswith("one table: they have unknown fields: epoch_choice.\n")
    assert compare("--strict")[0] == 0


def test_seeds_and_versions_are_shown_and_do_not_matter(compare):
    status, output = compare(seed=1, versions={"torch": "1.13.1"})
    assert status == 0
    assert "Different, which is allowed:\n  seed\n    A: 0\n    B: 1\n" in output
    assert "    A: torch 2.14.1, numpy 2.4.6\n    B: torch 1.13.1\n" in output


def test_show_prints_every_field_in_words(full_card, tmp_path, capsys):
    write_card(replace(full_card, commit=None, dataset="Öcc\x1b[2J"), tmp_path / "a.json")
    assert main(["cards", "show", str(tmp_path / "a.json")]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["query.list_sha256"] == "abababababab..."
    assert rows["training_sets"] == "Market1501, SynthOcc"
    assert (rows["flip"], rows["query_in_gallery"], rows["commit"]) == ("no", "0", "not known")
    assert rows["dataset"] == "Öcc\\x1b[2J", "nothing a card says moves the cursor"
    assert len(rows) == 26


def test_show_prints_the_card_of_a_result_as_json(full_card, tmp_path, capsys):
    (tmp_path / "result.json").write_text(json.dumps({"card": full_card.to_json()}))
    assert main(["cards", "show", "--json", str(tmp_path / "result.json")]) == 0
    assert json.loads(capsys.readouterr().out) == full_card.to_json()


@pytest.mark.parametrize("words", [["show", "nowhere.json"], ["diff", "nowhere.json", "x.json"]])
def test_a_missing_file_is_one_sentence_and_status_1(capsys, words):
    assert main(["cards", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: nowhere.json: no such file; expected a card (OUTPUT_DIR/cards/")


def test_help_says_what_the_status_means(capsys):
    with pytest.raises(SystemExit):
        main(["cards", "diff", "--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert "Exit status 0: the two results may stand in one table" in output
