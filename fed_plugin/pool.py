"""Work in several processes that never outlive the process that started them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, *, patient: bool = True
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in any order.

    joblib is no replacement: its processes still run after their parent was killed.

    Args:
        work: function that a process can import.
        items: arguments of ``work``, one per call.
        workers: number of processes; 1 works in this process.
        patient: whether begun work ends before an error or Ctrl-C is passed on; else the processes
            end at once.
    """
    left = dict(enumerate(items))
    if workers > 1 and len(items) > 1:
        context = multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(workers, context, initializer=follow_parent) as pool:
                try:
                    futures = {pool.submit(work, item): i for i, item in left.items()}
                    for future in as_completed(futures):
                        result = future.result()
                        yield left.pop(futures.pop(future)), result
                except BaseException:
                    for process in [] if patient else list((pool._processes or {}).values()):
                        process.terminate()
                    raise
                finally:
                    pool.shutdown(cancel_futures=True)
        except BrokenProcessPool:
            # A script without `if __name__ == "__main__"`, or a shell's stdin, cannot be spawned.
            logger.warning("worker processes ended early; this process does the rest of the work")
    for item in left.values():
        yield item, work(item)


def follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end with the parent, however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_after_parent, daemon=True).start()


def _end_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
