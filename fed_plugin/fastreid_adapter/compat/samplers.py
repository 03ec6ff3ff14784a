"""Row 9: batches that no identity sampler can fill are refused instead of waited for."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .mending import mend


def _batch_of(sampler: str, mini_batch_size: int, num_instances: int) -> tuple[int, str]:
    """Return the number of ranks and the words with which every refusal of a sampler begins."""
    from fastreid.utils import comm

    ranks = comm.get_world_size()
    share = f" on each of {ranks} ranks" if ranks > 1 else ""
    return ranks, (
        f"DATALOADER.SAMPLER_TRAIN={sampler} can never fill a batch: SOLVER.IMS_PER_BATCH="
        f"{mini_batch_size * ranks} is {mini_batch_size} images{share}, "
        f"DATALOADER.NUM_INSTANCE={num_instances}"
    )


def check_naive_identity_sampler(
    data_source: Any, mini_batch_size: int, num_instances: int, *rest: Any, **more: Any
) -> None:
    """Refuse a batch that `NaiveIdentitySampler` cannot fill.

    Raises:
        ValueError: The images per rank are no multiple of ``NUM_INSTANCE``, or there are fewer
            identities than one round over all ranks draws.
    """
    ranks, what = _batch_of("NaiveIdentitySampler", mini_batch_size, num_instances)
    _check_multiple(what, mini_batch_size, num_instances)
    wanted = mini_batch_size // num_instances
    images = Counter(item[1] for item in data_source)
    # An identity with fewer images than NUM_INSTANCE is drawn with repetition, once in a round.
    draws = sum(min(ranks, max(1, count // num_instances)) for count in images.values())
    if len(images) < wanted or draws < wanted * ranks:
        raise ValueError(
            f"{what}, which takes {wanted} identities per rank; got {len(images)} identities with "
            f"{sum(images.values())} images; try a smaller SOLVER.IMS_PER_BATCH"
        )


def check_balanced_identity_sampler(
    data_source: Any, mini_batch_size: int, num_instances: int, *rest: Any, **more: Any
) -> None:
    """Refuse a batch that `BalancedIdentitySampler` cannot fill.

    Raises:
        ValueError: The batch is no multiple of ``NUM_INSTANCE``, or there are fewer identities
            than it takes.
    """
    ranks, what = _batch_of("BalancedIdentitySampler", mini_batch_size, num_instances)
    if mini_batch_size < num_instances:
        _check_multiple(what, mini_batch_size, num_instances)
    _check_multiple(what, mini_batch_size * ranks, num_instances)
    identities = len({item[1] for item in data_source})
    per_round = mini_batch_size // num_instances * ranks
    wanted = mini_batch_size * ranks // num_instances
    if identities - identities % per_round < wanted:
        raise ValueError(
            f"{what}, which takes {wanted} identities; got {identities}; try a smaller "
            "SOLVER.IMS_PER_BATCH"
        )


def check_set_reweight_sampler(
    data_source: Any,
    mini_batch_size: int,
    num_instances: int,
    set_weight: Any,
    *rest: Any,
    **more: Any,
) -> None:
    """Refuse a batch that `SetReWeightSampler` cannot fill.

    Raises:
        ValueError: One round over the cameras does not make exactly one batch.
    """
    ranks, what = _batch_of("SetReWeightSampler", mini_batch_size, num_instances)
    cameras = len({item[2] for item in data_source})
    drawn = sum(list(set_weight)[:cameras]) * num_instances
    if drawn != mini_batch_size * ranks:
        raise ValueError(
            f"{what}; it yields rounds of exactly one batch, and DATALOADER.SET_WEIGHT="
            f"{list(set_weight)} makes rounds of {drawn} images for {cameras} cameras; try "
            "NaiveIdentitySampler"
        )


def _check_multiple(what: str, images: int, num_instances: int) -> None:
    if images < 1 or num_instances < 1 or images % num_instances:
        raise ValueError(
            f"{what}; expected a multiple of DATALOADER.NUM_INSTANCE on every rank; try "
            "SOLVER.IMS_PER_BATCH = ranks x identities x DATALOADER.NUM_INSTANCE"
        )


_CHECKS: dict[str, Callable[..., None]] = {
    "NaiveIdentitySampler": check_naive_identity_sampler,
    "BalancedIdentitySampler": check_balanced_identity_sampler,
    "SetReWeightSampler": check_set_reweight_sampler,
}


def _accepts_anything(sampler: type) -> bool:
    """Tell whether a sampler can be built for three images of one identity, two by two."""
    try:
        sampler([("a", 0, 0)] * 3, 3, 2, seed=0)
    except ValueError:
        return False
    except TypeError:  # SetReWeightSampler wants weights
        pass
    return True


@mend(
    row=9,
    after="fastreid.data.samplers.triplet_sampler",
    reason="samplers that can never fill a batch loop for ever",
)
def samplers_refuse_batches_they_cannot_fill(module: ModuleType) -> bool:
    """Check the batch against the training set when an identity sampler is built."""
    if not _accepts_anything(module.NaiveIdentitySampler):
        return False
    for name, check in _CHECKS.items():
        sampler = getattr(module, name)
        sampler.__init__ = _checked(sampler.__init__, check)
    return True


def _checked(stock: Callable[..., None], check: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(stock)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        check(*args, **kwargs)
        stock(self, *args, **kwargs)

    return __init__
