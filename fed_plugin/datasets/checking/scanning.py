"""All files of a data set inspected, in several processes, each only once while it stays as is."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from fed_plugin.datasets.checking.cache import FactsCache, Stamp, stamp_of
from fed_plugin.datasets.checking.inspection import Facts, inspect

Progress = Callable[[int, int], None]

_CHUNK = 64  # files that a process inspects at once
_FEW = 500  # files that are inspected before processes have started
_QUEUED = 3  # chunks per process, so that none waits for the next

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """Hold the facts of all files.

    Attributes:
        facts: by path.
        inspected: how many files were read now; those of the others were remembered.
    """

    facts: dict[str, Facts]
    inspected: int


def scan(
    paths: Sequence[str],
    *,
    decode: bool = True,
    workers: int | None = None,
    cache: FactsCache | None = None,
    progress: Progress | None = None,
) -> Scan:
    """Inspect files.

    What was inspected before Ctrl-C stays in the cache.

    Args:
        paths: of the files; a path that is there twice is inspected once.
        decode: decode every pixel; otherwise the headers alone are believed.
        workers: processes; by default as many as processors, for few files this one alone.
        cache: facts of earlier checks.
        progress: called with (files inspected, files to inspect).

    Raises:
        ValueError: ``workers`` is below 1.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: expected 1 or more processes")
    stamps = {path: stamp_of(path) for path in dict.fromkeys(paths)}
    known = {path: stamp for path, stamp in stamps.items() if stamp is not None}
    facts = cache.recall(known, decoded=decode) if cache else {}
    todo = [path for path in stamps if path not in facts]
    count = workers or (1 if len(todo) <= _FEW else os.cpu_count() or 1)
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    done = 0
    for chunk, found in _spread(chunks, decode, count):
        new = dict(zip(chunk, found, strict=True))
        facts |= new
        if cache:
            cache.keep(_lasting(new, known))
        done += len(chunk)
        if progress is not None:
            progress(done, len(todo))
    return Scan({path: facts[path] for path in stamps}, len(todo))


def inspect_all(paths: Sequence[str], decode: bool) -> list[Facts]:
    """Inspect a few files in this process."""
    return [inspect(path, decode=decode) for path in paths]


def _lasting(
    facts: dict[str, Facts], stamps: dict[str, Stamp]
) -> Iterator[tuple[str, Stamp, Facts]]:
    """Yield what is worth keeping: not of files that could not be opened, or that changed since."""
    for path, found in facts.items():
        if found.sha256 and path in stamps and stamp_of(path) == stamps[path]:
            yield path, stamps[path], found


def _spread(
    chunks: list[list[str]], decode: bool, workers: int
) -> Iterator[tuple[list[str], list[Facts]]]:
    """Yield each chunk with its facts, in any order."""
    if workers == 1 or len(chunks) <= 1:
        yield from ((chunk, inspect_all(chunk, decode)) for chunk in chunks)
        return
    context = multiprocessing.get_context("spawn")
    waiting = deque(chunks)
    running: dict[Future[list[Facts]], list[str]] = {}
    try:
        with ProcessPoolExecutor(workers, context, initializer=_leave_ctrl_c) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < workers * _QUEUED:
                        future = pool.submit(inspect_all, waiting[0], decode)
                        running[future] = waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        found = future.result()
                        yield running.pop(future), found
            finally:
                pool.shutdown(cancel_futures=True)
    except BrokenProcessPool:
        # A script without `if __name__ == "__main__"`, or a shell's stdin, cannot be spawned.
        logger.warning("worker processes ended early; inspecting the rest in this process")
        for chunk in [*running.values(), *waiting]:
            yield chunk, inspect_all(chunk, decode)


def _leave_ctrl_c() -> None:
    """Leave Ctrl-C to the process that asked, which ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
