"""Files are written atomically, and a path that cannot be written is refused before the work."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fed_plugin import files
from fed_plugin.files import (
    check_writable,
    is_empty,
    remove_unfinished,
    write_atomically,
    write_file,
    write_json,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def test_a_path_in_an_existing_folder_may_be_written(tmp_path):
    check_writable(tmp_path / "new.json")
    write_json(tmp_path / "new.json", {"a": 1})
    check_writable(tmp_path / "new.json")
    assert names(tmp_path) == ["new.json"]
    assert (tmp_path / "new.json").read_text() == '{\n "a": 1\n}\n'


def test_text_is_written_as_utf_8_and_numbers_that_are_not_finite_are_refused(tmp_path):
    write_file(tmp_path / "a.txt", "ä\n")
    write_file(tmp_path / "b.txt", b"\xc3\xa4\n")
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "c.json", float("nan"))
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_no_folder_and_a_folder_of_that_name_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file in an existing folder"):
        check_writable(tmp_path / "no" / "new.json")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        check_writable(tmp_path)


def test_a_pipe_or_a_device_is_refused_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # a rename would take the place of /dev/null, too
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(FileExistsError, match=f"{name}: is a device or a pipe"):
            check_writable(tmp_path / name)
        with pytest.raises(FileExistsError), write_atomically(tmp_path / name):
            pass
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with pytest.raises(PermissionError, match=r"new\.json: its folder cannot be written to"):
        check_writable(tmp_path / "new.json")


def test_an_error_leaves_the_old_content(tmp_path):
    (tmp_path / "old.json").write_text("old")
    with pytest.raises(KeyError), write_atomically(tmp_path / "old.json") as file:
        file.write(b"half")
        raise KeyError("broken")
    assert (tmp_path / "old.json").read_text() == "old"
    assert names(tmp_path) == ["old.json"]


def test_a_new_file_gets_the_mode_of_the_umask(tmp_path, umask):
    write_file(tmp_path / "new", "new")
    assert mode(tmp_path / "new") == 0o666 & ~umask


def test_a_replaced_file_keeps_its_mode_from_the_first_byte_on(tmp_path):
    (tmp_path / "old").write_text("old")
    os.chmod(tmp_path / "old", 0o600)
    with write_atomically(tmp_path / "old") as file:
        assert mode(file.name) == 0o600  # nobody reads the new content meanwhile
        file.write(b"new")
    assert mode(tmp_path / "old") == 0o600
    assert (tmp_path / "old").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
def test_a_replaced_file_keeps_its_owner(tmp_path):
    (tmp_path / "old").write_text("old")
    os.chown(tmp_path / "old", 1234, 2345)
    write_file(tmp_path / "old", "new")
    status = os.stat(tmp_path / "old")
    assert (status.st_uid, status.st_gid) == (1234, 2345)


def test_an_owner_that_may_not_be_given_is_no_error(tmp_path, monkeypatch):
    def refuse(path, uid, gid):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    (tmp_path / "old").write_text("old")
    write_file(tmp_path / "old", "new")
    assert (tmp_path / "old").read_text() == "new"


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "target").write_text("old")
    (tmp_path / "link").symlink_to(Path("there", "target"))
    write_file(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "target").read_text() == "new"
    (tmp_path / "dangling").symlink_to(Path("there", "made"))
    write_file(tmp_path / "dangling", "made")
    assert (tmp_path / "there" / "made").read_text() == "made"
    (tmp_path / "nowhere").symlink_to(Path("gone", "target"))
    with pytest.raises(FileNotFoundError, match="nowhere: expected a file in an existing folder"):
        write_file(tmp_path / "nowhere", "lost")


def test_file_and_folder_are_on_the_disk_before_and_after_the_rename(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noting_replace(*paths):
        steps.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    write_file(tmp_path / "new", "new")
    assert steps == ["file", "rename", "folder"]


KILLED = """
import os, signal, sys
from fed_plugin.files import write_atomically
with write_atomically(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_write_removes_what_a_killed_process_left(tmp_path):
    target = tmp_path / "result.json"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], env=ENVIRONMENT)
    (left,) = names(tmp_path)
    assert left.startswith(".result.json.") and left.endswith(".part")
    write_file(tmp_path / "another.json", "{}")
    assert names(tmp_path) == ["another.json"]


