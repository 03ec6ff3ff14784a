"""NPO augmentation, without config keys and without fast-reid.

In the order of use: ``occluders`` (a folder of crops) or ``drawn_occluders`` (crops drawn by this
program), ``people`` (other people as occluders), ``placement`` and ``placement_rule`` (random
numbers become places), ``npo`` (places become pixels).
"""

from __future__ import annotations

from fed_plugin.transforms.drawn_occluders import drawn_occluders
from fed_plugin.transforms.npo import NPOAugmentation, paste
from fed_plugin.transforms.occluders import OccluderSet
from fed_plugin.transforms.people import PeopleSet
from fed_plugin.transforms.placement import (
    ColorJitter,
    PersonPlacement,
    Placement,
    draw_placement,
    occlusion_mask,
)
from fed_plugin.transforms.placement_rule import PlacementRule

__all__ = [
    "ColorJitter",
    "NPOAugmentation",
    "OccluderSet",
    "PeopleSet",
    "PersonPlacement",
    "Placement",
    "PlacementRule",
    "draw_placement",
    "drawn_occluders",
    "occlusion_mask",
    "paste",
]
