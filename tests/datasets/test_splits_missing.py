"""What somebody reads whose dataset is not where it is looked for."""

from __future__ import annotations

import pytest

from fed_plugin.datasets import LAYOUTS, list_split


def message(name, root, split="query"):
    with pytest.raises(FileNotFoundError) as caught:
        list_split(LAYOUTS[name], str(root), split)
    return str(caught.value)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_dataset_that_is_not_there_is_told_with_its_tree(tmp_path, name):
    text = message(name, tmp_path)
    assert text.startswith(f"{name} (DATASETS.NAMES, DATASETS.TESTS): not in {tmp_path}\nexpected:")
    for folder in LAYOUTS[name].folders:
        assert f"{folder}/" in text
    for split, subfolders in LAYOUTS[name].splits.items():
        assert f"({split}: {LAYOUTS[name].names.example} and so on)" in text
        assert all(f"{subfolder}/" in text for subfolder in subfolders)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("split", ["query", "gallery"])
def test_a_root_that_is_the_datasets_own_folder_is_recognised(tmp_path, name, split):
    layout = LAYOUTS[name]
    own = tmp_path / layout.folders[0]
    (own / layout.splits[split][0]).mkdir(parents=True)
    text = message(name, own)
    assert (
        f"looks like the dataset's own folder; name the one above it, {tmp_path}\n" in f"{text}\n"
    )
    assert "rename" not in text


def test_an_own_folder_of_another_name_has_to_be_renamed_too(tmp_path):
    (tmp_path / "duke-occ" / "query").mkdir(parents=True)
    text = message("Occluded_Duke", tmp_path / "duke-occ")
    assert "rename it, or link to it, as Occluded_Duke/ and name the one above it" in text


def test_a_dataset_that_was_unpacked_into_itself_is_recognised(tmp_path):
    inner = tmp_path / "P-DukeMTMC-reID" / "P-DukeMTMC-reID"
    (inner / "test" / "occluded_body_images").mkdir(parents=True)
    text = message("P_DukeMTMC", tmp_path)
    assert "try: unpacking the dataset again" in text and "FASTREID_DATASETS" not in text
    assert f"note: {inner} looks like the dataset's own folder; move what it holds one up" in text


@pytest.mark.parametrize("spelling", ["occluded_duke", "Occluded-Duke", "occludedDuke"])
def test_a_spelling_that_is_almost_right_is_recognised(tmp_path, spelling):
    (tmp_path / spelling / "query").mkdir(parents=True)
    assert f"{spelling}/ looks like another spelling" in message("Occluded_Duke", tmp_path)


@pytest.mark.parametrize("name", ["Occluded_Duke", "P_DukeMTMC", "DukeMTMC"])
def test_who_lacks_a_dataset_of_duke_images_reads_that_they_were_withdrawn(tmp_path, name):
    assert "withdrawn by its university in April 2019" in message(name, tmp_path)


def test_names_that_no_terminal_shows_do_not_spoil_the_message(tmp_path):
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "caf\udce9").mkdir()
    text = message("Occluded_Duke", tmp_path)
    assert "a\\nb/" in text and "caf\\udce9/" in text
    text.encode("utf-8")


def test_a_folder_that_cannot_be_read_is_listed_as_such(tmp_path, monkeypatch):
    import os

    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert "locked/  (cannot be read)" in message("Occluded_Duke", tmp_path)
