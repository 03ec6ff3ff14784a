"""What a compressed index finds where descriptors vary along more directions, or are real.

Flatter spectra are the measured one (``drawn_people.py``) to a power below 1: what a stronger one
may have is not known here, and each needs more of what is left out. Descriptors of a feature dump
can be given, too.

    python benchmarks/speed/search_recall.py [DUMP.npz] --images 10000
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from drawn_people import IMAGES_PER_PERSON, WIDTH, Crowd
from interleaved import write_row
from tabulate import tabulate

from fed_plugin.retrieval.distances import unit_rows
from fed_plugin.retrieval.feature_dump import FeatureDump
from fed_plugin.search.gallery_index import CompressedDescriptors, ExactDescriptors, compress

POWERS = (1.0, 0.75, 0.5, 0.25)
TOP, QUERIES = 50, 200


def main() -> None:
    """Compress, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dump", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=10_000)
    args = parser.parse_args()
    rows = [found(f"spectrum to the power {power}", drawn(args.images, power)) for power in POWERS]
    if args.dump:
        features = FeatureDump.load(args.dump).features.astype(np.float32)
        rows.append(found(f"the dump {args.dump.name}", unit_rows(features)))
    columns = list(rows[0])
    print(tabulate([[row[key] for key in columns] for row in rows], columns))
    words = "recall@50 >= 0.98"
    write_row("search_recall", words, "none: nothing is timed here", {"rows": rows, "top": TOP})


def drawn(images: int, power: float) -> np.ndarray:
    """Draw people whose variances are the measured ones to a power, with the same sums."""
    crowd = Crowd(images // IMAGES_PER_PERSON)
    for name in ("between", "within"):
        deviations = getattr(crowd, name)
        flatter = deviations**power
        scale = np.sqrt((deviations**2).sum() / (flatter**2).sum())
        setattr(crowd, name, (scale * flatter).astype(np.float32))
    rng = np.random.default_rng(0)
    return crowd.images(rng.permutation(images) // IMAGES_PER_PERSON, rng)


def found(of: str, descriptors: np.ndarray) -> dict[str, Any]:
    """Compress descriptors; say how many directions they have and what is found."""
    assert descriptors.shape[1] <= WIDTH
    usual = CompressedDescriptors.trained(descriptors)
    usual.add(descriptors)
    exact = ExactDescriptors(descriptors.shape[1])
    exact.add(descriptors)
    compressed = compress(exact, TOP, QUERIES)[0]
    asking = descriptors[:: -(-len(descriptors) // QUERIES)]
    right = exact.search(asking, TOP)[1]
    moments = np.cov(descriptors[:20_000].T)
    directions = np.trace(moments) ** 2 / (moments**2).sum()
    return {
        "of": of,
        "images": len(descriptors),
        "numbers": descriptors.shape[1],
        "effective directions": round(float(directions), 1),
        "recall_at_50": share_found(compressed, asking, right),
        "candidates per answer": compressed.candidates,
        f"recall_at_50 with {usual.candidates}": share_found(usual, asking, right),
    }


def share_found(compressed: CompressedDescriptors, asking: np.ndarray, right: np.ndarray) -> float:
    """Return the share of exactly the right rows that a search finds."""
    rows = compressed.search(asking, right.shape[1])[1]
    return round(float(np.mean([np.isin(a, b) for a, b in zip(right, rows, strict=True)])), 4)


if __name__ == "__main__":
    main()
