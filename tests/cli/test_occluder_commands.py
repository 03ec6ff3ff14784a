"""``data occluders``: build, check, preview, and what the report says."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.cli.occluder_quality import measure_supervision, supervision_sentences
from fed_plugin.datasets.occluder_sets import Crop, read_manifest, write_set
from fed_plugin.transforms import OccluderSet

FEW = ("--draws", "50")


@pytest.fixture
def root(synthocc_root, monkeypatch):
    monkeypatch.setenv("FASTREID_DATASETS", str(synthocc_root))
    return synthocc_root


@pytest.fixture
def occluders(capsys):
    """Run ``data occluders``: returns status, stdout, stderr."""

    def run(*words):
        status = main(["data", "occluders", *map(str, words)])
        output = capsys.readouterr()
        assert "Traceback" not in output.out + output.err
        return status, output.out, output.err

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def save_crops(folder, *shapes, seed=0):
    """Save smooth random crops as 000.png and so on."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for index, (height, width) in enumerate(shapes):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        image = coarse.resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / f"{index:03d}.png")
    return folder


def test_a_drawn_set_is_usable_as_it_is_and_its_check_passes(tmp_path, occluders):
    status, out, _ = occluders("build", "--drawn", 12, "--out", tmp_path / "set", *FEW)
    assert status == 0
    assert "12 crops, 4 tall and 8 wide" in out and f"INPUT.NPO.OCCLUDERS {tmp_path}" in out
    loaded = OccluderSet.from_folder(tmp_path / "set")
    manifest = read_manifest(tmp_path / "set")
    assert loaded.names == tuple(entry.file for entry in manifest.entries)
    assert loaded.sizes == tuple(entry.size for entry in manifest.entries)
    assert "Apache" in manifest.about["licence"]
    assert manifest.about["supervision"]["draws"] == 50
    status, out, _ = occluders("check", tmp_path / "set", *FEW)
    assert status == 0 and "drawn by fed_plugin" in out and "supervision by the rule" in out


