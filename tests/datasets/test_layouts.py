from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from fed_plugin import datasets
from fed_plugin.datasets import LAYOUTS, Layout, Published, list_split, occluded_duke, read_splits
from fed_plugin.datasets.check import check, find_targets
from fed_plugin.datasets.findings import list_hash
from fed_plugin.datasets.layouts import table_of_data_sets
from fed_plugin.datasets.splits import NameRule

DATA_PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def below(folder, files):
    return [f"{folder}/{file}" for file in files]


def test_a_missing_dataset_is_told_with_the_tree_expected_and_what_was_found(tmp_path, draw_tree):
    root = draw_tree(tmp_path, "Market-1501-v15.09.15/query/0002_c1s1_000451_03.jpg", "photo.jpg")
    with pytest.raises(FileNotFoundError) as caught:
        occluded_duke(root)
    lines = str(caught.value).splitlines()
    assert lines[:9] == [
        f"Occluded_Duke (DATASETS.NAMES, DATASETS.TESTS): not in {root}",
        "expected:",
        f"  {root}/",
        "    Occluded_Duke/ or Occluded-DukeMTMC-reID/ or Occluded_DukeMTMC/",
        "      bounding_box_train/  (train: 0001_c2_f0046182.jpg and so on)",
        "      query/  (query: 0001_c2_f0046182.jpg and so on)",
        "      bounding_box_test/  (gallery: 0001_c2_f0046182.jpg and so on)",
        "found:",
        f"  {root}/",
    ]
    assert lines[9:11] == ["    Market-1501-v15.09.15/  (folders: 1, files: 0)", "    photo.jpg"]
    assert "FASTREID_DATASETS" in lines[11] and repr(root) in lines[11]


def test_a_root_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found:\n  .*nowhere is not there\n"):
        occluded_duke(str(tmp_path / "nowhere"))


def test_a_root_that_is_a_file_is_told_as_such(tmp_path, draw_tree):
    draw_tree(tmp_path, "datasets.jpg")
    with pytest.raises(FileNotFoundError, match=r"datasets\.jpg is a file\n"):
        occluded_duke(str(tmp_path / "datasets.jpg"))


def test_an_empty_root_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\(nothing\)"):
        occluded_duke(str(tmp_path))


def test_a_full_root_is_not_printed_whole(tmp_path):
    for number in range(40):
        (tmp_path / f"folder{number:02}").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        occluded_duke(str(tmp_path))
    assert "folder11/" in str(caught.value) and "folder12/" not in str(caught.value)
    assert "... and 28 more" in str(caught.value)


def test_a_root_one_folder_too_deep_is_recognised(tmp_path, draw_tree, occluded_duke_files):
    root = draw_tree(tmp_path, *occluded_duke_files)
    with pytest.raises(FileNotFoundError, match="looks like the dataset's own folder"):
        occluded_duke(root)


def test_a_missing_split_is_told_with_what_the_datasets_folder_holds(tmp_path, draw_tree):
    root = draw_tree(tmp_path, "Occluded_Duke/bounding_box_train/0001_c2_f0046182.jpg")
    with pytest.raises(FileNotFoundError) as caught:
        occluded_duke(root)
    message = str(caught.value)
    assert f"no query folder in {tmp_path / 'Occluded_Duke'}" in message
    assert "bounding_box_train/  (folders: 0, files: 1)" in message


def test_an_empty_split_is_told_with_the_name_expected_and_what_was_found(
    tmp_path, draw_tree, occluded_duke_files
):
    no_query = [file for file in occluded_duke_files if not file.startswith("query")]
    root = draw_tree(tmp_path, *below("Occluded_Duke", no_query))
    (tmp_path / "Occluded_Duke" / "query").mkdir()
    (tmp_path / "Occluded_Duke" / "query" / "readme.txt").write_text("later")
    with pytest.raises(FileNotFoundError) as caught:
        occluded_duke(root)
    message = str(caught.value)
    assert f"no query image in {tmp_path / 'Occluded_Duke' / 'query'}" in message
    assert "0001_c2_f0046182.jpg and so on" in message and "    readme.txt" in message


def test_who_lacks_occluded_duke_reads_that_duke_was_withdrawn(tmp_path):
    with pytest.raises(FileNotFoundError, match="withdrawn by its university in April 2019"):
        occluded_duke(str(tmp_path))


def test_who_lacks_synthocc_reads_how_to_draw_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="fed-plugin data synth --size small"):
        read_splits(LAYOUTS["SynthOcc"], str(tmp_path))


