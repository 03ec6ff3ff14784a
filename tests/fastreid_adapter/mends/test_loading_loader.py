"""Loaders without CUDA, and errors that reach the user."""

from __future__ import annotations

import multiprocessing
import threading

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from fed_plugin.fastreid_adapter.mends import loading as samplers


class Numbers(torch.utils.data.Dataset):
    """Items 0..9 as one-element dicts; item ``broken`` raises."""

    def __init__(self, broken=None):
        self.broken = broken

    def __len__(self):
        return 10

    def __getitem__(self, index):
        if index == self.broken:
            raise OSError(f"no item {index}")
        return {"images": torch.tensor([float(index)])}


def arguments(dataset, workers=0):
    return {
        "dataset": dataset,
        "num_workers": workers,
        "batch_sampler": BatchSampler(SequentialSampler(dataset), 4, False),
        "pin_memory": True,
    }


def values(loader):
    return [batch["images"].flatten().tolist() for batch in loader]


@pytest.fixture
def plain(stock):
    module = stock("fastreid.data.data_utils")
    assert samplers.loader_works_without_cuda(module)
    return module.DataLoaderX


def test_the_stock_loader_cannot_be_built_without_cuda(stock):
    with pytest.raises((AssertionError, RuntimeError)):
        stock("fastreid.data.data_utils").DataLoaderX(0, **arguments(Numbers()))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_plain_loader_gives_every_item_in_order_and_starts_again(plain, workers, recwarn):
    loader = plain(0, **arguments(Numbers(), workers))
    expected = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert values(loader) == expected
    assert values(loader) == expected
    assert len(loader) == 3
    assert loader.local_rank == 0
    assert not [w for w in recwarn if "pin_memory" in str(w.message)]


def test_the_plain_loader_stands_in_for_the_stock_class(plain, stock):
    assert issubclass(plain, DataLoader)
    assert plain.__name__ == "DataLoaderX"
    assert plain.__mro__[1].__name__ == "DataLoaderX"


def test_shutdown_stops_the_workers_of_the_running_iteration(plain):
    loader = plain(0, **arguments(Numbers(), 2))
    iter(loader)
    assert next(loader)["images"].flatten().tolist() == [0, 1, 2, 3]
    workers = loader.iter._workers
    assert all(worker.is_alive() for worker in workers)
    loader.shutdown()
    assert not any(worker.is_alive() for worker in workers)
    loader.shutdown()
    assert len(values(loader)) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_worker_reaches_the_user_and_nothing_hangs(plain, workers, in_time):
    others = multiprocessing.active_children()  # of earlier tests, until they are collected
    loader = plain(0, **arguments(Numbers(broken=5), workers))
    how, error = in_time(lambda: values(loader))
    assert how == "raised"
    assert "no item 5" in str(error)
    assert set(multiprocessing.active_children()) <= set(others)


def test_with_cuda_the_stock_loader_stays(stock, monkeypatch):
    module = stock("fastreid.data.data_utils")
    before = module.DataLoaderX
    monkeypatch.setattr(samplers, "cuda_is_available", lambda: True)
    assert samplers.loader_works_without_cuda(module) is False
    assert module.DataLoaderX is before


def test_only_workers_of_spawned_ranks_are_forked(monkeypatch):
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: "spawn")
    assert samplers.worker_context() is None
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    monkeypatch.setattr(samplers.sys, "platform", "linux")
    assert samplers.worker_context() == "fork"
    monkeypatch.setattr(samplers.sys, "platform", "win32")
    assert samplers.worker_context() is None


