"""Names in ``INPUT.EXTRA_TRANSFORMS``, built from the config and appended to the stock pipeline."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

from fed_plugin import transforms
from fed_plugin.fastreid_adapter.config_checks import (
    TRANSFORM_REGISTRY,
    check_config,
    placement_rule,
)
from fed_plugin.fastreid_adapter.loaders import training_items
from fed_plugin.fastreid_adapter.mends.mending import Call, host_step
from fed_plugin.fastreid_adapter.seeding import current_item

OCCLUDERS = "INPUT.NPO.OCCLUDERS"
PEOPLE = "INPUT.NPO.PEOPLE.PROB"


@TRANSFORM_REGISTRY.register()
def NPOAugmentation(cfg: Any) -> transforms.NPOAugmentation:  # noqa: N802 - its registered name
    """Build ``transforms.NPOAugmentation`` from the keys of ``INPUT.NPO``.

    The keys are checked before any file is read. The occluders are decoded no larger than an image
    can show them.
    """
    check_config(cfg)
    rule, npo = placement_rule(cfg), cfg.INPUT.NPO
    if npo.OCCLUDERS:
        occluders = transforms.OccluderSet.from_folder(
            npo.OCCLUDERS, OCCLUDERS, alpha=npo.ALPHA, most_shown=_most_shown(cfg.INPUT, rule)
        )
    else:
        occluders = transforms.drawn_occluders()
    return transforms.NPOAugmentation(
        occluders,
        npo.PROB,
        rule,
        npo.FEATHER,
        training_people(cfg) if rule.people else None,
        views=npo.VIEWS,
        find_pid=partial(_pid_of_current_item, rule.people),
    )


def training_people(cfg: Any) -> transforms.PeopleSet:
    """List the training images of ``DATASETS.NAMES``, as the stock train loader would.

    Raises:
        FileNotFoundError: a data set is not there.
        ValueError: the data sets have fewer than two training identities together.
    """
    items = training_items(cfg)
    paths, pids = [item[0] for item in items], [item[1] for item in items]
    try:
        return transforms.PeopleSet(paths, pids, key=PEOPLE)
    except ValueError as error:
        raise ValueError(f"{error}, in DATASETS.NAMES; try {PEOPLE} 0.0") from error


def _most_shown(
    given: Any, rule: transforms.PlacementRule
) -> Callable[[tuple[int, int]], tuple[int, int]] | None:
    """Return a function from a crop's size to the largest size that the crop is pasted with.

    The function is None where images keep their own sizes, which may be larger than any crop.
    """
    sides = given.CROP.SIZE if given.CROP.ENABLED else given.SIZE_TRAIN
    if not given.CROP.ENABLED and (len(sides) == 1 or sides[0] <= 0):
        return None
    height, width = int(sides[0]), int(sides[-1])
    return lambda size: rule.most_shown(size, (height, width))


def _pid_of_current_item(share: float) -> Hashable:
    item = current_item()
    if item is None:
        raise ValueError(
            f"{PEOPLE}={share}: expected to know whose image it is, as in fast-reid's data set "
            f"(CommDataset); try {PEOPLE} 0.0"
        )
    return item.pid


@host_step("fastreid.data.transforms.build", "build_transforms")
def append_extra_transforms(call: Call) -> Iterator[None]:
    """Let the host's ``build_transforms`` read ``INPUT.EXTRA_TRANSFORMS``."""
    cfg, training = call.argument("cfg"), call.argument("is_train", True)
    yield
    if call.error is None and training:
        call.result.transforms.extend(
            TRANSFORM_REGISTRY.get(name)(cfg) for name in cfg.INPUT.EXTRA_TRANSFORMS
        )
