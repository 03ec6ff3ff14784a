"""A split that training refuses is listed all the same: every file and every empty folder."""

from __future__ import annotations

from fed_plugin.datasets.check import find_targets


def test_a_refused_split_names_empty_folders_too(tmp_path, draw_tree):
    root = draw_tree(
        tmp_path,
        "Occluded_REID/occluded_body_images/001/001_01.tif",
        "Occluded_REID/occluded_body_images/001/nameless.tif",
        "Occluded_REID/whole_body_images/001/001_01.tif",
    )
    (tmp_path / "Occluded_REID" / "occluded_body_images" / "x.jpg").mkdir()
    (target,) = find_targets("Occluded_REID", root)
    query, gallery = target.list_files()
    assert query.problem and "nameless" in query.problem
    assert [path.rsplit("/", 1)[1] for path in query.unnamed] == ["nameless.tif"]
    assert [path.split("/")[-2:] for path in query.passed_over] == [["x.jpg", ""]]
    assert len(query.items) == 1 and not gallery.problem
