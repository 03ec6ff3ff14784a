"""Steps around the host's loaders, and the images of a config's training set.

The host builds data sets without a config, so that no key can reach a data set. While a loader is
built from a config, ``current_config`` returns this config.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from fastreid.data import build
from fastreid.data.common import CommDataset
from fastreid.data.datasets import DATASET_REGISTRY
from fastreid.data.transforms import build_transforms
from fastreid.utils import comm
from fastreid.utils.env import seed_all_rng
from torch import Tensor

from fed_plugin.datasets.splits import Item
from fed_plugin.fastreid_adapter.config_checks import NPO_NAME, check_config
from fed_plugin.fastreid_adapter.mends import loading
from fed_plugin.fastreid_adapter.mends.loading import TEST_WORKERS
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step
from fed_plugin.fastreid_adapter.seeding import SeededSampler, lists_under_the_seed

_current: ContextVar[Any] = ContextVar("current_config", default=None)


def current_config() -> Any:
    """Return the config whose loader is being built; None if there is none."""
    return _current.get()


@contextmanager
def as_current(cfg: Any) -> Iterator[None]:
    """Make ``cfg`` the current config while data sets are built from it."""
    token = _current.set(cfg)
    try:
        yield
    finally:
        _current.reset(token)


def lists_of_the_run(data_set: Any) -> AbstractContextManager[None]:
    """Seed the draws of a data set by the current config's ``SEED`` at its construction, or by 0.

    A later list of the same object follows the same seed, whatever config is current.
    """
    cfg = current_config()
    seed = max(0, -1 if cfg is None else int(cfg.get("SEED", -1)))
    own = vars(data_set).setdefault("_fed_seed", seed)
    return lists_under_the_seed(type(data_set).__name__, own)


loading.while_listing = lists_of_the_run


def training_items(cfg: Any) -> list[tuple[str, str, str]]:
    """List (path, pid, camid) of ``DATASETS.NAMES``, as the stock train loader does.

    Raises:
        FileNotFoundError: A data set is missing.
    """
    items = []
    with as_current(cfg):
        for name in cfg.DATASETS.NAMES:
            dataset = DATASET_REGISTRY.get(name)(
                root=build._root, combineall=cfg.DATASETS.COMBINEALL
            )
            items += dataset.train
    return items


def query_and_gallery(cfg: Any, dataset_name: str) -> tuple[list[Item], list[Item]]:
    """List (path, pid, camid) of a data set's query and gallery, as the stock test loader does.

    Raises:
        FileNotFoundError: The data set is not there.
    """
    with as_current(cfg):
        dataset = DATASET_REGISTRY.get(dataset_name)(root=build._root)
    query, gallery = (
        [tuple(item[:3]) for item in part] for part in (dataset.query, dataset.gallery)
    )
    return query, gallery


@host_step("fastreid.data.build", "build_reid_train_loader")
def seed_the_sampler(call: Call) -> Iterator[None]:
    """Give the train loader of a config its data sets' config, and the seed of the run."""
    cfg = call.cfg
    yield from hand_on_the_config(call)
    seed = -1 if cfg is None else cfg.get("SEED", -1)
    if call.error is None and cfg is not None:
        ranks, workers = comm.get_local_size(), call.result.num_workers
        check_shared_memory(cfg, workers, training=True, ranks=ranks)
    if call.error is None and seed >= 0:
        batches = call.result.batch_sampler
        batches.sampler = SeededSampler(batches.sampler, (seed, comm.get_rank()))


@host_step("fastreid.data.build", "build_reid_test_loader")
def check_before_testing(call: Call) -> Iterator[None]:
    """Hand on the config of a test loader; look whether its batches find room."""
    cfg = call.cfg  # another step replaces the arguments
    yield from hand_on_the_config(call)
    if call.error is None and cfg is not None:
        loader = call.result[0]
        check_shared_memory(cfg, loader.num_workers, images=len(loader.dataset))


def hand_on_the_config(call: Call) -> Iterator[None]:
    """Check the config of a loader, and make it the current config while the loader is built."""
    if call.cfg is None:
        yield
        return
    check_config(call.cfg)  # for loops of other projects; the host's trainer has checked it
    with as_current(call.cfg):
        yield


# Workers hand batches over in shared memory. Containers have 64 MB of it unless told otherwise.

SHARED_MEMORY = "/dev/shm"
_AHEAD = 2  # batches that a worker loads ahead, as PyTorch's loader asks for


