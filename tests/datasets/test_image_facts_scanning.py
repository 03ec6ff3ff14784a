from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from fed_plugin import pool
from fed_plugin.datasets import image_facts
from fed_plugin.datasets.image_facts import FactsCache, scan, stamp_of


@pytest.fixture
def images(tmp_path, picture):
    paths = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        picture(number).save(path)
        paths.append(str(path))
    (tmp_path / "5.jpg").write_bytes(b"broken")
    (tmp_path / "6.jpg").symlink_to("nowhere")
    return [*paths, str(tmp_path / "6.jpg")]


@pytest.fixture
def cache(tmp_path):
    found = FactsCache(tmp_path / "cache.sqlite")
    yield found
    found.close()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(image_facts, "_CHUNK", 2)


@pytest.mark.usefixtures("small_chunks")
def test_several_processes_find_what_one_finds(images):
    alone, steps = scan(images, workers=1), []
    together = scan(images, workers=2, progress=lambda *step: steps.append(step))
    assert together == alone and set(alone.facts) == set(images)
    assert steps == sorted(steps) and steps[-1] == (7, 7) and len(steps) == 4
    assert alone.inspected == 7 and alone.facts[images[5]].problem


def test_a_second_scan_reads_no_sound_file_again(images, cache, monkeypatch):
    first = scan(images, cache=cache)
    read = []
    real = image_facts.inspect
    monkeypatch.setattr(
        image_facts, "inspect", lambda path, decode: read.append(path) or real(path, decode=decode)
    )
    second = scan(images, cache=cache)
    assert read == [images[6]]  # a broken link may be mended without a trace
    assert (first.facts, second.inspected) == (second.facts, 1)


def test_a_changed_file_alone_is_read_again(images, cache, picture):
    before = scan(images[:5], cache=cache)
    picture("another").save(images[2])
    after = scan(images[:5], cache=cache)
    assert after.inspected == 1
    changed = [path for path in images[:5] if before.facts[path] != after.facts[path]]
    assert changed == [images[2]]


def test_a_file_that_changes_while_it_is_read_is_not_remembered(images, cache, monkeypatch):
    real = image_facts.inspect

    def change(path, decode):
        facts = real(path, decode=decode)
        os.utime(path, ns=(0, 0))
        return facts

    before = {path: stamp_of(path) for path in images[:3]}
    monkeypatch.setattr(image_facts, "inspect", change)
    scan(images[:3], cache=cache)
    monkeypatch.undo()
    assert cache.recall(before, decoded=True) == {}
    assert scan(images[:3], cache=cache).inspected == 3


@pytest.mark.usefixtures("small_chunks")
def test_ctrl_c_keeps_what_was_read(images, cache):
    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(images[:5], workers=1, cache=cache, progress=interrupt)
    assert scan(images[:5], cache=cache).inspected == 1


@pytest.mark.usefixtures("small_chunks")
def test_a_process_that_dies_costs_no_file(images, monkeypatch, caplog):
    """As in a shell's stdin, where nothing can be spawned."""
    alone = scan(images, workers=1)
    monkeypatch.setattr(pool, "follow_parent", _die)
    assert scan(images, workers=2) == alone
    assert "worker processes ended early" in caplog.text


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_path_named_twice_is_read_once(images):
    assert scan(images[:1] * 3).inspected == 1


def test_no_files_are_no_work():
    assert scan([]).facts == {}


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_refused(workers):
    with pytest.raises(ValueError, match="expected 1 or more processes"):
        scan([], workers=workers)


SLOW_CHECK = """
import sys
from fed_plugin.datasets import image_facts

image_facts._CHUNK = 1
if __name__ == "__main__":
    paths = [sys.argv[1] + "/./" * number + "/0.jpg" for number in range(1000)]
    image_facts.scan(paths, workers=2, progress=lambda *step: print(step, flush=True))
"""


def processes_of(group):
    """Return the living processes of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [pid for pid, pgid, state in rows if int(pgid) == group and state[0] != "Z"]


@pytest.mark.skipif(os.name != "posix", reason="needs ps and process groups")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_a_killed_check(tmp_path, images, end):
    script = tmp_path / "slow_check.py"
    script.write_text(SLOW_CHECK)
    parent = subprocess.Popen(
        [sys.executable, script, os.path.dirname(images[0])],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        parent.stdout.readline()
        assert len(processes_of(parent.pid)) >= 3
        parent.send_signal(end)
        assert parent.wait() == -end
        patience = time.monotonic() + 30
        while processes_of(parent.pid) and time.monotonic() < patience:
            time.sleep(0.1)
        assert processes_of(parent.pid) == []
    finally:
        for pid in processes_of(parent.pid):
            os.kill(int(pid), signal.SIGKILL)
        parent.stdout.close()
