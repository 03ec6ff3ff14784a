"""``data build-occluded-duke``: what is said first, what is written, what is refused."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace

import pytest
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.datasets import LAYOUTS, Published
from fed_plugin.datasets import occluded_duke_build as occluded_duke

NAMES = {
    "train.list": ["0001_c2_f0000001.jpg"],
    "query.list": ["0005_c1_f0000002.jpg"],
    "gallery.list": ["0005_c2_f0000003.jpg"],
}


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Words of a build whose lists are the published ones, as far as the command knows."""
    layout, hashes = LAYOUTS["Occluded_Duke"], {}
    (tmp_path / "lists").mkdir()
    for level, (split, (folder,)) in enumerate(layout.splits.items()):
        data = "\n".join(NAMES[f"{split}.list"]).encode()
        (tmp_path / "lists" / f"{split}.list").write_bytes(data)
        hashes[split] = hashlib.sha256(data).hexdigest()
        for name in NAMES[f"{split}.list"]:
            (tmp_path / "duke" / folder).mkdir(parents=True)
            Image.new("RGB", (8, 16), (level, 0, 0)).save(tmp_path / "duke" / folder / name)
    published = dict.fromkeys(layout.splits, Published(1, 1))
    layout = replace(layout, lists=hashes, published=published)
    build = functools.partial(occluded_duke.build_occluded_duke, layout=layout)
    monkeypatch.setattr(occluded_duke, "build_occluded_duke", build)
    sources = ["--duke", str(tmp_path / "duke"), "--lists", str(tmp_path / "lists")]
    return ["data", "build-occluded-duke", *sources, "--out", str(tmp_path / "Occluded_Duke")]


def test_the_withdrawal_is_said_before_the_data_set_is_built(words, tmp_path, capsys):
    assert main(words) == 0
    output = capsys.readouterr()
    said = " ".join(output.err.split())
    assert said.index("withdrawn by its university in April 2019") < said.index("building")
    assert "3 images, 3 copied now, all verified" in output.out
    assert f"data check {tmp_path / 'Occluded_Duke'}" in output.out
    assert (tmp_path / "Occluded_Duke" / "occluded_duke.json").is_file()


def test_ctrl_c_says_how_to_go_on(words, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fed_plugin.datasets.occluded_duke_build.inspect", interrupt)
    assert main(words) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    monkeypatch.undo()


def test_the_withdrawal_is_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["data", "build-occluded-duke", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "withdrawn by its university in April 2019" in said and "Nothing is downloaded" in said


def test_lists_that_are_not_the_published_ones_are_refused(words, tmp_path, monkeypatch, capsys):
    monkeypatch.undo()
    assert main(words) == 1
    error = capsys.readouterr().err
    assert "expected the published list with sha256" in error and "Traceback" not in error
    assert not (tmp_path / "Occluded_Duke").exists()


def test_a_folder_of_something_else_is_refused(words, tmp_path, capsys):
    (tmp_path / "Occluded_Duke").mkdir()
    (tmp_path / "Occluded_Duke" / "mine.txt").write_text("mine")
    assert main(words) == 1
    assert "it holds something else; try another name" in capsys.readouterr().err
