"""``index`` and ``search``: from folders of photos to answers."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from fastreid.engine import DefaultTrainer
from fastreid.utils.checkpoint import Checkpointer
from PIL import Image

from fed_plugin.cli import main
from fed_plugin.search.gallery_index import CompressedDescriptors, GalleryIndex

LEAVES = ["synthocc_vit_tiny", "synthocc_vit_tiny_baseline"]


@pytest.fixture
def gallery(synthocc_root, tmp_path):
    """A folder of SynthOcc tiny's first twelve gallery photos, in two folders."""
    folder = tmp_path / "gallery"
    photos = sorted((synthocc_root / "SynthOcc" / "bounding_box_test").glob("*.jpg"))[:12]
    assert len(photos) == 12
    for i, photo in enumerate(photos):
        target = folder / ("one" if i % 2 else "two")
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, target)
    return folder


@pytest.fixture
def words(tmp_path):
    """Words that name a tiny model: ``words(leaf)``; weights of that config lie in a file."""
    from fastreid.config import get_cfg

    from fed_plugin.fastreid_adapter.config_files import find_config

    def make(leaf=LEAVES[0], seed=0):
        cfg = get_cfg()
        cfg.merge_from_file(find_config(leaf))
        cfg.merge_from_list(["MODEL.FED.VIT.NUM_LAYERS", 1, "MODEL.HEADS.NUM_CLASSES", 6])
        cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.FED.FDM.NUM_NEIGHBORS", 3])
        (tmp_path / f"{leaf}.yml").write_text(cfg.dump())
        torch.manual_seed(seed)
        Checkpointer(DefaultTrainer.build_model(cfg), str(tmp_path)).save(f"{leaf}{seed}")
        weights = str(tmp_path / f"{leaf}{seed}.pth")
        return ["--config-file", str(tmp_path / f"{leaf}.yml"), "--weights", weights]

    return make


