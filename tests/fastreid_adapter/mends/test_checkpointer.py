"""A checkpoint is written atomically; a broken one is named and passed over."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from fastreid.utils import checkpoint

from fed_plugin.fastreid_adapter.mends.checkpointer import damage
from fed_plugin.fastreid_adapter.resuming.checkpoint_file import Recorder, written_checkpoint


@pytest.fixture
def model():
    return torch.nn.Linear(64, 64)


@pytest.fixture
def checkpointer(model, tmp_path):
    return checkpoint.Checkpointer(model, str(tmp_path))


@contextmanager
def files_of_at_most(size):
    """Let the system refuse to write more than ``size`` bytes into a file, as a full disk does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def newest(folder):
    return (Path(folder) / "last_checkpoint").read_text()


def break_in_the_middle(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_stock_writes_in_place_and_a_full_disk_leaves_half_a_file(stock, model, tmp_path):
    module = stock("fastreid.utils.checkpoint")
    plain = module.Checkpointer(model, str(tmp_path))
    plain.save("model_best")
    with files_of_at_most(5000), pytest.raises((OSError, RuntimeError)):
        plain.save("model_best")
    assert newest(tmp_path) == "model_best.pth" and damage(str(tmp_path / "model_best.pth"))


@pytest.mark.parametrize("room", [0, 100, 5000, 16000])
def test_a_full_disk_keeps_the_previous_checkpoint_and_says_so(checkpointer, tmp_path, room):
    checkpointer.save("model_best", epoch=1)
    before = (tmp_path / "model_best.pth").read_bytes()
    with files_of_at_most(room), pytest.raises(OSError, match="could not be written") as caught:
        checkpointer.save("model_best", epoch=2)
    assert str(tmp_path / "model_best.pth") in str(caught.value)
    assert "File too large" in str(caught.value)
    assert (tmp_path / "model_best.pth").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_best.pth"]


def test_a_full_or_read_only_disk_keeps_the_previous_checkpoint(checkpointer, model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a disk of 64 kB; the tests above limit files instead")
    try:
        small = checkpoint.Checkpointer(model, str(disk))
        small.save("model_0000")
        (disk / "others").write_bytes(b"x" * 30_000)
        with pytest.raises(OSError, match="No space left on device"):
            small.save("model_0001")
        assert newest(disk) == "model_0000.pth" and not damage(str(disk / "model_0000.pth"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OSError, match=r"model_0002\.pth: could not be written"):
            small.save("model_0002")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_rename_that_fails_is_an_error_and_keeps_the_previous_checkpoint(
    checkpointer, tmp_path, monkeypatch
):
    def cross(*paths):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    checkpointer.save("model_0000")
    monkeypatch.setattr(os, "replace", cross)
    with pytest.raises(OSError, match="Invalid cross-device link"):
        checkpointer.save("model_0001")
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_0000.pth"]
    assert newest(tmp_path) == "model_0000.pth"


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_ctrl_c_in_a_write_is_no_error_of_the_writer(checkpointer, tmp_path, monkeypatch, piece):
    stock, pieces = Recorder.write, iter(range(1, 1000))

    def write(self, data):
        if next(pieces) == piece:
            raise KeyboardInterrupt
        return stock(self, data)

    checkpointer.save("model_0000")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Recorder, "write", write)
        checkpointer.save("model_0001")
    assert sorted(os.listdir(tmp_path)) == ["last_checkpoint", "model_0000.pth"]


def test_what_a_writer_writes_behind_an_error_goes_nowhere(tmp_path):
    with pytest.raises(KeyError), written_checkpoint(str(tmp_path / "a.pth"), "wb") as file:
        file.write(b"begin")
        raise KeyError
    assert file.write(b"end") == 3 and not os.listdir(tmp_path)
    with pytest.raises(ValueError), written_checkpoint(str(tmp_path / "a.pth"), "wb") as file:
        file.file.close()
        with pytest.raises(ValueError):
            file.write(b"begin")
        assert file.write(b"end") == 3
    assert not os.listdir(tmp_path)
    swallowed = contextlib.suppress(OSError)
    whole = written_checkpoint(str(tmp_path / "b.pth"), "wb")
    with pytest.raises(OSError, match="could not be written"), files_of_at_most(3), whole as file:
        with swallowed:
            file.write(b"x" * 100_000)
        file.write(b"end")
    assert not os.listdir(tmp_path)


def test_a_full_disk_is_said_even_where_ctrl_c_is_being_handled(checkpointer):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with files_of_at_most(5000), pytest.raises(OSError, match="could not be written"):
            checkpointer.save("model_0000")


def test_a_folder_that_is_gone_is_named(checkpointer, tmp_path):
    checkpointer.save_dir = str(tmp_path / "gone")
    with pytest.raises(OSError, match=r"gone/model\.pth"):
        checkpointer.save("model")


def test_a_checkpoint_that_is_a_link_elsewhere_is_written_there_and_stays_a_link(
    checkpointer, tmp_path
):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:  # of another file system
        (tmp_path / "model.pth").symlink_to(f"{elsewhere}/model.pth")
        checkpointer.save("model")
        assert (tmp_path / "model.pth").is_symlink()
        assert not damage(f"{elsewhere}/model.pth")


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "missing", "tag"])
def test_resume_goes_on_from_the_one_before_a_broken_checkpoint(
    checkpointer, model, tmp_path, log, how
):
    for epoch in range(3):
        checkpointer.save(f"model_{epoch:04d}", epoch=epoch)
        os.utime(tmp_path / f"model_{epoch:04d}.pth", (epoch + 1, epoch + 1))
    path = tmp_path / newest(tmp_path)
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "flipped":
        break_in_the_middle(path)
    elif how == "missing":
        path.unlink()
    else:
        (tmp_path / "last_checkpoint").write_text("")
    found = checkpointer.resume_or_load("", resume=True)
    assert found["epoch"] == (2 if how == "tag" else 1)
    named = str(tmp_path) if how == "tag" else str(path)
    assert named in log.text and "not resumed from" in log.text


def test_where_all_are_broken_one_sentence_says_so(checkpointer, tmp_path):
    checkpointer.save("model_0000")
    break_in_the_middle(tmp_path / "model_0000.pth")
    with pytest.raises(ValueError, match="none of its checkpoints can be resumed from") as caught:
        checkpointer.resume_or_load("", resume=True)
    assert "model_0000.pth" in str(caught.value)


def test_a_whole_checkpoint_of_another_model_is_not_passed_over(checkpointer, tmp_path):
    checkpointer.save("model_0000", epoch=0)
    checkpointer.save("model_0001", epoch=1)
    checkpointer._load_model = lambda content: pytest.fail("loaded")
    with pytest.raises(pytest.fail.Exception, match="loaded"):
        checkpointer.resume_or_load("", resume=True)


def test_checkpoints_of_old_pytorch_are_not_called_broken(model, tmp_path):
    path = tmp_path / "old.pth"
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    assert damage(str(path)) == ""


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    from fed_plugin.files import remove_unfinished

    dead = subprocess.Popen(["true"])
    dead.wait()
    names = [f".model_0001.pth.{dead.pid}.part", f".model_0001.pth.{os.getppid()}.part", "a.part"]
    for name in names:
        (tmp_path / name).touch()
    assert remove_unfinished(tmp_path, "model_*.pth") == [tmp_path / names[0]]
    assert sorted(os.listdir(tmp_path)) == sorted(names[1:])