class TestReadingThread:
    @pytest.fixture
    def reader(self, stock, monkeypatch):
        """The stock reading thread, with nothing to select a CUDA device on."""
        monkeypatch.setattr(torch.cuda, "set_device", lambda rank: None)
        return stock("fastreid.data.data_utils")

    @staticmethod
    def broken():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    def test_the_stock_thread_keeps_an_error_to_itself_and_its_consumer_waits(
        self, reader, monkeypatch
    ):
        monkeypatch.setattr(threading, "excepthook", lambda details: None)
        stream = reader.BackgroundGenerator(self.broken(), 0)
        stream.join(20)
        assert [next(stream), next(stream)] == [1, 2]
        assert stream.queue.empty()
        assert not stream.is_alive()

    def test_the_mended_thread_raises_its_error_at_the_next_batch(self, reader, in_time):
        assert samplers.reading_thread_hands_errors_over(reader)
        stream = reader.BackgroundGenerator(self.broken(), 0)
        how, error = in_time(lambda: list(stream))
        assert how == "raised"
        assert isinstance(error, OSError)
        assert "the disk is gone" in str(error)

    def test_a_stream_without_errors_is_as_it_was(self, reader, in_time):
        assert samplers.reading_thread_hands_errors_over(reader)
        assert in_time(lambda: list(reader.BackgroundGenerator(iter(range(30)), 0)))[1] == list(
            range(30)
        )

    def test_shutting_down_a_broken_stream_raises_nothing(self, reader, in_time):
        assert samplers.reading_thread_hands_errors_over(reader)
        stream = reader.BackgroundGenerator(self.broken(), 0)
        stream.join(20)
        stream.exit_event.set()
        assert in_time(lambda: list(stream)) == ("returned", [1, 2])

    def test_the_whole_stock_loader_hands_a_workers_error_over(self, reader, monkeypatch, in_time):
        from contextlib import nullcontext
        from types import SimpleNamespace

        class Stream(SimpleNamespace):
            def wait_stream(self, other):
                pass

        monkeypatch.setattr(torch.cuda, "Stream", lambda rank: Stream())
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(torch.Tensor, "to", lambda self, **kwargs: self)
        assert samplers.reading_thread_hands_errors_over(reader)
        others = multiprocessing.active_children()
        loader = reader.DataLoaderX(0, **{**arguments(Numbers(9), 1), "pin_memory": False})
        how, error = in_time(lambda: values(loader))
        assert (how, "no item 9" in str(error)) == ("raised", True)
        assert set(multiprocessing.active_children()) <= set(others)

    def test_a_thread_that_hands_errors_over_is_left_alone(self, reader):
        class Careful:
            def run(self):
                try:
                    list(self.generator)
                except OSError as error:
                    self.queue.put(error)

        reader.BackgroundGenerator = Careful
        assert samplers.reading_thread_hands_errors_over(reader) is False


class TestTestLoader:
    @pytest.mark.parametrize(("asked", "given"), [(0, 0), (2, 2), (8, 4)])
    def test_the_test_loader_takes_the_configured_workers_four_at_most(
        self, market_root, tiny_cfg, asked, given
    ):
        from fastreid.data import build_reid_test_loader

        cfg = tiny_cfg(**{"DATALOADER.NUM_WORKERS": asked})
        loader, num_query = build_reid_test_loader(cfg, dataset_name="Market1501")
        assert loader.num_workers == given
        assert num_query == 6
        assert len(loader.dataset) == 6 + 24

    def test_a_loader_built_without_a_config_keeps_the_stock_default(self, market_root, tiny_cfg):
        from fastreid.data import build_reid_test_loader

        loader, _ = build_reid_test_loader(Numbers(), 2, 1)
        assert loader.num_workers == 4
        loader, _ = build_reid_test_loader(test_set=Numbers(), test_batch_size=2, num_query=1)
        assert loader.num_workers == 4

    def test_a_host_that_configures_its_workers_is_left_alone(self):
        from types import ModuleType

        module = ModuleType("fastreid.data.build")
        module.build_reid_test_loader = len
        module._test_loader_from_config = lambda cfg: {"num_workers": cfg.DATALOADER.NUM_WORKERS}
        assert samplers.test_loader_takes_the_configured_workers(module) is False


def no_batch(items):
    return {"images": torch.zeros(4), "more": lambda: "nobody can send this"}


@pytest.mark.parametrize("reader", ["plain", "with_cuda"])
def test_a_batch_that_a_worker_cannot_send_is_an_error_and_no_hang(stock, reader):
    module = stock("fastreid.data.data_utils")
    if reader == "plain":
        assert samplers.loader_works_without_cuda(module)
        kind = module.DataLoaderX
    else:  # what the reading thread of CUDA iterates over
        kind = module.DataLoaderX = type("DataLoaderX", (DataLoader,), {})
    assert samplers.full_memory_ends_the_run(module)
    settings = {**arguments(Numbers(), 2), "pin_memory": False, "collate_fn": no_batch}
    loader = kind(*[0] * (reader == "plain"), **settings)
    with pytest.raises(RuntimeError, match=r"^a loader worker could not hand over a batch: .*"):
        values(loader)
