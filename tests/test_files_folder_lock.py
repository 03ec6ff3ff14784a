"""One process at a time holds a folder; the lock of a dead process is free."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import filelock
import pytest

from fed_plugin.files import FolderInUseError, FolderLock

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
HOLD = """
import subprocess, sys
from fed_plugin.files import FolderLock
with FolderLock(sys.argv[1]) as lock:
    if len(sys.argv) > 2:
        subprocess.Popen([sys.executable, "-c", sys.argv[2]], pass_fds=lock.descriptors)
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    started = []

    def start(*child):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), *child],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        started.append(process)
        assert process.stdout.readline() == b"holds\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_refused_at_once_with_folder_lock_file_and_holder(hold, tmp_path):
    first = hold()
    start = time.monotonic()
    lock = FolderLock(tmp_path, work="trains into it", remedy="another OUTPUT_DIR")
    with pytest.raises(FolderInUseError) as refused, lock:
        pass
    assert time.monotonic() - start < 5
    assert str(refused.value) == (
        f"{tmp_path}: process {first.pid} on {socket.gethostname()} trains into it (lock file "
        ".lock); expected one process at a time; try another OUTPUT_DIR"
    )


def test_one_process_cannot_take_a_folder_twice_and_the_label_names_it(tmp_path):
    with FolderLock(tmp_path, "a"), FolderLock(tmp_path, "b"):
        again = FolderLock(tmp_path, "a", label="OUTPUT_DIR=logs")
        with pytest.raises(FolderInUseError, match=f"^OUTPUT_DIR=logs: process {os.getpid()} on"):
            again.__enter__()
    with FolderLock(tmp_path, "a"):
        pass


def test_the_lock_of_a_killed_process_is_free(hold, tmp_path):
    first = hold()
    first.send_signal(signal.SIGKILL)
    first.wait()
    with FolderLock(tmp_path) as lock:
        assert (tmp_path / ".lock.holder").read_text().split()[0] == str(os.getpid())
        assert all(os.fstat(descriptor) for descriptor in lock.descriptors)


def test_an_error_in_the_block_frees_the_folder(hold, tmp_path):
    with pytest.raises(KeyError), FolderLock(tmp_path):
        raise KeyError
    hold()


def test_children_of_a_killed_process_hold_the_lock_and_are_waited_for(hold, tmp_path):
    first = hold("import time; time.sleep(2)")
    first.kill()
    first.wait()
    with pytest.raises(FolderInUseError), FolderLock(tmp_path, patience=0):
        pass
    with FolderLock(tmp_path, patience=60):
        pass


def test_a_forked_child_does_not_hold_the_lock(tmp_path):
    with FolderLock(tmp_path):
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
    try:
        with FolderLock(tmp_path, patience=0):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_holder_that_is_not_known_is_another_process(tmp_path):
    with FolderLock(tmp_path):
        (tmp_path / ".lock.holder").write_bytes(b"\xff")
        with pytest.raises(FolderInUseError, match="another process works in it"):
            FolderLock(tmp_path).__enter__()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path, monkeypatch, number):
    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(OSError, match=r"its lock file \.lock cannot be written \(\w+") as refused:
        FolderLock(tmp_path).__enter__()
    assert refused.value.errno is None  # the sentence stands alone


def test_a_folder_that_does_not_exist_is_made_and_a_file_is_a_sentence(tmp_path):
    with FolderLock(tmp_path / "new" / "out"):
        assert (tmp_path / "new" / "out" / ".lock").is_file()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file: its lock file .* expected a folder that can be"):
        FolderLock(tmp_path / "file").__enter__()


OLD = int(filelock.__version__.partition(".")[0]) < 4


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            errno.ENOLCK, marks=pytest.mark.skipif(OLD, reason="old filelocks pass over it")
        ),
        errno.ENOSYS,
    ],
)
def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch, caplog, number):
    import fcntl

    def refuse(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("warnings.warn", lambda *args, **kwargs: None)  # filelock's own
    with caplog.at_level(logging.WARNING), FolderLock(tmp_path) as lock:
        assert lock.descriptors == ()
    assert "this file system has no locks" in caplog.text


@pytest.mark.parametrize("name", [".lock", ".lock.holder"])
def test_a_planted_link_is_not_followed(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).symlink_to(victim)
    try:
        with FolderLock(tmp_path / "folder"):
            pass
    except OSError as error:
        assert name == ".lock" and "is a link; expected a lock file" in str(error)
    assert victim.read_text() == "of somebody else"