@pytest.mark.parametrize("words", [("--drawn", 9), ("--mine", "SynthOcc", "--count", 9)])
def test_the_same_words_give_the_same_bytes_and_another_seed_others(
    tmp_path, occluders, root, words
):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        words_ = ("build", *words, "--out", tmp_path / name, "--seed", seed, *FEW)
        assert occluders(*words_)[0] == 0
    one, two, three = (contents(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two and set(one.values()).isdisjoint(three.values())


def test_a_folder_of_crops_becomes_a_set_and_every_other_file_is_named(tmp_path, occluders):
    crops = save_crops(tmp_path / "crops", (60, 20), (30, 50), (40, 40))
    shutil.copy(crops / "000.png", crops / "copy.png")
    (crops / "broken.jpg").write_bytes(b"\xff\xd8no")
    (crops / "readme.txt").write_text("mine")
    Image.new("RGB", (1, 1)).save(crops / "dot.png")
    words = ("build", "--from-crops", crops, "--out", tmp_path / "set", *FEW)
    status, out, _ = occluders(*words, "--licence", "CC0", "--count", 2)
    assert status == 0
    for name in ("copy.png", "broken.jpg", "readme.txt", "dot.png", "002.png"):
        assert f"    {name}: " in out, name
    about = read_manifest(tmp_path / "set").about
    assert about["licence"] == "CC0" and about["count"] == 2
    left_out = {one["name"]: one["kind"] for one in about["left_out"]}
    assert left_out == {
        **{"broken.jpg": "broken", "readme.txt": "not an image", "dot.png": "unfit"},
        **{"copy.png": "duplicate", "002.png": "beyond --count"},
    }
    assert str(tmp_path) not in (tmp_path / "set" / "manifest.json").read_text()
    assert "--from-crops crops" in about["built"]["command"]


def test_without_any_usable_crop_all_are_named_and_nothing_is_written(tmp_path, occluders):
    (tmp_path / "crops").mkdir()
    for index in range(8):
        (tmp_path / "crops" / f"{index}.jpg").write_bytes(b"")
    words = ("build", "--from-crops", tmp_path / "crops", "--out", tmp_path / "set")
    status, out, err = occluders(*words)
    assert status == 1 and "not one usable crop" in err
    assert all(f"    {index}.jpg: cannot be read" in out for index in range(8))
    assert os.listdir(tmp_path) == ["crops"]


def test_ctrl_c_leaves_no_set_and_says_so(tmp_path, occluders, monkeypatch):
    def interrupt(*_):
        assert len(os.listdir(tmp_path)) == 1  # the crops are written, the manifest is not
        raise KeyboardInterrupt

    monkeypatch.setattr("fed_plugin.cli.occluder_commands._measure", interrupt)
    status, _, err = occluders("build", "--drawn", 3, "--out", tmp_path / "set")
    assert status == 130 and "interrupted; no half-written set is left" in err
    assert os.listdir(tmp_path) == []


def test_mined_crops_come_from_training_images_and_inherit_what_binds_them(
    tmp_path, occluders, root
):
    words = ("build", "--mine", "SynthOcc", "--count", 15, "--out", tmp_path / "set", *FEW)
    assert occluders(*words)[0] == 0
    manifest = read_manifest(tmp_path / "set")
    names = {entry.origin.partition(",")[0] for entry in manifest.entries}
    assert len(names) == 15
    assert names <= set(os.listdir(root / "SynthOcc" / "bounding_box_train"))
    assert "its licence, and its withdrawal if there is one" in manifest.about["licence"]


def test_crops_of_a_duke_copy_carry_its_withdrawal(tmp_path, occluders, root, monkeypatch):
    train = tmp_path / "data" / "Occluded_Duke" / "bounding_box_train"
    train.mkdir(parents=True)
    for number, path in enumerate(sorted((root / "SynthOcc" / "bounding_box_train").iterdir())):
        pid, camera = path.name.split("_")[:2]
        shutil.copy(path, train / f"{pid}_{camera[:2]}_f{number:07d}.jpg")
    monkeypatch.setenv("FASTREID_DATASETS", str(tmp_path / "data"))
    words = ("build", "--mine", "Occluded_Duke", "--count", 6, "--out", tmp_path / "set", *FEW)
    assert occluders(*words)[0] == 0
    assert "withdrawn by its university" in read_manifest(tmp_path / "set").about["licence"]


def test_a_data_set_without_training_images_is_refused(tmp_path, occluders, monkeypatch):
    for split in ("occluded_body_images", "whole_body_images"):
        save_crops(tmp_path / split, (20, 10))
        target = tmp_path / "data" / "Partial_REID" / split
        target.mkdir(parents=True)
        shutil.copy(tmp_path / split / "000.png", target / "001_01.png")
    monkeypatch.setenv("FASTREID_DATASETS", str(tmp_path / "data"))
    words = ("build", "--mine", "Partial_REID_Occluded", "--out", tmp_path / "set")
    status, _, err = occluders(*words)
    assert status == 1 and "has no train split" in err and not (tmp_path / "set").exists()


def test_crops_cut_out_of_queries_are_left_out_by_build_and_fail_the_check(
    tmp_path, occluders, root
):
    crops = save_crops(tmp_path / "crops", (40, 40), (30, 50))
    query = min((root / "SynthOcc" / "query").iterdir())
    with Image.open(query) as image:
        image.crop((10, 30, 50, 80)).save(crops / "cut.png")
        image.resize((90, 180)).save(crops / "whole.jpg")
    status, out, _ = occluders("check", crops, "--leaks-in", "SynthOcc", *FEW)
    assert status == 1 and "leak: 2" in out
    assert f"    cut.png: inside query image {query.name} (row 30, column 10" in out
    assert f"    whole.jpg: the same picture as query image {query.name}" in out
    words = ("build", "--from-crops", crops, "--out", tmp_path / "set", *FEW)
    status, out, _ = occluders(*words, "--leaks-in", "SynthOcc")
    assert status == 0 and "leaks: 2 crops occur in" in out and "leak: 2" in out
    assert "2 crops, " in out
    leaks = read_manifest(tmp_path / "set").about["leaks"]
    assert leaks["data set"] == "SynthOcc" and leaks["leaking crops"] == 2
    assert leaks["query images"] == len(os.listdir(root / "SynthOcc" / "query"))
    status, out, _ = occluders("check", tmp_path / "set", "--leaks-in", root / "SynthOcc", *FEW)
    assert status == 0 and "leaks: 0 crops occur in" in out


def test_a_query_that_cannot_be_searched_is_named_and_fails_the_check(
    tmp_path, occluders, root, monkeypatch
):
    shutil.copytree(root, tmp_path / "data")
    broken = min((tmp_path / "data" / "SynthOcc" / "query").iterdir())
    broken.write_bytes(b"no picture")
    monkeypatch.setenv("FASTREID_DATASETS", str(tmp_path / "data"))
    crops = save_crops(tmp_path / "crops", (40, 40))
    status, out, _ = occluders("check", crops, "--leaks-in", "SynthOcc", *FEW)
    assert status == 1 and f"cannot be searched: {broken.name}" in out


def test_a_folder_without_manifest_is_checked_with_a_warning(tmp_path, occluders):
    crops = save_crops(tmp_path / "crops", (60, 20), (30, 50))
    status, out, _ = occluders("check", crops, *FEW)
    assert status == 0 and "warning: no manifest.json" in out and "2 crops, 1 tall" in out


def test_a_set_that_is_not_what_it_says_fails_its_check(tmp_path, occluders):
    occluders("build", "--drawn", 4, "--out", tmp_path / "set", *FEW)
    paths = sorted((tmp_path / "set").glob("*.png"))
    paths[0].unlink()
    paths[1].write_bytes(b"")
    status, out, _ = occluders("check", tmp_path / "set")
    assert status == 1
    assert f"    {paths[0].name}: the manifest lists it" in out
    assert f"    {paths[1].name}: cannot be read" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("build", "--drawn", 0, "--out", "set"), "expected count >= 1"),
        (("build", "--drawn", 3, "--count", 0, "--out", "set"), "--count 0"),
        (("build", "--from-crops", "gone", "--out", "set"), "gone: no such folder"),
        (("build", "--mine", "Nowhere", "--out", "set"), "Nowhere"),
        (("build", "--drawn", 3, "--out", "set", "--draws", 0), "--draws 0"),
        (("build", "--drawn", 3, "--out", "set", "--image-size", 255, 128), "--image-size 255"),
        (("build", "--drawn", 3, "--out", "full"), "it holds letter.txt"),
        (("check", "gone"), "gone: no such folder"),
        (("preview", "gone"), "gone: no such folder"),
        (("preview", "full"), "holds no crop"),
        (("preview", "full", "--out", "sheet.jpg"), "ends in .png"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(
    tmp_path, monkeypatch, occluders, words, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    status, _, err = occluders(*words)
    assert status == 1 and message in err
    assert os.listdir(tmp_path) == ["full"]


def test_the_preview_shows_the_first_crops_and_says_so(tmp_path, occluders):
    crops = save_crops(tmp_path / "crops", (60, 20), (30, 50), (40, 40))
    (crops / "broken.png").write_bytes(b"")
    status, out, _ = occluders("preview", crops, "--out", tmp_path / "s.png", "--most", 2)
    assert status == 0 and "2 of 3 crops" in out and "broken.png" in out
    with Image.open(tmp_path / "s.png") as sheet:
        assert min(sheet.size) > 300


def test_wide_crops_mark_parts_as_often_as_the_closed_form_says(tmp_path):
    """Of the heights 64 .. 128 on 256 rows, 22 of 65 mark one of four parts and the rest two."""
    save_crops(tmp_path / "wide", (40, 40), (30, 60))
    found = measure_supervision(tmp_path / "wide", draws=1500)
    assert found["tall"] == {"draws": 0} and found["wide"] == found["all"]
    one, two = 22 / 65, 43 / 65
    sigma = np.sqrt(one * two / 1500)
    assert found["all"]["marked_parts"][1] == pytest.approx(one, abs=4 * sigma)
    assert found["all"]["marked_parts"][0] == 0 and found["all"]["informative"] == 1
    assert sum(found["all"]["marked_parts"][1:3]) == pytest.approx(1, abs=1e-3)
    assert found["all"]["hidden"] == pytest.approx(96 / 256, abs=4 * 0.0733 / np.sqrt(1500))


def test_tall_crops_give_no_supervision_but_cover_as_much(tmp_path):
    save_crops(tmp_path / "tall", (60, 20))
    found = measure_supervision(tmp_path / "tall", draws=600)
    assert found["wide"] == {"draws": 0} and found["all"]["informative"] == 0
    assert found["all"]["marked_parts"] == [1, 0, 0, 0, 0]
    assert found["all"]["hidden"] == pytest.approx(48 / 128, abs=4 * 0.0733 / np.sqrt(600))
    text = "\n".join(supervision_sentences(found, 1, 1))
    assert "100 % of the crops are tall" in text and "give no supervision" in text
    assert "0 % of the images get a target with an occluded part" in text
    assert "under half of the images teach anything" in text


def test_the_share_of_images_that_teach_is_the_share_of_wide_crops(tmp_path):
    save_crops(tmp_path / "mixed", (60, 20), (40, 40), (30, 60))
    found = measure_supervision(tmp_path / "mixed", draws=900)
    assert found["all"]["informative"] == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 9 / 900))
    assert found == measure_supervision(tmp_path / "mixed", draws=900)
    assert found != measure_supervision(tmp_path / "mixed", draws=900, seed=1)
    assert found["tall"]["draws"] + found["wide"]["draws"] == 900


def test_kept_transparency_lets_a_tall_crop_teach(tmp_path, occluders):
    """A crop that is opaque in its upper quarter alone hides one part, if its alpha is kept."""
    pixels = np.random.default_rng(0).integers(0, 256, (80, 30, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    pixels[:18, :, 3] = 255
    folder = write_set(tmp_path / "set", [Crop("half", pixels, "half.png")], {})
    assert measure_supervision(folder, draws=40)["all"]["informative"] == 0
    kept = measure_supervision(folder, draws=40, alpha=True)
    assert kept["all"]["marked_parts"] == [0, 1, 0, 0, 0]
    status, out, _ = occluders("check", folder, *FEW)
    assert status == 0 and out.count("what it teaches") == 2 and "transparency kept" in out


def test_the_manifest_says_what_was_measured(tmp_path, occluders):
    words = ("build", "--drawn", 3, "--out", tmp_path / "set", "--image-size", 128, 64, *FEW)
    assert occluders(*words)[0] == 0
    stored = json.loads((tmp_path / "set" / "manifest.json").read_text())["supervision"]
    assert stored["image"] == [128, 64] and stored["parts"] == 4 and stored["alpha"] is False
    assert stored == measure_supervision(tmp_path / "set", 50, (128, 64))
