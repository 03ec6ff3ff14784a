"""SynthOcc: people drawn by a program, for occluded re-identification without any download."""

from fed_plugin.datasets.synthocc.build import build_synthocc
from fed_plugin.datasets.synthocc.plan import SIZES

__all__ = ["SIZES", "build_synthocc"]