def test_a_complete_spelling_wins_over_an_incomplete_one_and_the_two_are_not_mixed(
    tmp_path, draw_tree, occluded_duke_files
):
    draw_tree(tmp_path, "Occluded_Duke/bounding_box_train/0009_c2_f0000001.jpg")
    root = draw_tree(tmp_path, *below("Occluded_DukeMTMC", occluded_duke_files))
    splits = occluded_duke(root)
    assert {pid for _, pid, _ in splits.train} == {1, 702}
    assert all("Occluded_DukeMTMC/" in path for path, _, _ in splits.train + splits.query)


def test_the_first_spelling_wins_over_another_complete_one(
    tmp_path, draw_tree, occluded_duke_files
):
    for folder in ("Occluded_DukeMTMC", "Occluded_Duke"):
        root = draw_tree(tmp_path, *below(folder, occluded_duke_files))
    assert "Occluded_Duke/" in occluded_duke(root).query[0][0]


def test_one_split_is_read_where_the_others_are_missing(tmp_path, draw_tree):
    root = draw_tree(tmp_path, "Occluded_Duke/query/0005_c1_f0000010.jpg")
    assert [item[1:] for item in list_split(LAYOUTS["Occluded_Duke"], root, "query")] == [(5, 0)]


def test_a_folder_of_junk_detections_alone_is_an_empty_split(tmp_path, draw_tree):
    root = draw_tree(tmp_path, "SynthOcc/query/-1_c1s1_000151_00.jpg")
    with pytest.raises(FileNotFoundError, match="no query image in"):
        list_split(LAYOUTS["SynthOcc"], root, "query")


def test_a_split_that_a_dataset_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Partial_REID: split='train': expected one of query, gal"):
        list_split(LAYOUTS["Partial_REID"], str(tmp_path), "train")


def test_a_dataset_with_one_query_set_offers_no_other():
    with pytest.raises(ValueError, match="expected none: there is only one query set"):
        LAYOUTS["Occluded_REID"].with_queries("partial_body_images")


def test_a_linked_dataset_folder_is_followed(tmp_path, draw_tree, occluded_duke_files):
    draw_tree(tmp_path / "disk", *occluded_duke_files)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "Occluded_Duke").symlink_to(tmp_path / "disk")
    assert len(occluded_duke(str(tmp_path / "datasets")).gallery) == 3


def test_one_row_makes_a_data_set_readable_checked_and_listed(tmp_path, draw_tree, monkeypatch):
    row = Layout(
        name="Night_REID",
        folders=("Night_REID", "night"),
        splits={"query": ("dark",), "gallery": ("light",)},
        names=NameRule(r"(?P<pid>\d+)-cam(?P<camera>\d+)", "7-cam2.jpg"),
        published={"query": Published(1, 1), "gallery": Published(2, 1)},
        lists={"query": list_hash(["7-cam2.jpg"])},
        cameras=2,
    )
    monkeypatch.setitem(LAYOUTS, row.name, row)
    root = draw_tree(tmp_path, "night/dark/8-cam1.jpg", "night/light/7-cam1.jpg")
    splits = datasets.night_reid(root)
    assert [item[1:] for item in splits.query + splits.gallery] == [(8, 0), (7, 0)]
    assert "night_reid" in dir(datasets)
    for words in ("Night_REID", str(tmp_path / "night"), None):
        (target,) = find_targets(words, root)
        kinds = {finding.kind: finding.sentence for finding in check(target).findings}
        assert target.name == "Night_REID"
        assert "gallery: 1 images instead of 2" in kinds["count"]
        assert "list hash" in kinds["list"] and kinds["cameras"] == "1 cameras instead of 2"
    assert "| `Night_REID` | `Night_REID`, `night` | - | 1 / 2 | 2 |" in table_of_data_sets()
    with pytest.raises(FileNotFoundError, match=r"one of Occluded_Duke, .*Night_REID"):
        find_targets("holiday", "nowhere")


def test_the_functions_of_the_rows_are_exported_and_no_module_takes_their_names():
    for module in pkgutil.iter_modules(datasets.__path__):
        importlib.import_module(f"fed_plugin.datasets.{module.name}")
    for name in LAYOUTS:
        function = getattr(datasets, name.lower())
        assert callable(function) and function.args == (LAYOUTS[name],)
        assert name.lower() in datasets.__all__
    with pytest.raises(AttributeError, match="no attribute 'holiday'"):
        _ = datasets.holiday


def test_the_page_on_data_shows_the_table_of_the_rows():
    lines = DATA_PAGE.read_text(encoding="utf-8").splitlines()
    table = table_of_data_sets()
    assert table[0] in lines, f"docs/data.md: expected the line {table[0]}"
    start = lines.index(table[0])
    assert lines[start : start + len(table)] == table, "try this table:\n" + "\n".join(table)
