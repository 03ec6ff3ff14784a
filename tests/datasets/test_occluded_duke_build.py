from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fed_plugin.datasets import LAYOUTS, occluded_duke_build
from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.occluded_duke_build import (
    WITHDRAWN,
    build_occluded_duke,
    read_lists,
)
from fed_plugin.datasets.splits import Published

LAYOUT = LAYOUTS["Occluded_Duke"]
TRAIN, QUERY, GALLERY = (folder for (folder,) in LAYOUT.splits.values())
NAMES = {
    TRAIN: ["0001_c2_f0000001.jpg", "0001_c3_f0000002.jpg", "0702_c8_f0000003.jpg"],
    QUERY: ["0005_c1_f0000010.jpg", "0006_c2_f0000011.jpg"],
    GALLERY: ["0005_c1_f0000010.jpg", "0005_c4_f0000012.jpg", "0006_c3_f0000013.jpg"],
}
# DukeMTMC-reID keeps some of them elsewhere: one for training and a query are in its gallery.
DUKE = {
    TRAIN: ["0001_c2_f0000001.jpg", "0001_c3_f0000002.jpg", "0009_c1_f0000099.jpg"],
    QUERY: ["0006_c2_f0000011.jpg", "0007_c2_f0000015.jpg"],
    GALLERY: [*NAMES[GALLERY], "0702_c8_f0000003.jpg", "0007_c5_f0000016.jpg"],
}


# Written a second time, so that a slip of the hand in layouts.py fails here.
DIGESTS = (
    "dadffee79d8601545ca2217a38406c1cb6dab39d0b4b0c6370c8486738dee059",
    "fb5e1b1a749a0ab8602414bc9159e7a03216c2bdc519b5a4e513e05e3f612333",
    "0393fa86344ef4c220a5589aaad409f3adda1e14e39fc8425c80e90196065fca",
)


def picture(folder, name):
    """Drawn from the name alone; a file of the same name in another folder differs slightly."""
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 8, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((32, 64))
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=90 + len(folder) % 5)
    return memory.getvalue()


@pytest.fixture
def duke(tmp_path):
    """An unpacked copy."""
    root = tmp_path / "duke" / "DukeMTMC-reID"
    for folder, names in DUKE.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(picture(folder, name))
        (root / folder / "readme.txt").write_text("no image")
    return root


@pytest.fixture
def packed(duke, tmp_path):
    """The same copy as an archive, with what archives hold besides."""
    archive = tmp_path / "DukeMTMC-reID.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("../../evil.jpg", b"out")
        target.writestr("/bounding_box_test/0005_c1_f0000010.jpg", b"absolute")
        target.writestr("__MACOSX/DukeMTMC-reID/query/._a.jpg", b"")
        for path in sorted(duke.rglob("*")):
            target.write(path, f"DukeMTMC-reID/{path.relative_to(duke).as_posix()}")
    return archive


@pytest.fixture
def write_lists(tmp_path):
    """Write lists and return their folder and a row that expects them."""

    def write(**changed):
        folder = tmp_path / "lists"
        folder.mkdir(exist_ok=True)
        published, hashes = {}, {}
        for split, (inside,) in LAYOUT.splits.items():
            names = changed.get(split, NAMES[inside])
            data = "".join(f"{name}\n" for name in names).encode()
            (folder / f"{split}.list").write_bytes(data)
            people = {name.split("_")[0] for name in names}
            hashes[split] = hashlib.sha256(data).hexdigest()
            published[split] = Published(len(names), len(people))
        return folder, replace(LAYOUT, lists=hashes, published=published)

    return write


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def assert_complete(out):
    found = files(out)
    manifest = json.loads(found.pop("occluded_duke.json"))
    assert manifest["images"] == {folder: len(names) for folder, names in NAMES.items()}
    assert set(found) == {f"{folder}/{name}" for folder, names in NAMES.items() for name in names}
    for name, data in found.items():
        folder, base = name.split("/")
        origin = folder if base in DUKE[folder] else GALLERY
        assert data == picture(origin, base), name


