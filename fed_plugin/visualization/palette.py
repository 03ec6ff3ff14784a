"""Colours that readers with any colour vision can tell apart.

Source: Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

BLUE = "#0072B2"  # visible, right
VERMILLION = "#D55E00"  # covered, wrong; never alone: also hatched, dashed or crossed
PALE_VERMILLION = "#F9E3D6"
INK = "#1A1A1A"
GREY = "#5F5F5F"
PALE_GREY = "#D9D9D9"
PAPER = "#FFFFFF"
