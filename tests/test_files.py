"""A file that cannot be written is refused before the work that fills it."""

from __future__ import annotations

import os

import pytest

from fed_plugin.files import check_writable, written_whole


def test_a_path_in_a_folder_that_is_there_may_be_written(tmp_path):
    check_writable(tmp_path / "new.json")
    with written_whole(tmp_path / "new.json") as file:
        file.write(b"{}")
    check_writable(tmp_path / "new.json")
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]


def test_no_folder_and_a_folder_of_that_name_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file in a folder that is there"):
        check_writable(tmp_path / "no" / "new.json")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path)


def test_a_pipe_or_a_device_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # a rename would take the place of /dev/null, too
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(FileExistsError, match=f"{name}: is a device or a pipe"):
            check_writable(tmp_path / name)
        with pytest.raises(FileExistsError), written_whole(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"new\.json: its folder cannot be written to"):
        check_writable(tmp_path / "new.json")


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "old.json").write_text("old")
    with pytest.raises(KeyError), written_whole(tmp_path / "old.json") as file:
        file.write(b"half")
        raise KeyError("broken")
    assert (tmp_path / "old.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]
