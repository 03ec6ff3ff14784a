from __future__ import annotations

import logging
import os

import pytest

from fed_plugin.datasets.listing import printable, scan_folder, warn_of_passed_over


def list_images(folder, nested=False):
    scan = scan_folder(folder, nested=nested)
    warn_of_passed_over(folder, scan.passed_over, logging.getLogger(__name__))
    return scan.images


def base_names(paths):
    return [os.path.basename(path) for path in paths]


def test_the_order_is_that_of_the_names_whatever_the_file_system_says(
    tmp_path, draw_tree, monkeypatch
):
    draw_tree(tmp_path, "b_2.jpg", "a_1.jpg", "c_3.jpg", "B_4.jpg")
    in_order = ["B_4.jpg", "a_1.jpg", "b_2.jpg", "c_3.jpg"]
    assert base_names(list_images(str(tmp_path))) == in_order
    real = os.scandir

    class Backwards:
        def __init__(self, folder):
            with real(folder) as entries:
                self.entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", Backwards)
    assert base_names(list_images(str(tmp_path))) == in_order


def test_images_of_every_suffix_are_found_in_any_case(tmp_path, draw_tree):
    names = ["a.JPG", "b.jpeg", "c.png", "d.TIF", "e.tiff", "f.Bmp", "g.jpg"]
    draw_tree(tmp_path, *names)
    assert base_names(list_images(str(tmp_path))) == names


def test_what_file_managers_leave_is_passed_over_without_a_line(tmp_path, draw_tree, caplog):
    draw_tree(tmp_path, "a.jpg", "._a.jpg")
    for clutter in (".DS_Store", "Thumbs.db", "thumbs.DB", "desktop.ini"):
        (tmp_path / clutter).write_bytes(b"")
    assert base_names(list_images(str(tmp_path), nested=True)) == ["a.jpg"]
    assert caplog.records == []


def test_other_files_are_passed_over_with_one_warning(tmp_path, draw_tree, caplog):
    draw_tree(tmp_path, "a.jpg")
    (tmp_path / "b.heic").write_bytes(b"")
    (tmp_path / "readme.txt").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert base_names(list_images(str(tmp_path))) == ["a.jpg"]
    assert len(caplog.records) == 1
    assert "passed over 2 that are no images" in caplog.text and "b.heic" in caplog.text


def test_subfolders_are_listed_only_where_the_layout_nests(tmp_path, draw_tree):
    draw_tree(tmp_path, "b.jpg", "002/a.jpg", "001/c.jpg", "001/deep/d.jpg")
    assert base_names(list_images(str(tmp_path))) == ["b.jpg"]
    assert base_names(list_images(str(tmp_path), nested=True)) == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("copy", ["001_01.jpg", "001/001_01.tif"])
def test_a_converted_or_flattened_copy_beside_the_original_is_refused(tmp_path, draw_tree, copy):
    draw_tree(tmp_path, "001_01.tif", copy)
    with pytest.raises(ValueError, match="got two of one name; try moving the copies") as caught:
        list_images(str(tmp_path), nested=True)
    assert str(tmp_path / copy) in str(caught.value)


def test_a_scan_names_every_file_that_is_no_image(tmp_path, draw_tree):
    images = ["b.jpg", "001/a.jpg"]
    others = ["a.txt", ".b.jpg", "Thumbs.db", "001/c.heic", "001/deep/d.jpg", ".git/e.jpg", "f"]
    draw_tree(tmp_path, *images)
    for other in others:
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(b"")
    (tmp_path / "002").mkdir()
    (tmp_path / "001" / "none").mkdir()
    scan = scan_folder(str(tmp_path), nested=True)
    assert scan.images == [str(tmp_path / "001" / "a.jpg"), str(tmp_path / "b.jpg")]
    empty = [f"{tmp_path}/001/none/", f"{tmp_path}/002/"]
    assert scan.passed_over == sorted([*(str(tmp_path / other) for other in others), *empty])
    flat = scan_folder(str(tmp_path))
    assert flat.images == [str(tmp_path / "b.jpg")]
    assert flat.passed_over == sorted([*scan.passed_over, str(tmp_path / "001" / "a.jpg")])