def check_shared_memory(
    cfg: Any,
    workers: int | None = None,
    *,
    images: int = 1 << 40,
    training: bool = False,
    ranks: int = 1,
) -> None:
    """Refuse loader workers whose batches would not find room.

    Args:
        cfg: Config of the host.
        workers: Number of workers; None takes ``DATALOADER.NUM_WORKERS``.
        images: Number of test images.
        training: Whether a training and its evaluations run at once; else an evaluation alone.
        ranks: Number of ranks that share the memory.

    Raises:
        ValueError: The memory that is free is too small.
    """
    workers = cfg.DATALOADER.NUM_WORKERS if workers is None else workers
    if not workers or not os.path.isdir(SHARED_MEMORY):
        return

    views = cfg.INPUT.NPO.VIEWS if NPO_NAME in cfg.INPUT.EXTRA_TRANSFORMS else 1

    def batch(part: Any) -> int:
        return int(part.IMS_PER_BATCH // comm.get_world_size())

    def needed(count: int) -> int:
        tested = (_AHEAD * min(count, TEST_WORKERS) + 1) * batch(cfg.TEST)
        tested = min(tested, images) * _image_bytes(cfg, cfg.INPUT.SIZE_TEST)
        trained = (_AHEAD * count + 1) * batch(cfg.SOLVER) * views if training else 0
        trained *= _image_bytes(cfg, cfg.INPUT.SIZE_TRAIN)
        return ranks * (tested + trained) if count else 0

    status = os.statvfs(SHARED_MEMORY)
    free = status.f_bavail * status.f_frsize
    if needed(workers) > free:
        fits = next(count for count in range(workers, -1, -1) if needed(count) <= free)
        raise ValueError(
            f"DATALOADER.NUM_WORKERS={workers}: expected {needed(workers) / 1e6:,.0f} MB of free "
            f"shared memory ({SHARED_MEMORY}) for the workers' batches, got {free / 1e6:,.0f} MB; "
            f"try DATALOADER.NUM_WORKERS {fits}, or more of it, such as docker run --shm-size "
            f"{math.ceil(1.25 * needed(workers) / 2**30)}g"
        )


def _image_bytes(cfg: Any, size: Sequence[int]) -> int:
    """Return the bytes of an image in a batch; 0 where images keep their sizes."""
    height, *width = cfg.INPUT.CROP.SIZE if cfg.INPUT.CROP.ENABLED else size
    return int(3 * height * (width or [height])[0]) * 4  # float32


# How many identities a config trains on, which decides the size of its classifiers.


def count_identities(cfg: Any) -> int:
    """Count the training identities of ``DATASETS.NAMES``, or take the config's own number.

    Raises:
        ValueError: A data set is missing or not whole.
    """
    if cfg.MODEL.HEADS.NUM_CLASSES > 0:
        return int(cfg.MODEL.HEADS.NUM_CLASSES)
    try:
        return len({pid for _, pid, _ in training_items(cfg)})
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        text = error.args[0] if isinstance(error, KeyError) else error
        raise ValueError(
            f"DATASETS.NAMES={tuple(cfg.DATASETS.NAMES)}: {text}; classifiers and memories have a "
            "row per training identity, so try --identities N, such as 702 for Occluded_Duke"
        ) from error


# What the training pipeline of a config yields, taken from the stock loader.
#
# Shape shorthand: ``N`` images, ``V`` views (1, or 2 with ``NPOAugmentation``).


@dataclass(frozen=True)
class TrainingImages:
    """Images as a model gets them, before the model normalises them.

    Views are (N, V, 3, H, W) in [0, 255], of two views the holistic first; targets (N,). Both lie
    on the CPU.
    """

    views: Tensor
    targets: Tensor
    paths: tuple[str, ...]


def first_training_images(cfg: Any, count: int) -> TrainingImages:
    """Take the first images that a training run of this config would take.

    With ``SEED`` 0 or more every call returns the same images and augmentations.

    Raises:
        ValueError: ``count`` is below 1, or an extra transform returns neither one view nor two.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 training image, got {count}")
    if cfg.get("SEED", -1) >= 0:
        seed_all_rng(cfg.SEED)
    loader = build.build_reid_train_loader(cfg, combineall=cfg.DATASETS.COMBINEALL)
    images, targets, paths = [], [], []
    for batch in loader:
        images.append(batch["images"].cpu())
        targets.append(batch["targets"].cpu())
        paths += batch["img_paths"]
        if len(paths) >= count:
            break
    loader.shutdown()
    views = torch.cat(images)[:count]
    if views.dim() == 4:
        views = views[:, None]
    if views.dim() != 5 or views.shape[1] > 2:
        raise ValueError(
            f"INPUT.EXTRA_TRANSFORMS={cfg.INPUT.EXTRA_TRANSFORMS}: expected one view (B, 3, H, W) "
            f"or two (B, 2, 3, H, W), got {tuple(views.shape)}"
        )
    return TrainingImages(views, torch.cat(targets)[:count], tuple(paths[:count]))


def load_images(cfg: Any, items: list[Item]) -> Iterable[dict[str, Any]]:
    """Return the stock test loader over some images."""
    images = CommDataset(items, build_transforms(cfg, is_train=False), relabel=False)
    loader, _ = build.build_reid_test_loader(cfg, test_set=images, num_query=0)
    return loader
