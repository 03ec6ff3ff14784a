"""``data check``: what is printed, written and returned."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.cli.data import _CONFIG, add_synth_arguments, how_to_train
from fed_plugin.datasets import LAYOUTS, Published
from fed_plugin.datasets.check import check, find_targets

NAMES = {
    "bounding_box_train": ("0001_c1s1_000001_01.jpg", "0002_c2s1_000002_01.jpg"),
    "query": ("0003_c1s1_000003_01.jpg", "0004_c1s1_000004_01.jpg"),
    "bounding_box_test": ("0003_c2s1_000005_01.jpg", "0004_c2s1_000006_01.jpg"),
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder that holds a sound SynthOcc, named by FASTREID_DATASETS; the cache is beside it."""
    folder = tmp_path / "datasets"
    rng = np.random.default_rng(0)
    for split, names in NAMES.items():
        (folder / "SynthOcc" / split).mkdir(parents=True)
        for name in names:
            pixels = rng.integers(0, 256, (8, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((32, 64)).save(folder / "SynthOcc" / split / name)
    monkeypatch.setenv("FASTREID_DATASETS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def broken(root, count=1):
    for number in range(count):
        (root / "SynthOcc" / "query" / f"0003_c1s1_{number:06}_09.jpg").write_bytes(b"no image")


@pytest.mark.parametrize("words", [[], ["SynthOcc"], ["{root}"], ["{root}/SynthOcc"]])
def test_a_sound_data_set_gets_a_table_a_way_to_train_and_status_0(root, capsys, words):
    assert main(["data", "check", *(word.format(root=root) for word in words)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"SynthOcc: {root}/SynthOcc"
    assert lines[4].split() == (
        ["split", "images", "published", "ids", "published", "cameras", "median", "file", "list"]
    )
    assert lines[5].split()[:9] == ["train", "2", "-", "2", "-", "2", "32", "x", "64"]
    assert lines[9].startswith("0 errors, 0 warnings, 0 notes; 6 files read, 0 unchanged")
    assert f"FASTREID_DATASETS={root}" in lines[11] and "synthocc_vit_tiny" in lines[11]


def test_an_error_is_status_1_and_no_way_to_train(root, capsys):
    broken(root)
    assert main(["data", "check", "SynthOcc"]) == 1
    output = capsys.readouterr().out
    assert "error: query: 1 images cannot be read" in output
    assert "    query/0003_c1s1_000000_09.jpg\n" in output
    assert "to train" not in output and "1 error, 0 warnings" in output


def test_the_first_few_files_are_named_or_all_of_them(root, capsys):
    broken(root, 5)
    main(["data", "check", "SynthOcc"])
    output = capsys.readouterr().out
    assert "000002_09.jpg" in output and "000003_09.jpg" not in output
    assert "... and 2 more (--all names them)" in output
    main(["data", "check", "SynthOcc", "--all"])
    output = capsys.readouterr().out
    assert "000004_09.jpg" in output and "more (--all" not in output


def test_pairs_of_files_stand_in_one_line(root, capsys):
    split = root / "SynthOcc" / "query"
    data = (split / "0003_c1s1_000003_01.jpg").read_bytes()
    (root / "SynthOcc" / "bounding_box_train" / "0009_c1s1_000009_01.jpg").write_bytes(data)
    assert main(["data", "check", "SynthOcc"]) == 1
    line = "    bounding_box_train/0009_c1s1_000009_01.jpg = query/0003_c1s1_000003_01.jpg\n"
    assert line in capsys.readouterr().out


def test_json_holds_every_file(root, tmp_path):
    broken(root, 5)
    assert main(["data", "check", "SynthOcc", "--json", str(tmp_path / "report.json")]) == 1
    (report,) = json.loads((tmp_path / "report.json").read_text())
    assert len(report["findings"][0]["files"]) == 5
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_second_run_reads_nothing_unless_told_to(root, capsys):
    for words, count in (([], 6), ([], 0), (["--no-cache"], 6)):
        assert main(["data", "check", "SynthOcc", *words]) == 0
        assert f"; {count} files read" in capsys.readouterr().out


def test_the_cache_is_where_it_is_told_and_never_in_the_data_set(root, tmp_path):
    before = sorted(root.rglob("*"))
    assert main(["data", "check", "SynthOcc", "--cache", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine").is_file() and not (tmp_path / "cache").exists()
    assert main(["data", "check", "SynthOcc"]) == 0
    assert (tmp_path / "cache" / "fed_plugin" / "data_check.sqlite").is_file()
    assert sorted(root.rglob("*")) == before


def test_without_a_cache_none_is_made(root, tmp_path):
    assert main(["data", "check", "SynthOcc", "--no-cache"]) == 0
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_used_is_a_warning(root, tmp_path, capsys):
    (tmp_path / "mine").write_bytes(b"no database" * 200)
    assert main(["data", "check", "SynthOcc", "--cache", str(tmp_path / "mine")]) == 0
    assert f"warning: cache {tmp_path / 'mine'}: not used" in capsys.readouterr().out


def test_fast_is_told(root, capsys):
    assert main(["data", "check", "SynthOcc", "--fast"]) == 0
    assert "note: the pixels were not decoded" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["nowhere"],
        ["Occluded_REID"],
        ["SynthOcc", "--workers", "0"],
        ["SynthOcc", "--json", "no/folder/report.json"],
    ],
)
def test_a_mistake_is_one_sentence_and_status_1(root, capsys, words):
    assert main(["data", "check", *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "Traceback" not in error


def test_a_name_in_no_encoding_is_printed(root, capsys):
    name = os.fsdecode(b"\xff\xfe.txt")
    (root / "SynthOcc" / "query" / name).write_bytes(b"")
    assert main(["data", "check", "SynthOcc"]) == 0
    assert "query/\\" in capsys.readouterr().out


def test_ctrl_c_says_that_nothing_is_lost(root, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fed_plugin.datasets.image_facts.inspect", interrupt)
    assert main(["data", "check", "SynthOcc"]) == 130
    assert "what was read is remembered" in capsys.readouterr().err


def test_help_says_what_the_status_means(capsys):
    with pytest.raises(SystemExit):
        main(["data", "check", "--help"])
    assert "Exit status 1 if there is an error" in " ".join(capsys.readouterr().out.split())


def test_own_data_without_queries_get_a_line_that_does_not_test_on_them(tmp_path, capsys):
    for number in range(4):
        image = Image.effect_noise((32, 64), 50 + 40 * number).convert("RGB")
        image.save(tmp_path / f"{number}.png")
    table = tmp_path / "own.csv"
    table.write_text("path,pid,split\n" + "".join(f"{n}.png,{n // 2},train\n" for n in range(4)))
    assert main(["data", "check", str(table), "--no-cache", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "DATASETS.NAMES" in printed and "DATASETS.TESTS" not in printed
    assert "(nothing here to test on: the config's own sets have to be there)" in printed


@pytest.mark.parametrize("folder", ["own", "my own's"])
def test_the_line_for_own_images_trains_as_it_is_printed(
    tmp_path, folder, run_python, capsys, monkeypatch
):
    rng = np.random.default_rng(0)
    for person in range(6):
        for camera in (1, 2):
            path = tmp_path / folder / f"p{person}" / f"cam{camera}" / "1.png"
            path.parent.mkdir(parents=True)
            pixels = rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((48, 96)).save(path)
    assert main(["data", "check", str(tmp_path / folder), "--no-cache", "--workers", "1"]) == 0
    printed = capsys.readouterr().out
    assert "a folder per identity with a folder per camera inside" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("    fed-plugin train")]
    words = shlex.split(line)[1:]
    monkeypatch.chdir(tmp_path)
    done = run_python("-m", "fed_plugin", *words, root=tmp_path, timeout=150)
    assert "Total training time" in done.stdout
    assert (tmp_path / "logs" / folder / "model_final.pth").is_file()


def test_a_second_copy_under_another_spelling_is_named(tmp_path, capsys):
    for folder in ("Partial_iLIDS", "PartialiLIDS"):
        for split in ("partial_body_images", "whole_body_images"):
            (tmp_path / folder / split).mkdir(parents=True)
            Image.effect_noise((32, 64), 90).save(tmp_path / folder / split / "1.jpg")
    main(["data", "check", str(tmp_path), "--no-cache", "--workers", "1"])
    printed = capsys.readouterr().out
    assert "warning: PartialiLIDS/ lies beside Partial_iLIDS/, which alone is read" in printed


def test_a_line_break_in_a_name_breaks_no_line(root, capsys):
    (root / "SynthOcc" / "query" / "0003_c1s1_000009_09 a\nb.jpg").write_bytes(b"no image")
    assert main(["data", "check", "SynthOcc", "--all"]) == 1
    assert r"0003_c1s1_000009_09 a\nb.jpg" in capsys.readouterr().out


@pytest.fixture
def training_lines(tmp_path):
    """Draw images at paths, check the data set they make, return how to train on it."""

    def lines(folder, *paths):
        for path in paths:
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((32, 64), 90).save(target)
        (found,) = find_targets(str(tmp_path / folder), "nowhere")
        return how_to_train(check(found, decode=False))

    return lines


@pytest.mark.parametrize(
    ("paths", "lines"),
    [
        (
            [f"Occluded_Duke/{split}/0001_c1_f1.jpg" for split in ("query", "bounding_box_test")],
            ["FASTREID_DATASETS={root} fed-plugin train --config-file occluded_duke_vit_base"],
        ),
        (
            ["OccludedREID/query/001_01.jpg", "OccludedREID/gallery/001_01.jpg"],
            [
                "FASTREID_DATASETS={root} fed-plugin train --config-file market1501_vit_base "
                "DATASETS.TESTS '(\"Occluded_REID\",)'",
                "(it has no training images: Market1501 has to lie in {root}, too)",
            ],
        ),
        (
            ["Market1501/query/0001_c1s1_000001_01.jpg"],
            [
                "ln -s Market1501 {root}/Market-1501-v15.09.15",
                "FASTREID_DATASETS={root} fed-plugin train --config-file market1501_vit_base",
            ],
        ),
    ],
    ids=["with its config", "for testing only", "a spelling that the host lacks"],
)
def test_how_to_train_follows_from_the_data_sets_row(tmp_path, training_lines, paths, lines):
    expected = [line.format(root=tmp_path) for line in lines]
    assert training_lines(paths[0].split("/")[0], *paths) == expected


def test_a_benchmark_in_a_folder_of_another_name_gets_a_link(tmp_path, training_lines, monkeypatch):
    counts = {"query": Published(1), "gallery": Published(1)}
    row = replace(LAYOUTS["Partial_iLIDS"], published=counts)
    monkeypatch.setitem(LAYOUTS, "Partial_iLIDS", row)
    paths = ("my copy/partial_body_images/001.jpg", "my copy/whole_body_images/001.jpg")
    lines = training_lines("my copy", *paths)
    assert lines[0] == f"ln -s 'my copy' {tmp_path}/Partial_iLIDS"


def test_the_configs_of_the_rows_are_installed():
    from fed_plugin.fastreid_adapter.config_files import find_config

    for name in {layout.config for layout in LAYOUTS.values()} - {""} | {_CONFIG}:
        assert os.path.isfile(find_config(name))


def test_the_sizes_that_synth_takes_are_those_that_can_be_drawn():
    from fed_plugin.synthocc import SIZES

    parser = argparse.ArgumentParser()
    add_synth_arguments(parser)
    (size,) = (action for action in parser._actions if action.dest == "size")
    assert list(size.choices) == list(SIZES)


@pytest.mark.parametrize(
    "words",
    [
        ["data", "synth", "--help"],
        ["data", "check", "--help"],
        ["data", "build-occluded-posetrack", "--help"],
        ["data", "occluders", "build", "--help"],
        ["data", "occluders", "check"],
        ["data", "synth", "--size", "huge", "--out", "nowhere"],
    ],
)
def test_help_and_refusals_import_no_images_and_no_models(words):
    code = (
        "import sys\nfrom fed_plugin.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'fed_plugin.synthocc'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
