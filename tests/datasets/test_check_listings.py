"""A split that training refuses is listed all the same: every file and every empty folder."""

from __future__ import annotations

from fed_plugin.datasets import LAYOUTS
from fed_plugin.datasets.check import list_layout


def test_a_refused_split_names_empty_folders_too(tmp_path, draw_tree):
    root = draw_tree(
        tmp_path,
        "Occluded_REID/occluded_body_images/001/001_01.tif",
        "Occluded_REID/occluded_body_images/001/nameless.tif",
        "Occluded_REID/whole_body_images/001/001_01.tif",
    )
    (tmp_path / "Occluded_REID" / "occluded_body_images" / "x.jpg").mkdir()
    query, gallery = list_layout(LAYOUTS["Occluded_REID"], root)
    assert query.problem and "nameless" in query.problem
    assert [path.rsplit("/", 1)[1] for path in query.unnamed] == ["nameless.tif"]
    assert [path.split("/")[-2:] for path in query.passed_over] == [["x.jpg", ""]]
    assert len(query.items) == 1 and not gallery.problem
