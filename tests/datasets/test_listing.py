from __future__ import annotations

import logging
import os

import pytest

from fed_plugin.datasets.listing import list_images


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
    (tmp_path / "b.webp").write_bytes(b"")
    (tmp_path / "readme.txt").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert base_names(list_images(str(tmp_path))) == ["a.jpg"]
    assert len(caplog.records) == 1
    assert "passed over 2 that are no images" in caplog.text and "b.webp" in caplog.text


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
