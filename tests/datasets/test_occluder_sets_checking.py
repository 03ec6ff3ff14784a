from __future__ import annotations

import shutil

import pytest
from PIL import Image

from fed_plugin.datasets.occluder_sets import check_set, write_set


@pytest.fixture
def folder(tmp_path, make_crop):
    crops = [make_crop(40, 60, seed) for seed in range(4)]
    return write_set(tmp_path / "set", crops, {"source": "a test", "licence": "none"})


def kinds(found):
    return sorted((one.name, one.kind) for one in found)


def test_a_set_as_it_was_written_has_no_problem(folder):
    check = check_set(folder)
    assert len(check.crops) == 4 and not check.problems and not check.warnings


def test_missing_changed_unlisted_and_broken_files_are_told_apart(folder, texture):
    names = sorted(path.name for path in folder.glob("*.png"))
    (folder / names[0]).unlink()
    Image.fromarray(texture(40, 60, 77)).save(folder / names[1])
    (folder / names[2]).write_bytes((folder / names[2]).read_bytes()[:90])
    Image.fromarray(texture(40, 60, 78)).save(folder / "new.jpg")
    check = check_set(folder)
    assert kinds(check.problems) == sorted(
        [
            *((names[0], "missing"), (names[1], "changed")),
            *((names[2], "broken"), ("new.jpg", "unlisted")),
        ]
    )


def test_a_file_saved_again_with_the_same_pixels_counts_as_changed(folder):
    path = next(folder.glob("*.png"))
    Image.open(path).copy().save(path, compress_level=0)
    assert kinds(check_set(folder).problems) == [(path.name, "changed")]


def test_equal_files_are_a_problem_and_look_alikes_a_warning(folder):
    path = min(folder.glob("*.png"))
    shutil.copy(path, folder / "x.png")
    Image.open(path).convert("RGB").save(folder / "y.jpg", quality=60)
    (folder / "manifest.json").unlink()
    check = check_set(folder)
    assert check.manifest is None
    assert kinds(check.problems) == [("x.png", "duplicate")]
    assert kinds(check.warnings) == [("y.jpg", "near duplicate")]


def test_what_training_passes_over_is_named(folder):
    (folder / "a.heic").write_bytes(b"")
    (folder / "sub").mkdir()
    (folder / "manifest.json").unlink()
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    check = check_set(folder)
    assert kinds(check.warnings) == [
        *(("a.heic", "not used"), ("dot.png", "unfit"), ("sub", "not used")),
    ]
    assert not check.problems


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no such folder; expected a folder of occluder crops"
    ):
        check_set(tmp_path / "gone")