def names_in(path):
    return GalleryIndex.load(path).names


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (["index", "--help"], 0),
        (["search", "--help"], 0),
        (["calibrate", "--help"], 0),
        (["index", "gone", "-o", "g.npz", "--config-file", "x", "--weights", "y"], 1),
        (["index", ".", "-o", "g.npz"], 1),
        (["search", "g.npz", "x.jpg", "--top", "0"], 1),
        (["calibrate", "gone.npz", "--weights", "gone.pth"], 1),
    ],
)
def test_help_and_refusals_do_not_wait_for_libraries(tmp_path, asked, status):
    heavy = ["torch", "fastreid", "faiss", "cv2", "scipy", "PIL"]
    code = f"""
import sys
from fed_plugin.cli import main
try:
    status = main({asked!r})
except SystemExit as end:
    status = end.code
print([name for name in {heavy} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == status and ended.stderr.splitlines()[-1] == "[]", ended.stderr


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_photo_of_the_gallery_finds_itself(gallery, words, tmp_path, capsys, leaf):
    out, answers, picture = (str(tmp_path / x) for x in ("g.npz", "a.json", "a.png"))
    assert main(["index", str(gallery), "-o", out, *words(leaf)]) == 0
    assert "12 photos described, 12 in the index" in capsys.readouterr().out
    assert len(names_in(out)) == 12 and all(name[:4] in ("one/", "two/") for name in names_in(out))
    photos = [str(gallery / name) for name in names_in(out)[:3]]
    asked = ["search", out, *photos, "--top", "4", "--json", answers, "--picture", picture]
    assert main(asked) == 0
    assert "similarity" in capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())
    for name, one in zip(names_in(out), found["photos"], strict=False):
        similar = [answer["similarity"] for answer in one["answers"]]
        assert one["answers"][0]["name"] == name and similar[0] == pytest.approx(1, abs=1e-5)
        assert len(similar) == 4 and similar == sorted(similar, reverse=True)
    drawn = cv2.imread(picture)
    assert drawn.shape[0] > 600 and np.ptp(drawn) == 255
    before = (tmp_path / "a.json").read_text()
    assert main([*asked, "--matching", "visibility"]) == (0 if leaf == LEAVES[0] else 1)
    assert ((tmp_path / "a.json").read_text() == before) == (leaf != LEAVES[0])


def test_photos_are_added_and_removed(gallery, words, tmp_path, capsys):
    out, model = str(tmp_path / "g.npz"), words()
    assert main(["index", str(gallery / "one"), "-o", out, *model]) == 0
    first = GalleryIndex.load(out)
    assert main(["index", str(gallery / "two"), "-o", out, "--add"]) == 0
    assert "6 photos described, 12 in the index" in capsys.readouterr().out
    both = GalleryIndex.load(out)
    assert both.names[:6] == first.names
    assert np.array_equal(both.stored.restored(slice(6)), first.stored.restored(slice(6)))
    assert main(["index", str(gallery), "-o", out, "--add"]) == 0
    assert "0 photos described, 12 in the index" in capsys.readouterr().out
    assert main(["index", "-o", out, "--remove", both.names[2], both.names[7]]) == 0
    assert names_in(out) == [x for i, x in enumerate(both.names) if i not in (2, 7)]
    assert main(["search", out, both.names[7], "--top", "10"]) == 0
    printed = capsys.readouterr().out
    assert printed.count(both.names[7]) == 1  # what was asked, and no answer


def test_a_compressed_index_is_smaller_and_finds_adds_and_removes_likewise(
    gallery, words, tmp_path, capsys
):
    exact, out = str(tmp_path / "exact.npz"), str(tmp_path / "g.npz")
    photos = sorted(gallery.rglob("*.jpg"))
    assert main(["index", str(gallery), "-o", out, "--compressed", *words()]) == 1
    assert "12 descriptors of 512 numbers: expected 128 or more" in capsys.readouterr().err
    for i in range(140):
        image = cv2.imread(str(photos[i % 12]))
        cv2.imwrite(str(gallery / "two" / f"{i:03}.png"), np.roll(image, i, axis=1))
    assert main(["index", str(gallery), "-o", exact, *words()]) == 0
    assert main(["index", str(gallery), "-o", out, "--compressed", *words()]) == 0
    assert "% of the 50 most similar of 100 photos are found" in capsys.readouterr().out
    assert names_in(out) == names_in(exact)
    assert main(["search", out, str(photos[0]), "--top", "3"]) == 0
    assert photos[0].name in capsys.readouterr().out.splitlines()[2]
    assert main(["index", "-o", out, "--remove", *names_in(out)[:30]]) == 0
    assert main(["index", str(gallery), "-o", out, "--add"]) == 0
    assert "30 photos described, 152 in the index" in capsys.readouterr().out
    index = GalleryIndex.load(out)
    assert isinstance(index.stored, CompressedDescriptors) and sorted(index.names) == sorted(
        names_in(exact)
    )
    capsys.readouterr()
    assert main(["index", str(gallery), "-o", out, "--add", "--compressed"]) == 1
    assert "--compressed: expected no such flag beside --add" in capsys.readouterr().err
    assert main(["index", "-o", out, "--remove", index.names[0], "--compressed"]) == 1


def test_a_photo_has_one_name_however_its_folder_is_spelled(gallery, words, tmp_path, capsys):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    before = names_in(out)
    (tmp_path / "link").symlink_to(gallery)
    for spelled in (gallery / ".." / gallery.name, tmp_path / "link", gallery / "one"):
        assert main(["index", str(spelled), "-o", out, "--add"]) == 0
        assert names_in(out) == before
    elsewhere = shutil.copytree(gallery / "one", tmp_path / "elsewhere")
    assert main(["index", str(tmp_path / "link" / ".." / "elsewhere"), "-o", out, "--add"]) == 0
    assert names_in(out)[12:] == [p.as_posix() for p in sorted(elsewhere.resolve().iterdir())]
    capsys.readouterr()
    assert main(["index", "-o", out, "--remove", before[0], before[0]]) == 0
    assert "1 photos removed, 17 left" in capsys.readouterr().out


def test_names_that_are_no_text_are_printed_and_drawn(gallery, words, tmp_path, capsys):
    odd = str(gallery / "one" / os.fsdecode(b"caf\xe9.jpg"))
    try:
        shutil.copy(next((gallery / "two").iterdir()), odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    out, picture = str(tmp_path / "g.npz"), str(tmp_path / "a.png")
    assert main(["index", str(gallery / "one"), "-o", out, *words()]) == 0
    assert main(["search", out, odd, "--top", "1", "--picture", picture]) == 0
    capsys.readouterr().out.encode()  # as a terminal does, which is strict
    assert cv2.imread(picture).shape[0] > 100


def test_broken_photos_are_left_out_and_named(gallery, words, tmp_path, capsys):
    (gallery / "broken.jpg").write_bytes(b"no image")
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    printed = capsys.readouterr()
    assert "broken.jpg" in printed.err and "1 could not be read" in printed.out
    assert "broken.jpg" not in names_in(out) and len(names_in(out)) == 12
    assert main(["search", out, str(gallery / "broken.jpg")]) == 1
    assert "broken.jpg" in capsys.readouterr().err
    assert main(["index", str(gallery), "-o", out, "--force", "--strict", *words()]) == 1
    assert "--strict: not in the index: 1 could not be read" in capsys.readouterr().err
    assert len(names_in(out)) == 12


def test_every_suffix_is_indexed_and_what_is_passed_over_is_named(gallery, words, tmp_path, capsys):
    photo = next(gallery.rglob("*.jpg"))
    for suffix in (".webp", ".jfif", ".tiff", ".PNG"):
        with Image.open(photo) as image:
            image.save(gallery / f"x{suffix}", "JPEG" if suffix == ".jfif" else None)
    (gallery / "notes.txt").write_text("")
    os.mkfifo(gallery / "pipe.jpg")
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    assert len(names_in(out)) == 16
    printed = capsys.readouterr().out
    assert "not in the index: 2 files or folders passed over (notes.txt, pipe.jpg)" in printed


def test_a_folder_that_cannot_be_read_is_named(gallery, words, tmp_path, capsys, monkeypatch):
    stock = os.scandir

    def scandir(folder):
        if os.path.basename(folder) == "two":
            raise PermissionError(13, "Permission denied", folder)
        return stock(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, "--strict", *words()]) == 1
    assert "passed over (two)" in capsys.readouterr().err.replace("two/", "two")


def test_folders_are_queries_and_one_broken_photo_does_not_cost_the_others(
    gallery, words, tmp_path, capsys, monkeypatch
):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    assert main(["search", out, str(gallery / "one"), "--top", "1"]) == 0
    assert capsys.readouterr().out.count(".jpg  1") == 6
    (gallery / "one" / "text.jpg").write_text("no photo")
    whole = next((gallery / "two").glob("*.jpg")).read_bytes()
    (gallery / "one" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    asked = ["search", out, str(gallery / "one"), "--top", "1", "--json", str(tmp_path / "a.json")]
    with monkeypatch.context() as patch:
        patch.setattr("fed_plugin.search.search.embedder_of", None)  # refused before the model
        assert main(asked) == 1
    assert "text.jpg" in capsys.readouterr().err
    assert main([*asked, "--skip-errors"]) == 0
    left_out = capsys.readouterr().err
    assert "text.jpg" in left_out and "half.jpg" in left_out
    assert len(json.loads((tmp_path / "a.json").read_text())["photos"]) == 6
    (tmp_path / "empty").mkdir()
    assert main(["search", out, str(tmp_path / "empty")]) == 1
    assert main(["search", out, str(tmp_path / "gone.jpg")]) == 1


def test_a_picture_stays_below_the_folder_of_the_index(gallery, words, tmp_path, capsys):
    out, secret = str(tmp_path / "g.npz"), tmp_path / "secret.jpg"
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    Image.new("RGB", (48, 96), (255, 0, 255)).save(secret)
    (gallery / "link.jpg").symlink_to(secret)
    names = np.array(names_in(out))
    for name in ("../secret.jpg", str(secret), "link.jpg"):
        content = dict(np.load(out))
        np.savez(tmp_path / "bad.npz", **{**content, "names": np.array([name, *names[1:]])})
        photo, sheet = str(gallery / names[0]), str(tmp_path / "sheet.png")
        words_ = ["search", str(tmp_path / "bad.npz"), photo, "--top", "1", "--picture", sheet]
        assert main(words_) == 0
        assert "1 answers are grey, as their names lead out of" in capsys.readouterr().out
        assert not (cv2.imread(sheet) == [255, 0, 255]).all(axis=2).any()


CHANGE = """
import sys, time
from fed_plugin.search import index
stock = index._described
def slow(*args):
    done = stock(*args)
    print("described", flush=True)
    sys.stdin.readline()
    return done
