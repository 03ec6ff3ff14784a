"""SynthOcc: people drawn by a program, for occluded re-identification without any download."""

from fed_plugin.datasets.synthocc.build import build_synthocc
from fed_plugin.datasets.synthocc.plan import SIZES
from fed_plugin.datasets.synthocc.records import Row, read_visibility

__all__ = ["SIZES", "Row", "build_synthocc", "read_visibility"]