def test_the_warning_counts_all_and_names_the_first_few(tmp_path, draw_tree, caplog):
    draw_tree(tmp_path, "a.jpg")
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(b"")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        list_images(str(tmp_path))
    assert "passed over 6" in caplog.text
    assert caplog.text.rstrip().endswith(": .hidden.jpg, 0.txt, 1.txt and 3 more")


def test_linked_images_and_linked_identity_folders_are_followed(tmp_path, draw_tree):
    draw_tree(tmp_path / "disk", "a.jpg", "002/b.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "c.jpg").symlink_to(tmp_path / "disk" / "a.jpg")
    (tmp_path / "set" / "002").symlink_to(tmp_path / "disk" / "002")
    scan = scan_folder(str(tmp_path / "set"), nested=True)
    assert base_names(scan.images) == ["b.jpg", "c.jpg"] and scan.passed_over == []


def test_links_to_folders_that_are_passed_over_are_named_and_not_followed(tmp_path, draw_tree):
    draw_tree(tmp_path, "001/a.jpg")
    (tmp_path / "001" / "round").symlink_to(tmp_path)
    (tmp_path / "all").symlink_to(tmp_path)
    nested = scan_folder(str(tmp_path / "001"), nested=True)
    assert base_names(nested.images) == ["a.jpg"]
    assert scan_folder(str(tmp_path)).passed_over == [
        str(tmp_path / "001" / "a.jpg"),
        str(tmp_path / "001" / "round"),
        str(tmp_path / "all"),
    ]


def test_an_image_that_is_a_link_to_nowhere_is_refused_by_name(tmp_path, draw_tree):
    draw_tree(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to("/mnt/disk/b.jpg")
    message = r"b\.jpg: expected an image, got a link to /mnt/disk/b\.jpg, which is not there"
    with pytest.raises(FileNotFoundError, match=message):
        scan_folder(str(tmp_path))


def test_an_image_that_is_a_link_to_itself_is_refused_by_name(tmp_path):
    (tmp_path / "b.jpg").symlink_to("b.jpg")
    with pytest.raises(FileNotFoundError, match=r"got a link to b\.jpg, which is not there"):
        scan_folder(str(tmp_path))


def test_a_pipe_is_not_waited_for(tmp_path, draw_tree):
    draw_tree(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "b.jpg")
    scan = scan_folder(str(tmp_path))
    assert base_names(scan.images) == ["a.jpg"] and base_names(scan.passed_over) == ["b.jpg"]


def test_a_folder_that_may_hold_images_and_cannot_be_read_is_refused(
    tmp_path, draw_tree, monkeypatch
):
    draw_tree(tmp_path, "a.jpg", "001/b.jpg")
    real = os.scandir  # root reads everything: permissions alone would not do in a container

    def scandir(folder):
        if os.path.basename(folder) == "001":
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match=r"001: expected a folder that can be read, got Perm"):
        scan_folder(str(tmp_path), nested=True)
    flat = scan_folder(str(tmp_path))
    assert flat.passed_over == [f"{tmp_path}/001/"]


def test_names_that_no_terminal_shows_are_listed_and_logged(tmp_path, draw_tree, caplog):
    odd = ["caf\udce9.jpg", "two\nlines.jpg", "tab\t.jpg"]
    for name in [*odd, "caf\udce9.txt"]:
        (tmp_path / name).write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert base_names(list_images(str(tmp_path))) == sorted(odd)
    assert "caf\\udce9.txt" in caplog.text
    caplog.text.encode("utf-8")
    assert printable("a\nb\tc\u202ed\udce9") == "a\\nb\\tc\\u202ed\\udce9"


def test_a_scan_that_is_not_strict_names_every_problem_and_loses_no_file(tmp_path, draw_tree):
    draw_tree(tmp_path, "a.jpg", "a.png", "b.jpg", "c/b.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    scan = scan_folder(str(tmp_path), nested=True, strict=False)
    names = [os.path.relpath(path, tmp_path) for path in scan.images]
    assert sorted(names) == ["a.jpg", "a.png", "b.jpg", "c/b.jpg", "gone.jpg"]
    kinds = [type(problem) for problem in scan.problems]
    assert kinds == [FileNotFoundError, ValueError, ValueError]
    with pytest.raises(FileNotFoundError, match="got a link to nowhere"):
        scan_folder(str(tmp_path), nested=True)
