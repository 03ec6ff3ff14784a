"""What the stock loaders hand on beyond their arguments: the config, and the seed of a run.

The host builds data sets without a config, so that no key could reach one; while a loader is being
built from a config, ``current_config`` is that config.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastreid.data import build
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.utils import comm

from fed_plugin.fastreid_adapter.compat import rebind
from fed_plugin.fastreid_adapter.config_checks import check_config
from fed_plugin.fastreid_adapter.items import SeededSampler

_current: ContextVar[Any] = ContextVar("current_config", default=None)


def current_config() -> Any:
    """Return the config whose loader is being built, None where none is or it was not given."""
    return _current.get()


@contextmanager
def as_current(cfg: Any) -> Iterator[None]:
    """Make ``cfg`` the current config while data sets are built from it."""
    token = _current.set(cfg)
    try:
        yield
    finally:
        _current.reset(token)


def training_items(cfg: Any) -> list[tuple[str, str, str]]:
    """List (path, pid, camid) of ``DATASETS.NAMES``, as the stock train loader does.

    Raises:
        FileNotFoundError: a data set is not there.
    """
    items = []
    with as_current(cfg):
        for name in cfg.DATASETS.NAMES:
            dataset = DATASET_REGISTRY.get(name)(
                root=build._root, combineall=cfg.DATASETS.COMBINEALL
            )
            items += dataset.train
    return items


def extend_stock_loaders() -> None:
    """Let the host's two loader builders hand on their config and its seed; twice is once."""
    for stock in (build.build_reid_train_loader, build.build_reid_test_loader):
        if not getattr(stock, "hands_on_its_config", False):
            _extend(stock)


def _extend(stock: Callable[..., Any]) -> None:
    @functools.wraps(stock)
    def build_loader(*args: Any, **kwargs: Any) -> Any:
        cfg = args[0] if args else kwargs.get("cfg")
        if not hasattr(cfg, "DATASETS"):
            return stock(*args, **kwargs)
        check_config(cfg)  # for loops of other projects; the host's trainer has checked it already
        with as_current(cfg):
            loader = stock(*args, **kwargs)
        seed = cfg.get("SEED", -1)
        if stock.__name__ == "build_reid_train_loader" and seed >= 0:
            batches = loader.batch_sampler
            batches.sampler = SeededSampler(batches.sampler, (seed, comm.get_rank()))
        return loader

    build_loader.hands_on_its_config = True  # type: ignore[attr-defined]
    setattr(build, stock.__name__, build_loader)
    rebind(stock, build_loader)
