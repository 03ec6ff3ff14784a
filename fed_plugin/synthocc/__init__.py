"""SynthOcc: people drawn by a program, for occluded re-identification without any download."""

from __future__ import annotations

from fed_plugin.synthocc.build import Row, build_synthocc, read_visibility
from fed_plugin.synthocc.casting import SIZES

__all__ = ["SIZES", "Row", "build_synthocc", "read_visibility"]
