"""Search in a gallery of photos: index, queries, calibration, appearance for trackers."""

from __future__ import annotations

MATCHINGS = ("cosine", "visibility")
"""Ways to compare two photos, the values of ``--matching``."""
