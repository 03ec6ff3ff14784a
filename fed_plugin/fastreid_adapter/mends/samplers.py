"""Row 4: loaders that run without CUDA, and whose errors reach the user."""

from __future__ import annotations

import functools
import queue
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

from .mending import cuda_is_available, mend, mentions, replace

TEST_WORKERS = 4


def worker_context() -> str | None:
    """Name the start method for loader workers; None leaves the choice to PyTorch.

    In a rank that ``mp.spawn`` started, workers would be spawned as well and import PyTorch anew,
    for every evaluation. Without CUDA they can be forked, as they are outside of ranks.
    """
    import multiprocessing

    in_a_rank = multiprocessing.parent_process() is not None
    spawning = multiprocessing.get_start_method(allow_none=True) == "spawn"
    return "fork" if in_a_rank and spawning and sys.platform == "linux" else None


def _plain(stock: type) -> type:
    """Derive a loader from the host's ``DataLoaderX`` that is PyTorch's own."""
    from torch.utils.data import DataLoader

    class DataLoaderX(stock):  # type: ignore[misc, valid-type]
        """Load batches with PyTorch's loader alone: no CUDA stream, no reading thread."""

        def __init__(self, local_rank: int, **kwargs: Any) -> None:
            kwargs["pin_memory"] = False
            if kwargs.get("num_workers"):
                kwargs.setdefault("multiprocessing_context", worker_context())
            DataLoader.__init__(self, **kwargs)
            self.local_rank = local_rank
            self.iter = iter(())

        def __iter__(self) -> Any:
            self.iter = DataLoader.__iter__(self)
            return self

        def __next__(self) -> Any:
            try:
                return next(self.iter)
            except StopIteration:
                raise
            except BaseException:
                self.shutdown()
                raise

        def shutdown(self) -> None:
            """Stop the workers of the running iteration."""
            running, self.iter = self.iter, iter(())
            _stop_workers(running)

    return DataLoaderX


def _stop_workers(iteration: Any) -> None:
    """Stop an iteration's workers now; a garbage collector would wait 5 seconds for each."""
    if hasattr(iteration, "_shutdown_workers"):
        iteration._shutdown_workers()


@mend(
    row=4,
    after="fastreid.data.data_utils",
    reason="DataLoaderX opens a CUDA stream: nothing can be loaded without CUDA",
)
def loader_works_without_cuda(module: ModuleType) -> bool:
    """Replace ``DataLoaderX`` by a plain loader where there is no CUDA."""
    if cuda_is_available() or not mentions(module.DataLoaderX.__init__, "cuda"):
        return False
    replace(module, "DataLoaderX", _plain(module.DataLoaderX))
    return True


def _loses_errors(reader: type) -> bool:
    """Tell whether an error in the reading thread goes by without a word to its consumer."""

    def broken() -> Any:
        raise OSError("a probe")
        yield

    handed_over: queue.Queue[Any] = queue.Queue()
    probe = SimpleNamespace(
        generator=broken(), local_rank=-1, queue=handed_over, exit_event=threading.Event()
    )
    try:  # rank -1: CUDA is left alone
        reader.run(probe)  # type: ignore[attr-defined]
    except OSError:
        return True
    return False


@mend(
    row=4,
    after="fastreid.data.data_utils",
    reason="an error in DataLoaderX's reading thread hangs the run for ever",
)
def reading_thread_hands_errors_over(module: ModuleType) -> bool:
    """Let ``BackgroundGenerator`` raise its thread's error where the next batch is asked for."""
    reader = module.BackgroundGenerator
    if not _loses_errors(reader):
        return False
    stock_run, stock_next = reader.run, reader.next

    def run(self: Any) -> None:
        """Read ahead; keep an error for the consumer and end the stream."""
        try:
            stock_run(self)
        except Exception as error:
            self.error = error
            _stop_workers(self.generator)
            self.queue.put(None)

    def next_item(self: Any) -> Any:
        """Return the next batch, or raise what stopped the thread."""
        try:
            return stock_next(self)
        except StopIteration:
            error = getattr(self, "error", None)
            if error is None or self.exit_event.is_set():
                raise
        raise error

    reader.run, reader.next = run, next_item
    return True


@mend(
    row=4,
    after="fastreid.data.build",
    reason="the test loader always takes 4 workers, whatever DATALOADER.NUM_WORKERS says",
)
def test_loader_takes_the_configured_workers(module: ModuleType) -> bool:
    """Load test images with ``DATALOADER.NUM_WORKERS`` workers, 4 at most."""
    stock, from_config = module.build_reid_test_loader, module._test_loader_from_config
    if mentions(from_config, "num_workers"):
        return False

    @functools.wraps(stock)
    def build_reid_test_loader(*args: Any, **kwargs: Any) -> Any:
        cfg = args[0] if args else kwargs.get("cfg")
        if not hasattr(cfg, "DATALOADER"):
            return stock(*args, **kwargs)
        explicit = from_config(*args, **kwargs)
        workers = min(TEST_WORKERS, cfg.DATALOADER.NUM_WORKERS)
        return stock(**{"num_workers": workers, **explicit})

    replace(module, "build_reid_test_loader", build_reid_test_loader)
    return True
