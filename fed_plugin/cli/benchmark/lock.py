"""One runner at a time in a folder.

The lock is the kernel's, on ``OUT/.lock``: it ends with the processes that hold it, so that a dead
runner's is free. Cells inherit it; while one of a killed runner still runs, no other run begins.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
PATIENCE = 15.0
"""Seconds that the cells of a dead runner get to notice that it is dead."""


@contextmanager
def only_runner(out: Path) -> Iterator[int]:
    """Hold a folder's lock; yield its file descriptor, for cells to inherit.

    Raises:
        RuntimeError: somebody else holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(descriptor, out)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, out: Path) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, host = os.pread(descriptor, 200, 0).decode(errors="replace").partition(" ")
            host = host.strip()
            if not _is_dead(pid, host) or time.monotonic() > give_up:
                raise RuntimeError(
                    f"{out}: process {pid or '?'} on {host or '?'} runs cells in it; expected one "
                    "runner at a time, try waiting for it, or --out with another folder"
                ) from None
            time.sleep(0.2)


def _is_dead(pid: str, host: str) -> bool:
    """Is this the number of a process of this machine that is no more?"""
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
