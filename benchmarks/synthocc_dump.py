"""What scripts on a dump of SynthOcc begin with: words, the dump, what can really be seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.synthocc import read_visibility

KNOWN = ("method", "config", "seed", "epoch", "overrides")


def read_words(about: str) -> tuple[FeatureDump, argparse.Namespace]:
    """Read ``DUMP.npz SYNTHOCC -o RESULT.json`` and the dump, which has to hold visibility.

    Args:
        about: what the script does.

    Returns:
        The dump, and ``synthocc`` and ``out`` as paths.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("dump", type=Path)
    parser.add_argument("synthocc", type=Path, help="the data set's folder")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    dump = FeatureDump.load(args.dump)
    if dump.visibility is None:
        raise SystemExit(f"{args.dump}: holds no visibility; expected a dump of a FED model")
    return dump, args


def known_of(dump: FeatureDump) -> dict[str, Any]:
    """Return what a dump says of its method."""
    return {key: dump.about.get(key) for key in KNOWN}


def visible_shares(dump: FeatureDump, rows: NDArray[np.int64], folder: Path) -> NDArray[Any]:
    """Return the share of the person that can be seen, (N,) in [0, 1], as SynthOcc knows it.

    Args:
        dump: with the names of its images.
        rows: (N,) of the dump.
        folder: of the data set.
    """
    known = {Path(row.name).name: row.shares[0] for row in read_visibility(folder).values()}
    return np.array([known[Path(str(dump.names[row])).name] for row in rows])
