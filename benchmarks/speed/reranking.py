"""Re-ranking with k-reciprocal neighbours: `jaccard_distance` beside fast-reid's CPU branch.

Both get the same drawn descriptors (``drawn_people.py``), a sixth of them queries as in
Market-1501. fast-reid computes the distances of all images, which is all that it offers, and its
evaluator cuts queries by gallery out of them; ours computes these alone. The last size's difference
is over every pair.

    python benchmarks/speed/reranking.py --sizes 2500 5000 10000 20000 --rounds 3 3 3 10
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from drawn_people import WIDTH, Crowd
from interleaved import (
    compared,
    in_turns,
    peak_resident,
    print_table,
    reset_peak,
    resident,
    write_row,
)

import projects_registry  # noqa: F401 - arms the mends
from fed_plugin.retrieval.reranking import jaccard_distance

OURS, HOST = "fed_plugin jaccard_distance", "fast-reid, CPU branch"
K1, K2 = 20, 6
GIGA = 1e9


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2500, 5000, 10_000, 20_000])
    parser.add_argument("--rounds", type=int, nargs="+", default=[3, 3, 3, 10])
    args = parser.parse_args()
    if len(args.sizes) != len(args.rounds):
        parser.error(f"expected as many --rounds as --sizes, which are {len(args.sizes)}")
    rows = [measure(*one) for one in zip(args.sizes, args.rounds, strict=True)]
    count = args.sizes[-1]
    write_row(
        "reranking",
        "<= 0.5 x time and <= 0.25 x memory of the host's CPU branch, same numbers",
        f"{count} images, D = {WIDTH}: the neighbours are one product of {count} x {count} x "
        f"{WIDTH}, {2 * count**2 * WIDTH / 1e12:.2f} TFLOP; everything else is some "
        f"{count} x 40 distances of {WIDTH} numbers, {2 * count * 40 * WIDTH / 1e9:.0f} GFLOP, and "
        "some 20,000 minima per query. Memory: the features once more in the index, "
        f"{4 * count * WIDTH / GIGA:.2f} GB, and queries by gallery, "
        f"{4 * (count // 6) * (count - count // 6) / GIGA:.2f} GB",
        {"k1": K1, "k2": K2, "sizes": rows},
    )


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Measure one number of images."""
    from fastreid.utils.compute_dist import compute_jaccard_distance

    stock = getattr(compute_jaccard_distance, "__wrapped__", compute_jaccard_distance)
    features, queries = people(count), count // 6
    images = torch.from_numpy(features)
    found: dict[str, Any] = {}

    def ours() -> None:
        found[OURS] = jaccard_distance(features, K1, K2, queries)

    def host() -> None:
        found[HOST] = stock(images, K1, K2, search_option=3)[:queries, queries:].copy()

    steps = {OURS: ours, HOST: host}
    memory: dict[str, float] = {}

    def watched(name: str) -> None:
        found.pop(name, None)
        reset_peak()
        before = resident()
        steps[name]()
        memory[name] = max(memory.get(name, 0), round((peak_resident() - before) / GIGA, 3))

    turns = {name: (lambda name=name: watched(name)) for name in steps}
    jaccard_distance(features[:500], K1, K2)  # both import and start what they need
    stock(images[:500], K1, K2, search_option=3)
    taken = in_turns(turns, rounds, warm_up=0)
    difference = float(np.abs(found[OURS] - found[HOST]).max())
    print(f"{count} images, {rounds} rounds")
    rows = compared(taken, HOST)
    print_table(rows)
    print("memory beside the features, GB:", memory, "largest difference:", difference)
    return {
        "images": count,
        "queries": queries,
        "rounds": rounds,
        "steps": rows,
        "memory_beside_the_features_gb": memory,
        "memory_ratio": round(memory[OURS] / max(memory[HOST], 1e-3), 4),
        "largest_difference": difference,
        "seconds": taken,
    }


def people(count: int) -> np.ndarray:
    """Draw (count, WIDTH) descriptors, twenty of each person, in any order."""
    rng = np.random.default_rng(count)
    return Crowd(count // 20, seed=count).images(rng.permutation(count) // 20, rng)


if __name__ == "__main__":
    main()
