from __future__ import annotations

import os
import signal

import pytest

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
    monkeypatch.setattr(image_facts, "_leave_ctrl_c", _die)
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
