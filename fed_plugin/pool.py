"""Work in several processes: a pool that never outlives its parent, ranks, and their folder."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from fed_plugin.files import FolderLock

logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int, *, patient: bool = True
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with its result, in any order, from a function that a process can import.

    joblib is no replacement: its processes still run after their parent was killed. One worker is
    this process. If ``patient``, begun work ends before an error or Ctrl-C is passed on; else at
    once.
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


TRAINING = (".training", ".training.holder")
"""Lock file of a training in its folder, and the name of its holder."""


def only_training(folder: str | os.PathLike[str]) -> FolderLock:
    """Return the lock that keeps other processes from training, or evaluating, into a folder."""
    from fed_plugin.files import FolderLock  # which imports NumPy

    label, remedy = f"OUTPUT_DIR={folder!s}", "another OUTPUT_DIR, or waiting until it has ended"
    return FolderLock(folder, TRAINING[0], work="is training into it", remedy=remedy, label=label)


_LAUNCHERS = {  # variables that hold the rank of a process and the number of processes
    "torchrun": ("RANK", "WORLD_SIZE"),
    "srun": ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # sbatch alone sets no number of a step
    "mpirun": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    "mpiexec": ("PMI_RANK", "PMI_SIZE"),
}


@dataclass(frozen=True)
class StartedRank:
    """One of ``ranks`` processes that a launcher such as torchrun started with one command."""

    launcher: str
    rank: int
    ranks: int

    def __str__(self) -> str:
        name = _LAUNCHERS[self.launcher][1]
        return f"{self.launcher} started {self.ranks} processes ({name}={self.ranks})"

    def place(self) -> tuple[int, int, int]:
        """Return the place on this machine, the processes of each machine, and the machine.

        Raises:
            ValueError: the environment is none that ranks can meet by, as torchrun's is.
        """
        hint = f"try --num-gpus, or torchrun --nproc-per-node {self.ranks} -m fed_plugin train"
        missing = [x for x in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(x)]
        if self.launcher != "torchrun" or missing:
            wanted = " and ".join(missing or ("RANK", "WORLD_SIZE"))
            raise ValueError(f"{self}: expected {wanted}, as torchrun sets them; {hint}")
        local = _number("LOCAL_RANK", 0)
        alone = self.ranks if local == self.rank and "LOCAL_RANK" in os.environ else 1
        size = _number("LOCAL_WORLD_SIZE", alone)
        machine, rest = divmod(self.rank - local, size) if size else (0, 1)
        if rest or self.ranks % size or local >= size or self.rank >= self.ranks:
            raise ValueError(
                f"{self}: expected as many processes on each machine, got rank {self.rank}, "
                f"LOCAL_RANK {local} and LOCAL_WORLD_SIZE {size}; {hint}"
            )
        return local, size, machine


def started_rank() -> StartedRank | None:
    """Return which of several processes of a launcher this is; None for a process alone."""
    for launcher, (rank, ranks) in _LAUNCHERS.items():
        if rank in os.environ and ranks in os.environ:
            started = StartedRank(launcher, _number(rank, 0), _number(ranks, 1))
            return started if started.ranks > 1 else None
    return None


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise ValueError(f"{name}={text!r}: expected a whole number, as torchrun sets; try unset")
    return int(text)
