from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.findings import list_hash
from fed_plugin.datasets.image_facts import FactsCache
from fed_plugin.datasets.splits import Published, read_splits

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"


def one(report, kind):
    """Return the only finding of a kind."""
    (found,) = [finding for finding in report.findings if finding.kind == kind]
    return found


def changed(target, **values):
    """Return a target with another row."""
    return replace(target, layout=replace(target.layout, **values))


def names(finding):
    return [tuple(os.path.basename(path) for path in files) for files in finding.files]


def test_nothing_is_found_in_a_sound_data_set(duke, report_of):
    report = report_of(duke)
    assert report.findings == () and report.errors == 0
    counts = [(row.split, row.images, row.identities, row.cameras) for row in report.splits]
    assert counts == [("train", 3, 2, 3), ("query", 2, 2, 2), ("gallery", 3, 3, 3)]
    assert {(row.width, row.height) for row in report.splits} == {(32, 64)}


def test_the_folder_is_left_as_it_was_and_may_be_read_only(duke, report_of, tmp_path):
    def state():
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(duke.rglob("*"))
        }

    before = state()
    folders = [duke, *(path for path in duke.iterdir() if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with_cache = report_of(duke, cache=FactsCache(tmp_path / "cache.sqlite"))
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert with_cache.findings == () and state() == before


def test_a_file_with_a_strange_name_makes_no_gallery_image_one_of_the_queries_camera(
    tmp_path, draw_tree, occluded_reid_files, told
):
    root = draw_tree(tmp_path, *(f"Occluded_REID/{name}" for name in occluded_reid_files))
    folder = os.path.join(root, "Occluded_REID")
    assert ("error", "unanswered") not in told(folder)
    draw_tree(tmp_path, "Occluded_REID/whole_body_images/001/copy.tif")
    found = told(folder)
    assert any(severity == "error" for severity, _ in found)
    assert ("error", "unanswered") not in found


def test_counts_that_are_not_the_published_ones_are_errors(duke):
    (target,) = find_targets(str(duke), "nowhere")
    published = {
        "train": Published(3, 2),
        "query": Published(3, 2),
        "gallery": Published(3, None),
    }
    report = check(changed(target, published=published, lists={}))
    assert one(report, "count").sentence.startswith("query: 2 images instead of 3: not the publ")
    assert one(report, "cameras").sentence == "4 cameras instead of 8"
    assert report.errors == 1
    rows = [(row.published_images, row.published_identities) for row in report.splits]
    assert rows == [(3, 2), (3, 2), (3, None)]


def test_other_file_names_than_the_published_are_errors(duke):
    (target,) = find_targets(str(duke), "nowhere")
    here = {row.split: row.list_sha256 for row in check(target).splits}
    (duke / QUERY / "0005_c1_f0000004.jpg").rename(duke / QUERY / "0005_c1_f0000044.jpg")
    published = {"train": Published(3), "query": Published(2), "gallery": Published(3)}
    report = check(changed(target, published=published, cameras=0, lists=here))
    assert [(found.severity, found.kind) for found in report.findings] == [("error", "list")]
    assert report.findings[0].sentence.startswith("query: as many images as published, but other")


def test_the_published_counts_of_a_known_data_set_are_those_compared_with(duke):
    (target,) = find_targets(str(duke), "nowhere")
    found = [f.sentence for f in check(target).findings if f.kind == "count"]
    assert len(found) == 3
    assert "3 images instead of 15,618 and 2 identities instead of 702" in found[0]


def test_the_hash_of_a_file_list_is_that_of_its_sorted_base_names(duke, report_of):
    listed = sorted(path.name for path in (duke / GALLERY).iterdir())
    expected = hashlib.sha256("".join(f"{name}\n" for name in listed).encode()).hexdigest()
    assert report_of(duke).splits[2].list_sha256 == expected
    assert list_hash(f"/elsewhere/{name}" for name in reversed(listed)) == expected


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs a Unix shell")
def test_a_shell_computes_the_same_hash_of_a_file_list(duke, report_of):
    command = f"ls -U '{duke / QUERY}' | LC_ALL=C sort | sha256sum"
    shell = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert shell.stdout.split()[0] == report_of(duke).splits[1].list_sha256


@pytest.mark.parametrize("workers", [1, 2])
def test_unreadable_images_are_named_with_their_reason(duke, report_of, workers):
    broken = duke / GALLERY / "7139_c8_f0000008.jpg"
    broken.write_bytes(broken.read_bytes()[:-20])
    (duke / QUERY / "0005_c1_f0000004.jpg").write_bytes(b"")
    report = report_of(duke, workers=workers)
    found = {f.sentence: names(f) for f in report.findings if f.kind == "unreadable"}
    assert found == {
        "query: 1 images cannot be read, (empty file)": [("0005_c1_f0000004.jpg",)],
        next(s for s in found if s.startswith("gallery")): [("7139_c8_f0000008.jpg",)],
    }
    assert report.errors == 2


def test_a_broken_link_is_named_and_the_others_are_counted(duke, report_of):
    (duke / QUERY / "0007_c1_f0000009.jpg").symlink_to("/mnt/gone/0007_c1_f0000009.jpg")
    report = report_of(duke)
    assert names(one(report, "unreadable")) == [("0007_c1_f0000009.jpg",)]
    assert "broken link to /mnt/gone" in one(report, "unreadable").sentence
    assert "0007_c1_f0000009.jpg" in one(report, "listing").sentence
    assert [row.images for row in report.splits] == [3, 3, 3]


def test_images_of_another_size_than_the_rest_are_named(duke, report_of, picture):
    picture("wide", (20_000, 64)).save(duke / TRAIN / "0003_c1_f0000010.jpg")
    picture("large", (320, 640)).save(duke / TRAIN / "0003_c1_f0000011.jpg")
    picture("dot", (1, 1)).save(duke / TRAIN / "0003_c1_f0000012.jpg")
    picture("usual", (60, 100)).save(duke / TRAIN / "0003_c1_f0000013.jpg")
    found = {f.sentence: names(f) for f in report_of(duke).findings}
    assert found == {
        "train: 1 images have a side below 8 pixels": [("0003_c1_f0000012.jpg",)],
        "train: 1 images have a side above 8192 pixels": [("0003_c1_f0000010.jpg",)],
        "train: 1 images are 8 times larger or smaller than most, which are about 32 x 64": [
            ("0003_c1_f0000011.jpg",)
        ],
    }


def test_rare_kinds_are_counted(duke, told, report_of, picture):
    picture("a").quantize(8).save(duke / TRAIN / "0003_c1_f0000010.png")
    picture("b").convert("CMYK").save(duke / TRAIN / "0003_c1_f0000011.jpg")
    levels = np.random.default_rng(0).integers(0, 1 << 16, (64, 32), dtype=np.uint16)
    Image.fromarray(levels).save(duke / TRAIN / "0003_c1_f0000012.png")
    picture("d").save(
        duke / TRAIN / "0003_c1_f0000013.png", save_all=True, append_images=[picture("e")]
    )
    found = {finding.kind: names(finding) for finding in report_of(duke).findings}
    assert found == {
        "palette": [("0003_c1_f0000010.png",)],
        "CMYK": [("0003_c1_f0000011.jpg",)],
        "16-bit": [("0003_c1_f0000012.png",)],
        "several frames": [("0003_c1_f0000013.png",)],
    }
    assert ("warning", "several frames") in told(duke) and ("note", "CMYK") in told(duke)


def copy(duke, source, target):
    shutil.copy(duke / source, duke / target)


def test_a_query_that_is_a_gallery_image_of_its_camera_is_a_note(duke, report_of):
    copy(duke, f"{QUERY}/0005_c1_f0000004.jpg", f"{GALLERY}/0005_c1_f0000004.jpg")
    report = report_of(duke)
    assert [(f.severity, f.kind) for f in report.findings] == [("note", "query in gallery")]
    assert "1 of 2 queries (50.0%)" in report.findings[0].sentence
    assert names(report.findings[0]) == [("0005_c1_f0000004.jpg", "0005_c1_f0000004.jpg")]


@pytest.mark.parametrize("name", ["0005_c3_f0000009.jpg", "0008_c1_f0000009.jpg"])
def test_a_query_that_is_a_gallery_image_of_another_id_or_camera_is_a_leak(duke, report_of, name):
    copy(duke, f"{QUERY}/0005_c1_f0000004.jpg", f"{GALLERY}/{name}")
    report = report_of(duke)
    assert [(f.severity, f.kind) for f in report.findings] == [("error", "leak")]
    assert names(report.findings[0]) == [("0005_c1_f0000004.jpg", name)]


def test_without_cameras_a_query_in_the_gallery_is_a_leak(tmp_path, picture, report_of):
    folder = tmp_path / "Occluded_REID"
    for split in ("occluded_body_images", "whole_body_images"):
        (folder / split / "001").mkdir(parents=True)
        picture("same").save(folder / split / "001" / "001_01.tif")
    report = report_of(folder)
    assert one(report, "leak").severity == "error"
    assert {row.cameras for row in report.splits} == {0}


@pytest.mark.parametrize("split", [QUERY, GALLERY])
def test_a_training_image_in_the_test_set_is_a_leak(duke, report_of, split):
    name = "0006_c2_f0000005.jpg" if split == QUERY else "0006_c1_f0000007.jpg"
    copy(duke, f"{split}/{name}", f"{TRAIN}/0002_c3_f0000099.jpg")
    report = report_of(duke)
    assert [(f.severity, f.kind) for f in report.findings] == [("error", "leak")]
    assert names(report.findings[0]) == [("0002_c3_f0000099.jpg", name)]


def again_encoded(duke, source, target):
    with Image.open(duke / source) as image:
        image.resize((48, 96)).save(duke / target, quality=70)


def test_a_re_encoded_training_image_in_the_test_set_is_a_warning(duke, report_of):
    again_encoded(duke, f"{TRAIN}/0001_c1_f0000001.jpg", f"{GALLERY}/7000_c3_f0000009.jpg")
    report = report_of(duke)
    assert [(f.severity, f.kind) for f in report.findings] == [("warning", "look-alike")]
    assert names(report.findings[0]) == [("0001_c1_f0000001.jpg", "7000_c3_f0000009.jpg")]


def test_a_re_encoded_query_in_the_gallery_is_a_warning_unless_its_camera_is_removed(
    duke, report_of, told
):
    query = f"{QUERY}/0005_c1_f0000004.jpg"
    again_encoded(duke, query, f"{GALLERY}/0005_c1_f0000009.jpg")
    assert told(duke) == []
    again_encoded(duke, query, f"{GALLERY}/0008_c1_f0000009.jpg")
    found = one(report_of(duke), "look-alike")
    assert names(found) == [("0005_c1_f0000004.jpg", "0008_c1_f0000009.jpg")]


def test_pictures_of_one_shape_in_other_colors_are_not_alike(duke, told):
    with Image.open(duke / TRAIN / "0001_c1_f0000001.jpg") as image:
        levels = np.asarray(image).astype(int) // 2 + 60
    same_grey = levels + (39, -20, 0)
    Image.fromarray(levels.astype(np.uint8)).save(duke / TRAIN / "0001_c1_f0000080.png")
    Image.fromarray(same_grey.astype(np.uint8)).save(duke / GALLERY / "7000_c3_f0000081.png")
    assert told(duke) == []
    Image.fromarray((levels + 2).astype(np.uint8)).save(duke / GALLERY / "7000_c3_f0000082.png")
    assert told(duke) == [("warning", "look-alike")]


def test_copies_within_a_split_are_warnings(duke, report_of):
    copy(duke, f"{TRAIN}/0001_c1_f0000001.jpg", f"{TRAIN}/0001_c1_f0000050.jpg")
    copy(duke, f"{TRAIN}/0001_c1_f0000001.jpg", f"{TRAIN}/0002_c1_f0000051.jpg")
    report = report_of(duke)
    assert names(one(report, "copies")) == [("0001_c1_f0000001.jpg", "0001_c1_f0000050.jpg")]
    found = one(report, "two identities")
    assert names(found) == [("0001_c1_f0000001.jpg", "0002_c1_f0000051.jpg")]
    assert report.errors == 0


def test_broken_and_flat_images_are_no_copies_of_each_other(duke, told):
    for split in (TRAIN, GALLERY):
        (duke / split / f"{'0001' if split == TRAIN else '0006'}_c2_f0000051.jpg").write_bytes(b"")
        Image.new("RGB", (32, 64), 9).save(
            duke / split / "7000_c2_f0000052.jpg", quality=50 + len(split)
        )
    assert "look-alike" not in dict(map(reversed, told(duke)))
    assert ("error", "leak") not in told(duke)


def test_queries_without_a_right_answer_are_warnings(duke, report_of, picture):
    picture("new").save(duke / QUERY / "0099_c1_f0000060.jpg")
    picture("newer").save(duke / QUERY / "7139_c8_f0000061.jpg")
    found = [f for f in report_of(duke).findings if f.kind == "unanswered"]
    assert [(f.severity, names(f)) for f in found] == [
        ("warning", [("0099_c1_f0000060.jpg",)]),
        ("warning", [("7139_c8_f0000061.jpg",)]),
    ]
    assert "1 of 4 images whose identity is not in the gallery" in found[0].sentence
    assert "from the query's camera alone: evaluation leaves them out" in found[1].sentence


def test_if_no_query_has_a_right_answer_nothing_can_be_evaluated(duke, report_of, picture):
    shutil.rmtree(duke / QUERY)
    (duke / QUERY).mkdir()
    picture("new").save(duke / QUERY / "0099_c1_f0000060.jpg")
    found = one(report_of(duke), "unanswered")
    assert found.severity == "error" and "nothing can be evaluated" in found.sentence


def test_one_identity_is_nothing_to_learn_from(duke, report_of):
    (duke / TRAIN / "0002_c3_f0000003.jpg").unlink()
    assert one(report_of(duke), "identities").severity == "error"


def test_an_identity_in_train_and_test_is_a_warning(duke, report_of, picture):
    picture("new").save(duke / TRAIN / "0006_c2_f0000060.jpg")
    found = one(report_of(duke), "identities")
    assert found.severity == "warning"
    assert found.sentence.startswith("1 identities are in train and in query or gallery, such as 6")


def test_passed_over_files_are_named_pictures_apart(duke, report_of, picture):
    (duke / QUERY / "readme.txt").write_text("")
    (duke / QUERY / "Thumbs.db").write_text("")
    (duke / QUERY / "empty").mkdir()
    (duke / QUERY / "0005_c3_f0000060.heic").write_bytes(b"")
    (duke / TRAIN / "deeper").mkdir()
    picture("new").save(duke / TRAIN / "deeper" / "0001_c3_f0000061.jpg")
    found = {f.severity: f for f in report_of(duke).findings}
    assert sorted(names(found["warning"])) == [
        ("0001_c3_f0000061.jpg",),
        ("0005_c3_f0000060.heic",),
    ]
    assert [os.path.relpath(path, duke) for (path,) in found["note"].files] == [
        "query/Thumbs.db",
        "query/empty",
        "query/readme.txt",
    ]


def test_every_image_whose_name_tells_nobody_is_named(duke, report_of, picture):
    for name in ("holiday.jpg", "me_and_you.jpg"):
        picture(name).save(duke / TRAIN / name)
    report = report_of(duke)
    assert names(one(report, "name")) == [("holiday.jpg",), ("me_and_you.jpg",)]
    assert one(report, "listing").severity == "error" and report.splits[0].images == 3


def test_detections_of_nobody_are_counted(tmp_path, picture, report_of):
    folder = tmp_path / "Market-1501-v15.09.15"
    listed = {TRAIN: "0002_c1s1_000001_01.jpg", QUERY: "0003_c1s1_000002_01.jpg"}
    listed[GALLERY] = "0003_c2s1_000003_01.jpg"
    for split, name in listed.items():
        (folder / split).mkdir(parents=True)
        picture(name).save(folder / split / name)
    picture("other").save(folder / TRAIN / "0007_c1s1_000001_01.jpg")
    picture("nobody").save(folder / GALLERY / "-1_c1s1_000001_01.jpg")
    picture("distractor").save(folder / GALLERY / "0000_c1s1_000001_01.jpg")
    report = report_of(folder)
    assert names(one(report, "junk")) == [("-1_c1s1_000001_01.jpg",)]
    assert (report.splits[2].images, report.splits[2].identities) == (2, 1)


def test_an_empty_split_is_an_error_and_the_others_are_checked(duke, report_of):
    for path in (duke / QUERY).iterdir():
        path.unlink()
    report = report_of(duke)
    assert "no query image in" in one(report, "listing").sentence
    assert [row.images for row in report.splits] == [3, 0, 3]


def test_a_missing_split_is_an_error_and_the_others_are_checked(duke, report_of):
    shutil.rmtree(duke / GALLERY)
    report = report_of(duke)
    assert "no gallery folder in" in one(report, "listing").sentence
    assert [row.images for row in report.splits] == [3, 2, 0]


def test_a_folder_that_may_not_be_read_is_an_error(duke, report_of, monkeypatch):
    real = os.scandir

    def refuse(path):
        if str(path).endswith(QUERY):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = report_of(duke)
    assert "Permission denied" in one(report, "listing").sentence
    assert [row.images for row in report.splits] == [3, 0, 3]
    assert (str(duke / QUERY) + "/",) in one(report, "passed over").files


def test_two_files_of_one_image_are_an_error_that_names_them(duke, report_of):
    with Image.open(duke / QUERY / "0005_c1_f0000004.jpg") as image:
        image.save(duke / QUERY / "0005_c1_f0000004.png")
    report = report_of(duke)
    assert "got two of one name" in one(report, "listing").sentence
    assert report.splits[1].images == 3


def test_fast_believes_headers_and_says_so(duke, told, report_of):
    broken = duke / QUERY / "0005_c1_f0000004.jpg"
    broken.write_bytes(broken.read_bytes()[:-20])
    assert told(duke, decode=False) == [("note", "fast")]
    assert ("error", "unreadable") in told(duke)
    assert not report_of(duke, decode=False).decoded


def test_a_second_check_reads_no_file_and_finds_the_same(duke, report_of, tmp_path):
    cache = FactsCache(tmp_path / "cache.sqlite")
    first, second = (report_of(duke, cache=cache) for _ in range(2))
    assert (first.inspected, second.inspected, second.images) == (8, 0, 8)
    assert first.findings == second.findings and first.splits == second.splits
    cache.close()


def test_what_is_checked_is_what_training_reads(duke):
    (target,) = find_targets(str(duke), "nowhere")
    from fed_plugin.datasets import LAYOUTS

    splits = read_splits(LAYOUTS["Occluded_Duke"], str(duke.parent))
    listed = {listing.split: listing.items for listing in target.list_files()}
    assert listed == {"train": splits.train, "query": splits.query, "gallery": splits.gallery}


def test_the_report_is_json(duke, report_of):
    (duke / QUERY / "0005_c1_f0000004.jpg").write_bytes(b"")
    held = json.loads(json.dumps(report_of(duke).to_json()))
    assert held["dataset"] == "Occluded_Duke" and held["splits"][0]["images"] == 3
    assert held["findings"][0]["files"] == [[str(duke / QUERY / "0005_c1_f0000004.jpg")]]


CONTENTS = st.sampled_from(["sound", "cut", "zeros", "noise", "cmyk", "16-bit", "dot", "frames"])


def written(kind, image):
    """Return the bytes of a file of some kind."""
    memory = io.BytesIO()
    if kind == "16-bit":
        Image.fromarray(np.asarray(image)[..., 0].astype(np.uint16) * 257).save(memory, "PNG")
    elif kind == "frames":
        image.save(memory, "PNG", save_all=True, append_images=[image.rotate(180)])
    elif kind == "dot":
        image.resize((1, 1)).save(memory, "PNG")
    else:
        image.convert("CMYK" if kind == "cmyk" else "RGB").save(memory, "JPEG")
    data = memory.getvalue()
    return {"cut": data[:-30], "zeros": bytes(100), "noise": b"noise"}.get(kind, data)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from([TRAIN, QUERY, GALLERY, f"{QUERY}/deep", "."]),
            st.sampled_from(["0001_c1_f1", "0001_c2_f2", "-1_c1_f1", "junk", "0009_c0_f1", ".a"]),
            st.sampled_from([".jpg", ".png", ".PNG", ".txt", ".webp", ""]),
        ),
        CONTENTS,
        max_size=12,
    )
)
def test_whatever_lies_there_every_file_of_a_split_is_counted_somewhere(
    tmp_path_factory, picture, report_of, tree
):
    folder = tmp_path_factory.mktemp("any") / "Occluded_Duke"
    for split in (TRAIN, QUERY, GALLERY):
        (folder / split).mkdir(parents=True)
    for (where, stem, suffix), kind in tree.items():
        path = folder / where / f"{stem}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written(kind, picture(path.name)))
    report = report_of(folder)
    named = {
        path
        for finding in report.findings
        if finding.kind in ("name", "junk", "passed over")
        for files in finding.files
        for path in files
    }
    below = [path for split in (TRAIN, QUERY, GALLERY) for path in (folder / split).rglob("*")]
    files = {str(path) for path in below if path.is_file()}
    images = sum(row.images for row in report.splits)
    assert images + len(named & files) == len(files)
    broken = {path for f in report.findings if f.kind == "unreadable" for (path,) in f.files}
    for (where, stem, suffix), kind in tree.items():
        path = str(folder / where / f"{stem}{suffix}")
        if kind in ("cut", "zeros", "noise") and path in files - named:
            assert path in broken