index._described = slow
from fed_plugin.cli import main
raise SystemExit(main(sys.argv[1:]))
"""


def test_two_that_add_and_one_that_removes_lose_nothing(gallery, words, tmp_path):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery / "one"), "-o", out, *words()]) == 0
    removed = names_in(out)[0]
    photos = sorted((gallery / "two").glob("*.jpg"))
    running = []
    for half in (photos[:3], photos[3:]):
        folder = gallery / "one" / half[0].stem
        folder.mkdir()
        for photo in half:
            shutil.move(photo, folder)
        words_ = [sys.executable, "-c", CHANGE, "index", str(folder), "-o", out, "--add"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen(words_, **pipes))
    for process in running:  # both have read the index and described their photos
        while process.stdout.readline() != "described\n":
            assert process.poll() is None
    assert main(["index", "-o", out, "--remove", removed]) == 0
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.wait(120) for process in running] == [0, 0]
    assert len(names_in(out)) == 5 + 6 and removed not in names_in(out)


def test_two_that_make_one_index_do_not_write_over_each_other(gallery, words, tmp_path):
    out = str(tmp_path / "g.npz")
    make = [sys.executable, "-c", CHANGE, "index", str(gallery / "one"), "-o", out, *words()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(make, text=True, **pipes) as slow:
        while slow.stdout.readline() != "described\n":
            assert slow.poll() is None
        assert main(["index", str(gallery / "two"), "-o", out, *words()]) == 0
        _, error = slow.communicate("\n", 120)
    assert slow.returncode == 1 and "exists already" in error
    assert len(names_in(out)) == 6


def test_a_link_to_an_index_has_the_lock_of_the_index(tmp_path):
    from fed_plugin.search import index

    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "g.npz").write_bytes(b"")
    (tmp_path / "link.npz").symlink_to(tmp_path / "real" / "g.npz")
    paths = {index._alone(str(tmp_path / name)).path for name in ("link.npz", "real/g.npz")}
    assert len(paths) == 1


def test_photos_get_no_names_of_another_folder(gallery, words, tmp_path, capsys, monkeypatch):
    from fed_plugin.search import index

    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery / "one"), "-o", out, *words()]) == 0
    stock = index._described

    def meanwhile(*args):
        monkeypatch.setattr(index, "_described", stock)
        assert main(["index", str(gallery), "-o", out, "--force", *words()]) == 0
        return stock(*args)

    monkeypatch.setattr(index, "_described", meanwhile)
    assert main(["index", str(gallery / "two"), "-o", out, "--add"]) == 1
    assert "from another folder meanwhile" in capsys.readouterr().err
    assert len(names_in(out)) == 12


def test_hidden_files_are_passed_over_by_name_and_those_of_file_managers_silently(
    gallery, words, tmp_path, capsys
):
    photo = next(gallery.rglob("*.jpg"))
    (gallery / ".hidden").mkdir()
    for name in (".a.jpg", ".hidden/b.jpg", "._c.jpg"):
        shutil.copy(photo, gallery / name)
    (gallery / "Thumbs.db").write_bytes(b"")
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    printed = capsys.readouterr().out
    assert "2 files or folders passed over (.a.jpg, .hidden)" in printed.replace(
        "hidden/", "hidden"
    )


def test_an_index_in_its_gallery_is_no_file_that_lacks(gallery, words, capsys):
    out = str(gallery / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    for _ in range(2):
        assert main(["index", str(gallery), "-o", out, "--add", "--strict"]) == 0
        assert "not in the index" not in capsys.readouterr().out


def test_queries_are_decoded_before_the_model_is_loaded(
    gallery, words, tmp_path, capsys, monkeypatch
):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    whole = next((gallery / "two").glob("*.jpg"))
    half, large = tmp_path / "half.jpg", tmp_path / "large.png"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    Image.new("1", (8000, 8000)).save(large)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "empty").mkdir()
    bad = [half, large, tmp_path / "pipe.jpg", tmp_path / "gone.jpg", tmp_path / "empty"]
    monkeypatch.setattr("fed_plugin.search.search.embedder_of", None)
    for one in bad:
        assert main(["search", out, str(whole), str(one)]) == 1
        error = capsys.readouterr().err
        assert "1 of 2 photos cannot be read" in error and one.name in error
        assert "try --skip-errors" in error
        assert main(["search", out, str(one), "--skip-errors"]) == 1
        assert "1 of 1 photos cannot be read" in capsys.readouterr().err
    monkeypatch.undo()
    answers = tmp_path / "a.json"
    asked = ["search", out, *map(str, bad), str(whole), "--json", str(answers)]
    assert main([*asked, "--skip-errors"]) == 0
    assert capsys.readouterr().err.count("left out: ") == len(bad)
    assert len(json.loads(answers.read_text())["photos"]) == 1


def test_no_output_takes_the_place_of_a_photo_in_a_folder(gallery, words, tmp_path, capsys):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    photo = gallery / "one" / "query.png"
    Image.new("RGB", (48, 96)).save(photo)
    before = photo.read_bytes()
    assert main(["search", out, str(gallery / "one"), "--picture", str(photo)]) == 1
    assert "is read here" in capsys.readouterr().err and photo.read_bytes() == before


@pytest.mark.parametrize("name", ["a\0b.jpg", "ring/a.jpg", "x" * 5000, "one"])
def test_names_that_no_photo_has_are_grey(gallery, words, tmp_path, name):
    out, sheet = str(tmp_path / "g.npz"), str(tmp_path / "sheet.png")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    (gallery / "ring").symlink_to("ring")
    names = names_in(out)
    photo = str(gallery / names[0])
    content = dict(np.load(out))
    np.savez(tmp_path / "bad.npz", **{**content, "names": np.array([name, *names[1:]])})
    asked = ["search", str(tmp_path / "bad.npz"), photo, "--top", "1", "--picture", sheet]
    assert main(asked) == 0 and cv2.imread(sheet) is not None


def test_another_model_is_refused(gallery, words, tmp_path, capsys):
    out = str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    photo = str(gallery / names_in(out)[0])
    other = words(seed=1)[-1]
    assert main(["search", out, photo, "--weights", other]) == 1
    assert "weights_sha256 differ" in capsys.readouterr().err
    assert main(["index", str(gallery), "-o", out, "--add", "--weights", other]) == 1
    moved = tmp_path / "moved.pth"
    (tmp_path / f"{LEAVES[0]}0.pth").rename(moved)
    assert main(["search", out, photo]) == 1
    assert "try --weights" in capsys.readouterr().err
    assert main(["search", out, photo, "--weights", str(moved)]) == 0


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["index", "gone", "-o", "{out}", "{model}"], "no such folder"),
        (["index", "{empty}", "-o", "{out}", "{model}"], "no photo in it"),
        (["index", "", "-o", "{out}", "{model}"], "GALLERY: expected a folder of photos"),
        (["index", "-o", "{out}", "{model}"], "GALLERY: expected a folder of photos"),
        (["index", "{gallery}", "-o", "{out}"], "--config-file and --weights"),
        (["index", "{gallery}", "-o", "gone/g.npz", "{model}"], "an existing folder"),
        (["index", "{gallery}", "-o", "{out}", "--add"], "no such file"),
        (["index", "-o", "{out}", "--remove", "x"], "no such file"),
        (["index", "{gallery}", "-o", "{out}", "--remove", "x"], "expected --out alone"),
        (["search", "{out}", "x.jpg"], "no such file"),
        (["search", "{out}", "x.jpg", "--top", "0"], "--top 0"),
    ],
)
def test_mistakes_are_one_sentence(gallery, words, tmp_path, capsys, asked, message):
    (tmp_path / "empty").mkdir()
    known = {"{out}": tmp_path / "g.npz", "{empty}": tmp_path / "empty", "{gallery}": gallery}
    line = [str(known.get(word, word)) for word in asked if word != "{model}"]
    assert main([*line, *(words() if "{model}" in asked else [])]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (tmp_path / "g.npz").exists()


def test_an_index_is_written_over_only_when_asked(gallery, words, tmp_path, capsys):
    out = tmp_path / "g.npz"
    out.write_text("mine")
    model = words()
    for needed in (model[1], model[3]):
        assert main(["index", str(gallery), "-o", needed, *model, "--force"]) == 1
        assert "is read here" in capsys.readouterr().err
    asked = ["index", str(gallery), "-o", str(out), *model]
    assert main(asked) == 1 and out.read_text() == "mine"
    assert "try --add, another name, or --force" in capsys.readouterr().err
    assert main([*asked, "--force"]) == 0 and len(names_in(out)) == 12


def test_nothing_that_is_read_is_written_over(gallery, words, tmp_path, capsys):
    out = tmp_path / "g.npz"
    assert main(["index", str(gallery), "-o", str(out), *words()]) == 0
    photo = gallery / names_in(out)[0]
    before = out.read_bytes(), photo.read_bytes()
    capsys.readouterr()
    asked = ["search", str(out), str(photo)]
    for extra, message in (
        (["--json", str(gallery / ".." / "g.npz")], "g.npz: is read here"),
        (["--picture", str(photo)], f"{photo.name}: is read here"),
        (["--json", str(tmp_path / "a.png"), "--picture", str(tmp_path / "a.png")], "a.png: is"),
        (["--picture", str(tmp_path / "a.jpg"), "--json", str(tmp_path / "a.json")], "in .png"),
        (["--json", "-"], "--json -: expected the name of a file"),
        (["--prior", "0"], "--prior 0.0: expected a share above 0"),
        (["--prior", "1"], "--prior 1.0: expected a share above 0"),
        (["--prior", "nan"], "--prior nan: expected a share"),
    ):
        assert main([*asked, *extra]) == 1
        said = capsys.readouterr()
        assert message in said.err and said.out == ""
    assert (out.read_bytes(), photo.read_bytes()) == before
    assert not list(tmp_path.glob("a.*"))


def test_an_index_that_says_too_little_of_its_model_is_refused(gallery, words, tmp_path, capsys):
    out, other = str(tmp_path / "g.npz"), str(tmp_path / "other.npz")
    assert main(["index", str(gallery), "-o", out, *words()]) == 0
    for key in ("config", "weights", "folder", "model"):
        index = GalleryIndex.load(out)
        index.about[key] = 7
        index.save(other)
        for asked in (["search", other, "x.jpg"], ["index", str(gallery), "-o", other, "--add"]):
            assert main(asked) == 1
            error = capsys.readouterr().err
            assert f"other.npz: its `about` holds no {key}; expected an index" in error
    index = GalleryIndex.load(out)
    index.about["config"] += "\nNO_KEY: 1\n"
    index.save(other)
    assert main(["search", other, str(next(gallery.rglob("*.jpg")))]) == 1
    error = capsys.readouterr().err
    assert "the index's config: " in error and "NO_KEY" in error


@pytest.fixture
def calibrated(gallery, words, tmp_path, on_synthocc):
    """An index, and a calibration beside its weights; similarities of a drawn, separable kind."""
    from fed_plugin.datasets.fingerprints import content_hash
    from fed_plugin.retrieval.feature_dump import FeatureDump

    model, out = words(), str(tmp_path / "g.npz")
    assert main(["index", str(gallery), "-o", out, *model]) == 0
    draw = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 6)
    dump = FeatureDump(
        features=(draw.normal(size=(40, 32))[people] + draw.normal(size=(240, 32))).astype("f4"),
        pids=people,
        camids=np.arange(240) % 6,
        split=np.array(["query", *["gallery"] * 5] * 40),
        names=np.array([f"{i}.jpg" for i in range(240)]),
        visibility=draw.uniform(size=(240, 4)).astype("f4"),
        about={"weights_sha256": content_hash(model[-1])},
    )
    dump.save(tmp_path / "dump.npz")
    return out, str(tmp_path / "dump.npz"), model[-1]


@pytest.mark.parametrize("matching", ["cosine", "visibility"])
def test_probabilities_come_from_people_of_no_test(calibrated, gallery, tmp_path, capsys, matching):
    out, dump, weights = calibrated
    photo = str(gallery / names_in(out)[0])
    asked = ["search", out, photo, "--matching", matching, "--json", str(tmp_path / "a.json")]
    assert main([*asked, "--min-probability", "0.5"]) == 1
    assert "try `calibrate DUMP --weights" in capsys.readouterr().err
    files = ["--json", str(tmp_path / "c.json"), "--picture", str(tmp_path / "c.png")]
    assert main(["calibrate", dump, "--weights", weights, "--matching", matching, *files]) == 0
    printed = capsys.readouterr().out
    tried = json.loads((tmp_path / "c.json").read_text())
    assert tried["fitted"] == {"people": 20, "pairs": 2000, "right_pairs": 100}
    assert sum(row["pairs"] for row in tried["reliability"]) == tried["tried"]["pairs"] == 2000
    assert tried["rates"][0]["tpr"] > 0.5
    assert cv2.imread(str(tmp_path / "c.png")).shape[1] > 800
    assert "fitted on 2000 pairs of 20 people (100 right)" in printed
    assert "ranked among half of the people each: of 40 people" in printed
    assert "tried on 2000 pairs of 20 others" in printed and "--min-visibility" not in printed
    assert main([*asked, "--top", "12"]) == 0
    everybody = json.loads((tmp_path / "a.json").read_text())["photos"][0]["answers"]
    chances = [answer["probability"] for answer in everybody]
    assert len(chances) == 12 and chances == sorted(chances, reverse=True) and chances[0] > 0.9
    limit = (chances[0] + chances[1]) / 2
    assert main([*asked, "--min-probability", str(limit)]) == 0
    assert len(json.loads((tmp_path / "a.json").read_text())["photos"][0]["answers"]) == 1
    assert main([*asked, "--prior", "1e-9", "--min-probability", "0.9"]) == 0
    assert "nobody with that probability" in capsys.readouterr().out
    other = {"cosine": "visibility", "visibility": "cosine"}[matching]
    assert main([*asked[:3], "--matching", other, "--min-probability", "0.5"]) == 1
    assert f"is of --matching {matching}" in capsys.readouterr().err


def test_too_little_visible_is_an_answer(calibrated, gallery, tmp_path, capsys):
    out, _, _ = calibrated
    asked = ["search", out, str(gallery / names_in(out)[0]), "--json", str(tmp_path / "a.json")]
    assert main([*asked, "--min-visibility", "1"]) == 0
    assert "too little of the person is visible" in capsys.readouterr().out
    picture = tmp_path / "a.png"
    assert main([*asked, "--min-visibility", "1", "--picture", str(picture)]) == 0
    assert "no photo has an answer" in capsys.readouterr().out and not picture.exists()
    (one,) = json.loads((tmp_path / "a.json").read_text())["photos"]
    assert one["answers"] == [] and one["refused"] and 0 < one["visible"] < 1
    assert main([*asked, "--min-visibility", "0.0", "--picture", str(picture)]) == 0
    assert "too little" not in capsys.readouterr().out
    alone = cv2.imread(str(picture)).shape[0]
    photos = [str(gallery / name) for name in names_in(out)[:4]]
    assert main(["search", out, *photos, *asked[3:]]) == 0
    seen = [one["visible"] for one in json.loads((tmp_path / "a.json").read_text())["photos"]]
    limit = str(sum(sorted(seen)[-2:]) / 2)  # one of them is above
    drawn = ["--min-visibility", limit, "--picture", str(picture)]
    assert main(["search", out, *photos, *drawn]) == 0
    assert cv2.imread(str(picture)).shape[0] == alone


def test_what_cannot_be_calibrated_names_the_dump_and_writes_nothing(
    calibrated, gallery, tmp_path, capsys
):
    from fed_plugin.retrieval.feature_dump import FeatureDump

    out, path, weights = calibrated
    whole = FeatureDump.load(path)
    tried = np.random.default_rng(0).permutation(np.arange(40))[20:]  # calibrate's second half
    one_camera = np.where(np.isin(whole.pids, tried), 0, whole.camids)
    for change, message in (
        ({"pids": np.zeros_like(whole.pids)}, "1 people among the queries"),
        ({"camids": np.zeros_like(whole.camids)}, "0 right and "),
        ({"camids": one_camera}, "the half of the people to try the curve on has no"),
    ):
        dataclasses.replace(whole, **change).save(tmp_path / "odd.npz")
        assert main(["calibrate", str(tmp_path / "odd.npz"), "--weights", weights]) == 1
        error = capsys.readouterr().err
        assert f"odd.npz: {message}" in error and "Warning" not in error
    for word, bad in (("--seed", "-1"), ("--picture", "a.jpg"), ("--json", "gone/a.json")):
        assert main(["calibrate", path, "--weights", weights, word, bad]) == 1
        assert bad.split("/")[0] in capsys.readouterr().err
    assert main(["calibrate", path, "--weights", weights, "--seed", "-1"]) == 1
    assert "--seed -1: expected 0 or more" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.calibration.json"))
    assert main(["calibrate", path, "--weights", weights]) == 0
    (curve,) = tmp_path.glob("*.calibration.json")
    curve.write_text(curve.read_text()[:40])
    assert main(["search", out, str(gallery / names_in(out)[0])]) == 1
    assert "try `calibrate` again, or moving the file away" in capsys.readouterr().err


def test_a_dump_of_other_weights_is_not_calibrated(calibrated, words, tmp_path, capsys):
    _, dump, weights = calibrated
    other = words(seed=1)[-1]
    assert main(["calibrate", dump, "--weights", other]) == 1
    assert "is of other weights" in capsys.readouterr().err
    assert main(["calibrate", dump, "--weights", str(tmp_path / "gone.pth")]) == 1
    assert main(["calibrate", str(tmp_path / "gone.npz"), "--weights", weights]) == 1
    assert not list(tmp_path.glob("*.calibration.json"))
