"""First content of the memory: the mean feature of each identity over the training set.

Shape shorthand: ``B`` images, ``D`` channels of a slot, ``M`` identities.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from fastreid.data.build import fast_batch_collator
from fastreid.data.common import CommDataset
from fastreid.data.transforms import build_transforms
from fastreid.utils import comm
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from fed_plugin.fastreid_adapter.loaders import training_items
from fed_plugin.fastreid_adapter.mends.loading import TEST_WORKERS, start_worker, worker_context
from fed_plugin.fastreid_adapter.ranks import sum_across_ranks

logger = logging.getLogger("fastreid.fed_plugin.memory")

SECONDS_BETWEEN_LINES = 10.0


def training_centroids(cfg: Any) -> Callable[[nn.Module], Tensor]:
    """Return a function ``model -> (M, D)`` that averages the configured training set."""
    return partial(_centroids, cfg.clone())


def _centroids(cfg: Any, model: nn.Module) -> Tensor:
    """Average ``[BN_1(f_1)..BN_P(f_P)]`` over each identity's images, sharded over the ranks.

    The model runs in eval mode with test-time preprocessing, and keeps its mode. No random stream
    is touched.

    Raises:
        ValueError: the training set has another number of identities than the model.
    """
    dataset = _training_set(cfg)
    slots = model.heads.memory("erased").features
    if dataset.num_classes != len(slots):
        raise ValueError(
            f"MODEL.HEADS.NUM_CLASSES={len(slots)}: expected {dataset.num_classes}, the training "
            f"identities of DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}; try 0 to have them counted"
        )
    sums = torch.zeros(slots.shape, dtype=torch.float64, device=slots.device)
    counts = torch.zeros(len(slots), dtype=torch.float64, device=slots.device)
    with _evaluating(model):
        for batch in _with_progress(_shard_loader(cfg, dataset)):
            targets = batch["targets"].to(slots.device)
            features = model.heads.memory_features(
                model.features(batch["images"].to(slots.device))
            ).double()
            sums.index_add_(0, targets, features)
            counts.index_add_(0, targets, torch.ones_like(targets, dtype=torch.float64))
    sums, counts = sum_across_ranks(sums), sum_across_ranks(counts)
    return (sums / counts.clamp(min=1)[:, None]).to(slots.dtype)


def _training_set(cfg: Any) -> CommDataset:
    """Build the data set of the stock train loader, with test-time preprocessing."""
    return CommDataset(training_items(cfg), build_transforms(cfg, is_train=False), relabel=True)


def _shard_loader(cfg: Any, dataset: CommDataset) -> DataLoader:
    world_size, workers = comm.get_world_size(), min(TEST_WORKERS, cfg.DATALOADER.NUM_WORKERS)
    return DataLoader(
        Subset(dataset, range(comm.get_rank(), len(dataset), world_size)),
        batch_size=max(1, cfg.TEST.IMS_PER_BATCH // world_size),
        num_workers=workers,
        multiprocessing_context=worker_context() if workers else None,
        worker_init_fn=partial(start_worker, None) if workers else None,
        collate_fn=fast_batch_collator,
        generator=torch.Generator(),
    )


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def _with_progress(loader: DataLoader) -> Iterator[Any]:
    start = last = time.perf_counter()
    logger.info("Filling the memory from %d training images", len(loader.dataset))
    for index, batch in enumerate(loader, start=1):
        yield batch
        now = time.perf_counter()
        if now - last > SECONDS_BETWEEN_LINES:
            last = now
            eta = datetime.timedelta(seconds=int((now - start) / index * (len(loader) - index)))
            logger.info("Memory: batch %d/%d, ETA %s", index, len(loader), eta)
    logger.info("Memory filled in %.1f s", time.perf_counter() - start)
