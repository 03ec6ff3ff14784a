"""One training at a time writes into an ``OUTPUT_DIR``: two would mix checkpoints and logs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".training"


class FolderInUseError(ValueError):
    """Another process trains into the folder."""


@contextmanager
def held(folder: str) -> Iterator[None]:
    """Keep other processes from training into a folder while the block runs.

    A killed process holds nothing, and worker processes hold nothing for it (POSIX record locks).
    File systems and platforms without such locks are not guarded.

    Args:
        folder: an ``OUTPUT_DIR`` that is there.

    Raises:
        FolderInUseError: Another process is training into it.
    """
    try:
        import fcntl

        descriptor = os.open(Path(folder, NAME), os.O_RDWR | os.O_CREAT, 0o644)
    except (ImportError, OSError):
        yield
        return
    try:
        _lock(fcntl, descriptor, folder)
        yield
        with suppress(OSError):
            os.unlink(Path(folder, NAME))
    finally:
        os.close(descriptor)


def _lock(fcntl: object, descriptor: int, folder: str) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
    except (BlockingIOError, PermissionError) as error:  # POSIX allows either
        holder = os.read(descriptor, 300).decode(errors="replace").strip() or "another process"
        raise FolderInUseError(
            f"OUTPUT_DIR={folder}: {holder} is training into it; expected one training a folder, "
            "try another OUTPUT_DIR, or wait until it has ended"
        ) from error
    except OSError:  # a file system without locks
        return
    os.truncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
