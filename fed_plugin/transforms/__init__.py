"""NPO augmentation: obstacles, where they go, and how they get there; no config, no toolbox.

In the order of use: ``occluders`` (a folder of crops) or ``drawn_occluders`` (crops drawn by this
program), ``placement`` (random numbers become a place), ``npo`` (the place becomes pixels).
"""

from fed_plugin.transforms.color_jitter import ColorJitter
from fed_plugin.transforms.drawn_occluders import drawn_occluders
from fed_plugin.transforms.npo import NPOAugmentation, paste
from fed_plugin.transforms.occluders import OccluderSet
from fed_plugin.transforms.placement import Placement, draw_placement, occlusion_mask

__all__ = [
    "ColorJitter",
    "NPOAugmentation",
    "OccluderSet",
    "Placement",
    "draw_placement",
    "drawn_occluders",
    "occlusion_mask",
    "paste",
]
