"""Occluded-Duke built from somebody's own copy of DukeMTMC-reID and the three published lists."""

from fed_plugin.datasets.occluded_duke_builder.building import Built, build_occluded_duke
from fed_plugin.datasets.occluded_duke_builder.lists import LISTS, WITHDRAWN, ListRule, read_lists

__all__ = ["LISTS", "WITHDRAWN", "Built", "ListRule", "build_occluded_duke", "read_lists"]
