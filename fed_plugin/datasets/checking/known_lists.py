"""Hashes of published file lists: a complete copy has these names and no others.

The lists are sorted and have a name per line, so that the sha256 of the published file is what
``list_hash`` makes of a copy.
"""

from __future__ import annotations

from collections.abc import Mapping

# Source: https://github.com/lightas/Occluded-DukeMTMC-Dataset, Occluded_Duke/*.list
KNOWN_LISTS: Mapping[str, Mapping[str, str]] = {
    "Occluded_Duke": {
        "train": "dadffee79d8601545ca2217a38406c1cb6dab39d0b4b0c6370c8486738dee059",
        "query": "fb5e1b1a749a0ab8602414bc9159e7a03216c2bdc519b5a4e513e05e3f612333",
        "gallery": "0393fa86344ef4c220a5589aaad409f3adda1e14e39fc8425c80e90196065fca",
    }
}
"""Per data set and split, the sha256 of its file list."""
