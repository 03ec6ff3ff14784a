"""Work in several processes: every item once, also where processes cannot start or are killed."""

from __future__ import annotations

import os
import signal

import pytest

from fed_plugin import pool


def doubled(number):
    return 2 * number, os.getpid()


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("workers", "others"), [(1, False), (2, True)])
def test_every_item_is_worked_on_once(workers, others):
    results = dict(pool.spread(doubled, range(20), workers))
    assert {item: number for item, (number, _) in results.items()} == {
        item: 2 * item for item in range(20)
    }
    assert ({pid for _, pid in results.values()} == {os.getpid()}) is not others


def test_this_process_does_what_killed_workers_leave(monkeypatch, caplog):
    monkeypatch.setattr(pool, "follow_parent", _die)
    assert sorted(item for item, _ in pool.spread(doubled, range(5), 2)) == [0, 1, 2, 3, 4]
    assert "worker processes ended early" in caplog.text


def test_an_error_of_the_work_is_the_callers():
    with pytest.raises(TypeError):
        list(pool.spread(len, range(3), 2))


def test_no_item_is_no_work():
    assert list(pool.spread(doubled, [], 2)) == []