def test_files_of_living_processes_other_machines_and_other_programs_stay(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    host = socket.gethostname()
    stay = [
        f".a.{os.getppid()}@{host}-00ff00ff.part",
        f".a.{dead.pid}@{host}.elsewhere-00ff00ff.part",
        ".a.part",
        "a.part",
    ]
    go = [
        f".a.{dead.pid}@{host}-00ff00ff.part",
        f".a.{dead.pid}.part",  # as versions before this one wrote
        f".a.{os.getpid()}@{host}-00ff00ff.part",  # of a dead process with this one's number
    ]
    for name in stay + go:
        (tmp_path / name).touch()
    with write_atomically(tmp_path / "a") as file:
        assert remove_unfinished(tmp_path) == []  # the write has removed the others before
        assert names(tmp_path) == sorted([*stay, Path(file.name).name])
    assert names(tmp_path) == sorted([*stay, "a"])


def test_threads_that_write_at_once_do_not_remove_each_others_files(tmp_path):
    def write(number):
        for _ in range(20):
            files._sweep.cache_clear()
            write_file(tmp_path / "one", f"{number}\n" * 1000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    errors = []
    hook, threading.excepthook = threading.excepthook, errors.append
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        threading.excepthook = hook
    assert errors == []
    assert names(tmp_path) == ["one"]
    assert len(set((tmp_path / "one").read_text().split())) == 1


WAITING = """
import sys
from fed_plugin.files import write_atomically
with write_atomically(sys.argv[1]) as file:
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_a_container_whose_process_has_the_same_number_keeps_its_file(tmp_path, monkeypatch):
    words = [sys.executable, "-c", WAITING, str(tmp_path / "index.npz")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, env=ENVIRONMENT, **pipes) as other:
        assert other.stdout.readline() == b"writing\n"
        monkeypatch.setattr(os, "getpid", lambda: other.pid)
        assert remove_unfinished(tmp_path) == []
        write_file(tmp_path / "another.json", "{}")
        other.communicate()
    assert other.returncode == 0
    assert names(tmp_path) == ["another.json", "index.npz"]


def test_a_file_of_another_machine_goes_after_a_day(tmp_path):
    left = tmp_path / ".a.7@elsewhere-00ff00ff.part"
    left.touch()
    assert remove_unfinished(tmp_path) == []
    os.utime(left, (0, 0))
    assert remove_unfinished(tmp_path) == [left]


def test_a_planted_pipe_or_link_of_such_a_name_is_left_alone(tmp_path):
    host = socket.gethostname()
    os.mkfifo(tmp_path / f".a.999999999@{host}-00ff00ff.part")
    (tmp_path / "precious").write_text("content")
    (tmp_path / f".b.999999999@{host}-00ff00ff.part").symlink_to("precious")
    assert remove_unfinished(tmp_path) == []
    assert (tmp_path / "precious").read_text() == "content"


def test_a_planted_link_of_the_temporary_name_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(files.secrets, "token_hex", lambda count: "00ff00ff")
    (tmp_path / "victim").write_text("of somebody else")
    planted = tmp_path / f".new.{os.getpid()}@{socket.gethostname()}-00ff00ff.part"
    planted.symlink_to("victim")
    with pytest.raises(OSError, match=r"new: could not be written \(File exists\)"):
        write_file(tmp_path / "new", "content")
    assert (tmp_path / "victim").read_text() == "of somebody else"


def test_a_name_of_the_longest_length_is_written(tmp_path):
    for name in ("a" * 250, "ä" * 125):
        write_file(tmp_path / name, "content")
        assert (tmp_path / name).read_text() == "content"
    assert len(names(tmp_path)) == 2


def test_an_open_file_is_no_name_of_a_file(tmp_path):
    (tmp_path / "link").symlink_to("/dev/stdout")
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", tmp_path / "link"):
        with (tmp_path / "log").open("wb") as log:  # a rename would take it from the shell
            code = f"from fed_plugin.files import write_file; write_file({str(name)!r}, 'x')"
            words = [sys.executable, "-c", code]
            ended = subprocess.run(words, stdout=log, stderr=subprocess.PIPE, env=ENVIRONMENT)
        assert b"is a device or a pipe" in ended.stderr
    assert (tmp_path / "link").is_symlink()


SMALL = """
import resource, sys
import numpy as np
from fed_plugin.files import write_atomically, write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
how, path = sys.argv[1:]
if how == "json":
    write_json(path, list(range(100_000)))
with write_atomically(path) as file:
    if how == "npz":
        np.savez(file, a=np.zeros(100_000))
    elif how == "png":
        from PIL import Image
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)).save(
            file, "PNG")
    elif how == "torch":
        import torch
        torch.save({"model": torch.zeros(100_000)}, file)
    elif how == "onnx":
        import torch
        torch.jit.save(torch.jit.script(torch.nn.Linear(300, 300)), file)
"""


@pytest.mark.parametrize("how", ["json", "npz", "png", "torch", "onnx"])
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, how):
    target = tmp_path / f"result.{how}"
    target.write_text("old")
    words = [sys.executable, "-c", SMALL, how, str(target)]
    ended = subprocess.run(words, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"OSError: {target}: could not be written (File too large); ")
    assert "try" in last
    assert names(tmp_path) == [target.name]
    assert target.read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch, call, number):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match=rf"new: could not be written \({os.strerror(number)}") as got:
        write_file(tmp_path / "new", "content")
    assert got.value.errno == number
    assert names(tmp_path) == []


def test_an_error_of_another_file_is_not_of_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "new"):
        (tmp_path / "missing").read_bytes()


def test_a_folder_with_nothing_but_unfinished_files_is_empty(tmp_path):
    assert is_empty(tmp_path / "none") and is_empty(tmp_path)
    (tmp_path / "query").mkdir()
    (tmp_path / "query" / ".a.999999999.part").touch()
    (tmp_path / ".b.7@elsewhere-00ff00ff.part").touch()
    assert is_empty(tmp_path)
    assert names(tmp_path / "query") == []
    (tmp_path / "query" / "a.jpg").touch()
    assert not is_empty(tmp_path)
    assert is_empty(tmp_path, "a.jpg")