@pytest.mark.parametrize("kind", ["folder", "above", "packed"])
def test_each_image_comes_from_its_own_folder_or_else_from_the_gallery(
    duke, packed, write_lists, tmp_path, kind
):
    lists, layout = write_lists()
    source = {"folder": duke, "above": duke.parent, "packed": packed}[kind]
    out = tmp_path / "new" / "Occluded_Duke"
    steps = []
    built = build_occluded_duke(
        source, lists, out, layout=layout, progress=lambda *step: steps.append(step)
    )
    assert_complete(out)
    assert (built.images, built.copied) == (8, 8) and steps[-1] == (8, 8)
    assert not (tmp_path / "evil.jpg").exists() and not list(tmp_path.rglob("evil.jpg"))


def test_archive_and_folder_build_the_same_bytes(duke, packed, write_lists, tmp_path):
    lists, layout = write_lists()
    first = build_occluded_duke(duke, lists, tmp_path / "a", layout=layout)
    second = build_occluded_duke(packed, lists, tmp_path / "b", layout=layout)
    assert first.sha256 == second.sha256
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_result_passes_the_check(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    build_occluded_duke(duke, lists, tmp_path / "Occluded_Duke", layout=layout)
    (target,) = find_targets(str(tmp_path / "Occluded_Duke"), "nowhere")
    assert target.name == "Occluded_Duke"
    report = check(replace(target, layout=replace(layout, cameras=5)))
    assert [finding.kind for finding in report.findings] == ["query in gallery"]
    assert "1 of 2 queries (50.0%)" in report.findings[0].sentence


def test_a_killed_build_goes_on_where_it_was(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    out = tmp_path / "out"

    def kill(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_occluded_duke(duke, lists, out, layout=layout, progress=kill)
    assert not (out / "occluded_duke.json").exists()
    (out / QUERY / f"{NAMES[QUERY][0]}.part").write_bytes(b"half")
    (out / ".occluded_duke.json.999999999.part").write_bytes(b"half")  # of a process that died
    kept = {name: (out / name).stat().st_mtime_ns for name in files(out) if name.endswith(".jpg")}
    built = build_occluded_duke(duke, lists, out, layout=layout)
    assert built.copied == 8 - len(kept) == 3
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept
    assert_complete(out)


def test_a_kill_while_writing_leaves_nothing_that_looks_whole(
    duke, write_lists, tmp_path, monkeypatch
):
    lists, layout = write_lists()

    def stop(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(occluded_duke_build, "inspect", stop)
    with pytest.raises(KeyboardInterrupt):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert set(files(tmp_path / "out")) == {"occluded_duke.started.json"}


def test_a_finished_folder_is_verified_and_left_as_it_is(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    first = build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    before = files(tmp_path / "out")
    second = build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert second.copied == 0 and second.sha256 == first.sha256
    assert files(tmp_path / "out") == before


def test_a_deleted_image_is_copied_again(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    (tmp_path / "out" / QUERY / NAMES[QUERY][1]).unlink()
    assert build_occluded_duke(duke, lists, tmp_path / "out", layout=layout).copied == 1
    assert_complete(tmp_path / "out")


def test_an_image_that_was_changed_is_named_and_not_overwritten(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    changed = tmp_path / "out" / QUERY / NAMES[QUERY][1]
    changed.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"0006_c2_f0000011.jpg: expected the same bytes as in"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert changed.read_bytes() == b"mine"


@pytest.mark.parametrize("foreign", ["notes.txt", f"{QUERY}/0001_c1_f0000001.jpg"])
def test_a_folder_of_something_else_is_refused_and_left_alone(duke, write_lists, tmp_path, foreign):
    lists, layout = write_lists()
    path = tmp_path / "out" / foreign
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"expected a new or empty folder.*something else"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert files(tmp_path / "out") == {foreign: b"mine"}


def test_a_foreign_file_in_a_begun_folder_is_named(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    (tmp_path / "out" / QUERY / "0009_c1_f0000001.jpg").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"query/0009_c1_f0000001.jpg does not belong there"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)


def test_a_finished_build_of_other_lists_is_refused(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    lists, layout = write_lists(train=NAMES[TRAIN][:2])
    with pytest.raises(ValueError, match="it holds another build"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert_complete(tmp_path / "out")


@pytest.mark.parametrize("damage", ["nothing", "no json", "[]"])
def test_a_damaged_marker_marks_nothing_as_ours(duke, write_lists, tmp_path, damage):
    lists, layout = write_lists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "occluded_duke.json").write_text(damage)
    with pytest.raises(ValueError, match="it holds another build"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)


def test_the_source_itself_cannot_be_built_into(duke, write_lists):
    lists, layout = write_lists()
    before = files(duke)
    with pytest.raises(ValueError, match="expected a new or empty folder"):
        build_occluded_duke(duke, lists, duke, layout=layout)
    assert files(duke) == before


def test_images_that_the_copy_lacks_are_counted_and_nothing_is_made(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    (duke / GALLERY / "0702_c8_f0000003.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"got none for 1 of 8, such as bounding_box_train/0702_c8_f0"
    ):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0, 300])
def test_a_broken_image_is_named_and_not_copied(duke, write_lists, tmp_path, keep):
    lists, layout = write_lists()
    broken = duke / TRAIN / "0001_c3_f0000002.jpg"
    broken.write_bytes(broken.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"bounding_box_train/0001_c3_f0000002.jpg is no sound"):
        build_occluded_duke(duke, lists, tmp_path / "out", layout=layout)
    assert not (tmp_path / "out" / TRAIN / broken.name).exists()
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_full_disk_is_said_before_anything_is_written(duke, write_lists, tmp_path, monkeypatch):
    lists, layout = write_lists()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1 << 20))
    with pytest.raises(OSError, match="expected 16 MiB of free disk, got 1"):
        build_occluded_duke(duke, lists, tmp_path / "deep" / "out", layout=layout)
    assert not (tmp_path / "deep").exists()


def test_another_list_than_the_published_one_is_refused_by_default(duke, write_lists, tmp_path):
    lists, _ = write_lists()
    with pytest.raises(
        ValueError, match=r"train.list: expected the published list with sha256 dadf"
    ):
        build_occluded_duke(duke, lists, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lists_that_git_gave_windows_line_ends_are_the_published_ones(write_lists):
    lists, layout = write_lists()
    for path in lists.glob("*.list"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_lists(lists, layout)[QUERY] == tuple(NAMES[QUERY])


def test_the_published_hashes_are_those_of_the_data_sets_row():
    assert tuple(LAYOUT.lists[split] for split in ("train", "query", "gallery")) == DIGESTS


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train": [*NAMES[TRAIN], NAMES[TRAIN][0]]}, "0001_c2_f0000001.jpg once, got it twice"),
        ({"train": [*NAMES[TRAIN], "0005_c7_f0000001.jpg"]}, "got identity 5 in both"),
        ({"gallery": NAMES[GALLERY][:2]}, "expected 0006_c2_f0000011.jpg's identity in gallery"),
        ({"train": ["../query/0001_c2_f0000001.jpg"]}, "expected names like 0001_c2_f0046182.jpg"),
        ({"train": ["..\\0001_c2_f0000001.jpg"]}, "expected names like 0001_c2_f0046182.jpg"),
        ({"train": ["/0001_c2_f0000001.jpg"]}, "expected names like 0001_c2_f0046182.jpg"),
        ({"train": ["0001.jpg"]}, "cannot read an identity and a camera"),
    ],
)
def test_lists_that_cannot_be_are_refused(write_lists, changed, message):
    lists, layout = write_lists(**changed)
    with pytest.raises(ValueError, match=message):
        read_lists(lists, layout)


def test_a_list_of_another_length_is_refused(write_lists):
    lists, layout = write_lists()
    layout = replace(layout, published={**layout.published, "train": Published(4, 2)})
    with pytest.raises(ValueError, match=r"expected {'images': 4, 'identities': 2}, got"):
        read_lists(lists, layout)


def test_a_file_in_place_of_the_lists_folder_says_what_is_expected(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FileNotFoundError, match=r"train.list is not there; expected"):
        read_lists(tmp_path / "file")


def test_a_missing_list_says_where_they_are_published(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train.list is not there.*lightas/Occluded-Duke"):
        read_lists(tmp_path)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda path: None, FileNotFoundError, "not there; expected a folder or a ZIP"),
        (lambda path: path.write_bytes(b"no archive"), ValueError, "or a damaged one"),
        (lambda path: path.mkdir(), FileNotFoundError, "found no bounding_box_test"),
        (
            lambda path: zipfile.ZipFile(path, "w").close(),
            FileNotFoundError,
            "found no bounding_box_test",
        ),
    ],
    ids=["nothing", "noise", "empty folder", "empty archive"],
)
def test_what_is_no_copy_of_duke_is_refused(write_lists, tmp_path, make, error, message):
    lists, layout = write_lists()
    make(tmp_path / "duke.zip")
    with pytest.raises(error, match=message):
        build_occluded_duke(tmp_path / "duke.zip", lists, tmp_path / "out", layout=layout)


def test_a_damaged_entry_of_an_archive_is_named(packed, write_lists, tmp_path):
    lists, layout = write_lists()
    wanted = picture(TRAIN, NAMES[TRAIN][1])
    data = packed.read_bytes()
    assert wanted in data
    packed.write_bytes(data.replace(wanted, wanted[:-9] + b"x" * 9))
    with pytest.raises(
        ValueError, match=r"DukeMTMC-reID/bounding_box_train/0001_c3.*cannot be read"
    ):
        build_occluded_duke(packed, lists, tmp_path / "out", layout=layout)


def test_an_archive_that_holds_a_name_twice_with_other_content_is_refused(
    packed, write_lists, tmp_path
):
    lists, layout = write_lists()
    with zipfile.ZipFile(packed, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(f"DukeMTMC-reID/{QUERY}/0006_c2_f0000011.jpg", b"other")
    with pytest.raises(ValueError, match="got two of it that differ"):
        build_occluded_duke(packed, lists, tmp_path / "out", layout=layout)


def test_an_entry_that_is_a_link_to_elsewhere_is_read_as_no_image(packed, write_lists, tmp_path):
    lists, layout = write_lists(train=["0003_c1_f0000001.jpg"])
    link = zipfile.ZipInfo(f"DukeMTMC-reID/{TRAIN}/0003_c1_f0000001.jpg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(ValueError, match=r"0003_c1_f0000001\.jpg is no sound image"):
        build_occluded_duke(packed, lists, tmp_path / "out", layout=layout)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]


def test_an_entry_that_would_unpack_to_far_more_than_an_image_is_refused(
    packed, write_lists, tmp_path
):
    lists, layout = write_lists(train=["0003_c1_f0000001.jpg"])
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"DukeMTMC-reID/{TRAIN}/0003_c1_f0000001.jpg", bytes(17 << 20))
    with pytest.raises(ValueError, match="expected an image, got 17,825,792 bytes"):
        build_occluded_duke(packed, lists, tmp_path / "out", layout=layout)


def test_what_is_said_first_names_the_withdrawal_and_a_way_without_duke():
    assert "withdrawn by its university in April 2019" in WITHDRAWN
    assert "SynthOcc, need no Duke image" in WITHDRAWN


def test_a_build_that_was_killed_at_any_moment_goes_on(kill_at, duke, write_lists, tmp_path):
    lists, layout = write_lists()
    for count in range(1, 120):
        out = tmp_path / f"killed{count}" / "Occluded_Duke"
        call = lambda out=out: build_occluded_duke(duke, lists, out, layout=layout)  # noqa: E731
        killed = kill_at(out, count, call)
        call()
        assert_complete(out)
        if not killed:
            return
    raise AssertionError("it never came to its end")


def test_a_planted_link_of_a_copy_is_not_followed(duke, write_lists, tmp_path):
    lists, layout = write_lists()
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    out = tmp_path / "out"
    (out / QUERY).mkdir(parents=True)
    (out / QUERY / f"{NAMES[QUERY][0]}.part").symlink_to(victim)
    with pytest.raises(ValueError, match="something else"):
        build_occluded_duke(duke, lists, out, layout=layout)
    assert victim.read_text() == "of somebody else"
