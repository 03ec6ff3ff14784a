"""Contradictions among ``INPUT.NPO`` and ``INPUT.EXTRA_TRANSFORMS``, found without a file."""

from __future__ import annotations

from typing import Any

from fed_plugin.fastreid_adapter.key_checks import check_keys
from fed_plugin.fastreid_adapter.transform_registry import TRANSFORM_REGISTRY, is_registered
from fed_plugin.transforms.placement_rule import PlacementRule

NAME = "NPOAugmentation"


def check_npo(cfg: Any) -> PlacementRule:
    """Refuse keys of ``INPUT.NPO`` that are wrong or contradict each other.

    Returns:
        What they say of the placement.

    Raises:
        ValueError: one sentence with the key, its value and what was expected.
    """
    check_keys(cfg, under="INPUT.NPO.")
    npo = cfg.INPUT.NPO
    return PlacementRule(
        placement=npo.PLACEMENT,
        height=tuple(npo.HEIGHT),
        width=tuple(npo.WIDTH),
        count=tuple(npo.COUNT),
        people=npo.PEOPLE.PROB,
        people_scale=tuple(npo.PEOPLE.SCALE),
        people_height=tuple(npo.PEOPLE.HEIGHT),
        people_width=tuple(npo.PEOPLE.WIDTH),
    )


def check_extra_transforms(cfg: Any) -> None:
    """Refuse names that nobody registered, and NPO on the two views that NPO has made.

    Raises:
        ValueError: one of these.
    """
    key, names = "INPUT.EXTRA_TRANSFORMS", tuple(cfg.INPUT.EXTRA_TRANSFORMS)
    for name in names:
        if not is_registered(TRANSFORM_REGISTRY, name):
            known = ", ".join(sorted(TRANSFORM_REGISTRY._obj_map))
            raise ValueError(f"{key}={names!r}: {name!r} is not registered; expected {known}")
    if cfg.INPUT.NPO.VIEWS == 2 and names.count(NAME) > 1:
        raise ValueError(
            f"{key}={names!r}: expected {NAME} once, as it makes two views of one; try "
            "INPUT.NPO.COUNT for more occluders"
        )
